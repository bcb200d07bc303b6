"""What can be checked before any process group exists: data, tokenizer, batch sizes, run directory.

Every rank computes the same plan from the same files, so a mistake ends all ranks alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnuri import __version__
from onnuri.base import manifest, process
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.base.provenance import code_version
from onnuri.config import to_dict
from onnuri.optim.schedule import default_warmup
from onnuri.parallel.ranks import Ranks
from onnuri.run.checkpoints import list_checkpoints, newest_verified, step_of
from onnuri.run.metrics_file import is_validated
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE, flatten, read_run_file, unknown_options
from onnuri.tokens.mixture import parse_weights
from onnuri.train.config import PretrainConfig

CAN_CHANGE = (
    "run_dir",
    "tokenizer",
    "profile",
    "engine.",
    "kernels.",
    "tracker.",
    "data.path",
    "model.loss_chunk_size",
    "train.steps",
    "train.validate_every",
    "train.validation_tokens",
    "train.checkpoint_every",
    "train.keep_",
    "train.ephemeral_",
    "guard.",
)
PADDED_TO = 64
MICRO_BATCH_TOKENS = 16384
MICRO_BATCH_OVERHEAD = 1024
"""What a micro-batch costs besides its own tokens (messages of ZeRO, launches), in tokens. With it the
choice is within 3 % of the planner's fastest, from 300M to 70B parameters on 3 to 64 GPUs."""


@dataclass
class RunPlan:
    """A checked run."""

    config: PretrainConfig
    data: Manifest
    ranks: Ranks
    micro_batch_size: int
    stored: dict[str, Any] | None
    """`run.json` of the run directory when the run has been started before."""
    replay_until: int = 0
    """A replay: run up to this step, and write nothing but metrics. 0: a run."""

    @property
    def last_step(self) -> int:
        """Where the run ends."""
        return self.replay_until or self.config.train.steps

    @property
    def tokens_per_step(self) -> int:
        """Places in one optimizer step; almost all of them predict a token."""
        return self.config.train.global_batch_size * self.config.data.sequence_length

    @property
    def accumulation(self) -> int:
        """Micro-batches a rank runs in one optimizer step; the last may be partly empty."""
        return -(-self.config.train.global_batch_size // (self.micro_batch_size * self.ranks.dp_size))


def make_plan(config: PretrainConfig) -> RunPlan:
    """Check a config against the files it names.

    Raises UserError for ranks that the environment leaves unclear, shards that are missing or damaged, a
    tokenizer that is not theirs, a batch smaller than the ranks, and a run directory of another config.
    """
    ranks = Ranks.of_process(process.from_environment())
    data = manifest.read_whole(config.data.path, "tokens")
    check_tokenizer(config, data)
    parse_weights(config.data.mixture, [source["name"] for source in data.counts["sources"]])
    vocab_size = int(data.counts["vocab_size"])
    if config.model.vocab_size == 0:
        config.model.vocab_size = -(-vocab_size // PADDED_TO) * PADDED_TO
    elif config.model.vocab_size < vocab_size:
        raise UserError(
            f"model.vocab_size={config.model.vocab_size} is below the tokenizer's {vocab_size} tokens"
        )
    stored = check_same_run(config, data) if config.run_dir else None
    if config.schedule.warmup_steps < 0:
        config.schedule.warmup_steps = default_warmup(config.train.steps)
    return RunPlan(
        config=config,
        data=data,
        ranks=ranks,
        micro_batch_size=choose_micro_batch_size(config, ranks.dp_size),
        stored=stored,
    )


def check_tokenizer(config: PretrainConfig, data: Manifest) -> None:
    """Raise UserError unless the tokenizer is the one the shards were encoded with."""
    folder = Path(config.tokenizer) if config.tokenizer else Path(config.data.path) / "tokenizer"
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"tokenizer {path} does not exist")
    found, needed = manifest.hash_file(path), data.counts["tokenizer_sha256"]
    if found != needed:
        raise UserError(
            f"tokenizer {path} (sha256 {found[:12]}...) is not the one that {config.data.path} was packed "
            f"with ({needed[:12]}...); pack again with it or leave tokenizer= out"
        )


def choose_micro_batch_size(config: PretrainConfig, dp_size: int) -> int:
    """Sequences a rank holds at once: as asked, or the fastest that fits MICRO_BATCH_TOKENS.

    Where the ranks do not divide the batch (a node was lost), some of their rows stay empty, and those are
    computed too. Few rows in many micro-batches can take longer than some empty ones, so each micro-batch
    counts as its tokens and MICRO_BATCH_OVERHEAD; of equal sums the larger size is taken.
    """
    batch, asked = config.train.global_batch_size, config.engine.micro_batch_size
    if batch < dp_size:
        raise UserError(f"train.global_batch_size={batch} is too small for {dp_size} ranks")
    per_rank, length = -(-batch // dp_size), config.data.sequence_length
    if asked:
        return min(asked, per_rank)
    sizes = range(1, min(per_rank, max(1, MICRO_BATCH_TOKENS // length)) + 1)
    return min(
        sizes, key=lambda size: (-(-per_rank // size) * (size * length + MICRO_BATCH_OVERHEAD), -size)
    )


def run_record(config: PretrainConfig, data: Manifest) -> dict[str, Any]:
    """What `run.json` remembers: the resolved config, the identity of the data, and the code."""
    return {"config": to_dict(config), "data": data.identity, "code": code_version()}


def record_words(run_dir: Path) -> None:
    """Write the overrides of this start, as they were typed, where Hydra users look for them.

    `overrides.yaml` has the last start; other ones before it are kept as overrides-1.yaml and so on.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized() or HydraConfig.get().output_subdir is None:
        return
    path = run_dir / HydraConfig.get().output_subdir / "overrides.yaml"
    text = OmegaConf.to_yaml(HydraConfig.get().overrides.task)
    path.parent.mkdir(exist_ok=True)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        path.rename(path.with_stem(f"overrides-{len(list(path.parent.glob('overrides*.yaml')))}"))
    path.write_text(text, encoding="utf-8")


def check_same_run(config: PretrainConfig, data: Manifest) -> dict[str, Any] | None:
    """`run.json` of the run directory, None for a fresh one.

    `engine.precision=auto`, `compile=auto` and a warm-up that is not named take what the run was started
    with. Raises UserError naming
    the first setting that would change the course of the run, once it has a checkpoint.
    """
    stored = read_run_file(Path(config.run_dir))
    if stored is None or not list_checkpoints(Path(config.run_dir)):
        return stored
    for name in ("precision", "compile"):
        if getattr(config.engine, name) == "auto":
            setattr(config.engine, name, stored["config"]["engine"].get(name, "off"))
    if unknown := unknown_options(PretrainConfig, stored["config"]):
        raise UserError(
            f"{Path(config.run_dir) / RUN_FILE} has the option {unknown[0]}, which this version "
            f"({__version__}) does not know: resume with the version of Onnuri that started the run"
        )
    if config.schedule.warmup_steps < 0:
        config.schedule.warmup_steps = stored["config"]["schedule"]["warmup_steps"]
    defaults = flatten(to_dict(PretrainConfig()))  # for options that are younger than the run
    before, now = defaults | flatten(stored["config"]), flatten(to_dict(config))
    for name in sorted(before.keys() | now.keys()):
        if name != "engine.precision" and name.startswith(CAN_CHANGE):
            continue
        if before.get(name) != now.get(name):
            raise UserError(
                f"run_dir={config.run_dir} was started with {name}={before.get(name)}, now it is "
                f"{now.get(name)}; choose another run_dir, or the old value to resume"
            )
    if stored["data"] != data.identity:
        raise UserError(
            f"run_dir={config.run_dir} was started on other data than {config.data.path} holds now: "
            f"{what_changed(Path(config.run_dir), data)}; choose another run_dir, or give it the old shards"
        )
    return stored


def what_changed(run_dir: Path, now: Manifest) -> str:
    """What differs between the shards that a run was started on, whose manifest it keeps, and others."""
    try:
        before = manifest.read(run_dir / DATA_FOLDER, "tokens")
    except UserError:
        return "the run's own description of them is gone"
    if before.counts["tokenizer_sha256"] != now.counts["tokenizer_sha256"]:
        return "another tokenizer"
    old, new = (
        {source["name"]: source["train_tokens"] for source in each.counts["sources"]}
        for each in (before, now)
    )
    for name in sorted(old.keys() | new.keys()):
        if old.get(name, 0) != new.get(name, 0):
            return f"source {name} had {old.get(name, 0):,} tokens and has {new.get(name, 0):,}"
    changed = [name for name, facts in before.files.items() if now.files.get(name) != facts]
    return f"{changed[0]} is another file" if changed else "the same tokens, made from another input"


def finished(plan: RunPlan) -> bool:
    """True when the run directory already holds a whole checkpoint of the last step of this very run, and
    its validation.

    The quick way out, without a process group: every rank hashes the files, so it is taken only where
    all ranks are on one machine. Elsewhere training starts, resumes after the last step, and ends.
    """
    if plan.stored is None or plan.ranks.world_size != plan.ranks.local_world_size:
        return False
    run_dir = Path(plan.config.run_dir)
    checkpoints = list_checkpoints(run_dir)
    if not checkpoints or step_of(checkpoints[0]) < plan.config.train.steps:
        return False
    if step_of(checkpoints[0]) == plan.config.train.steps and not is_validated(
        run_dir, step_of(checkpoints[0])
    ):
        return False
    found = newest_verified(run_dir)
    return found is not None and step_of(found[0]) >= plan.config.train.steps
