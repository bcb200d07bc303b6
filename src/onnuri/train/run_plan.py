"""What can be checked before any process group exists: data, tokenizer, batch sizes, run directory.

Every rank computes the same plan from the same files, so a mistake ends all ranks alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from onnuri.base import manifest, process
from onnuri.base.errors import UserError, check_choice
from onnuri.base.manifest import Manifest
from onnuri.base.provenance import code_version
from onnuri.config import to_dict
from onnuri.model.config import ModelConfig
from onnuri.optim.schedule import default_warmup
from onnuri.parallel.ranks import Ranks
from onnuri.run.checkpoints import list_checkpoints, newest_verified, step_of
from onnuri.run.metrics_file import measured
from onnuri.run.run_file import read_run_file
from onnuri.tokens.mixture import parse_weights
from onnuri.tokens.ramp import Ramp
from onnuri.train.config import PretrainConfig
from onnuri.train.same_run import begun, check_same_run, take_over
from onnuri.train.warm_start import PADDED_TO, WarmStart, model_as_started, model_of, open_warm_start

MICRO_BATCH_TOKENS = 16384
MICRO_BATCH_OVERHEAD = 1024
"""What a micro-batch costs besides its own tokens (messages of ZeRO, launches), in tokens. With it the
choice is within 3 % of the planner's fastest, from 300M to 70B parameters on 3 to 64 GPUs."""


@dataclass(frozen=True)
class RunPlan:
    """A checked run."""

    config: PretrainConfig
    data: Manifest
    ranks: Ranks
    micro_batch_size: int
    stored: dict[str, Any] | None
    """`run.json` of the run directory when the run has been started before."""
    warm_start: WarmStart | None = None
    """Weights to start from; None: drawn from the seed, or those of a checkpoint of the run."""
    replay_until: int = 0
    """A replay: run up to this step, and write nothing but metrics. 0: a run."""

    @property
    def last_step(self) -> int:
        """Where the run ends."""
        return self.replay_until or self.config.train.steps

    @cached_property
    def batches(self) -> Ramp:
        """Sequences of the global batch, by step."""
        return self.config.train.batches

    @cached_property
    def lengths(self) -> Ramp:
        """Tokens that attention reaches at most, by step."""
        return self.config.data.lengths

    @property
    def tokens_per_step(self) -> int:
        """Positions in one optimizer step, at the end of a ramp; almost all of them predict a token."""
        return self.config.train.global_batch_size * self.config.data.sequence_length

    @property
    def accumulation(self) -> int:
        """Micro-batches a rank runs in one optimizer step, at the end of a ramp."""
        return -(-self.config.train.global_batch_size // (self.micro_batch_size * self.ranks.dp_size))

    def accumulation_at(self, step: int) -> int:
        """Micro-batches a rank runs in the step, counted from 0; the last may be partly empty."""
        return self.micro_batches(self.batches.at(step))

    def micro_batches(self, rows: int) -> int:
        """Micro-batches a rank runs for so many rows; at least one, as every step needs a backward pass."""
        return max(1, -(-rows // (self.micro_batch_size * self.ranks.dp_size)))


def make_plan(config: PretrainConfig) -> RunPlan:
    """Check a config against the files it names.

    Raises UserError for ranks that the environment leaves unclear, shards that are missing or damaged, a
    tokenizer that is not theirs, a batch smaller than the ranks, and a run directory of another config.
    """
    ranks = Ranks.of_process(process.from_environment())
    check_objective(config)
    data = manifest.read_whole(config.data.path, "tokens")
    check_tokenizer(config, data)
    parse_weights(config.data.mixture, [source["name"] for source in data.counts["sources"]])
    stored = read_run_file(Path(config.run_dir)) if config.run_dir else None
    started = begun(config.run_dir) if config.run_dir else None
    warm_start = None
    if config.lora.rank:
        config = adapting(config, started)
    if config.train.init_from and (config.lora.rank or not started):
        warm_start = open_warm_start(config.train.init_from)
        config = replace(config, model=model_of(config, warm_start, data))
    elif config.train.init_from and started:
        config = replace(config, model=model_as_started(config.model, started))
    config = replace(config, model=sized_model(config.model, int(data.counts["vocab_size"])))
    if started:
        config = take_over(config, started)
        check_same_run(config, data, started)
    if config.schedule.warmup_steps < 0:
        schedule = replace(config.schedule, warmup_steps=default_warmup(config.train.steps))
        config = replace(config, schedule=schedule)
    return RunPlan(
        config=config,
        data=data,
        ranks=ranks,
        micro_batch_size=choose_micro_batch_size(config, ranks.dp_size),
        stored=stored,
        warm_start=warm_start,
    )


def adapting(config: PretrainConfig, started: dict[str, Any] | None) -> PretrainConfig:
    """A config that trains adapters, with the folder of the model under them. Raises UserError without
    one, and for an optimizer that is not made for adapters."""
    folder = config.train.init_from
    if not folder and started:
        folder = started["config"]["train"].get("init_from", "")
    if not folder:
        raise UserError(f"lora.rank={config.lora.rank} needs train.init_from: the model that is adapted")
    if config.optim.name == "muon":
        raise UserError(f"lora.rank={config.lora.rank} goes with optim=adamw, not with muon")
    if config.objective == "grpo" and config.grpo.vllm:
        raise UserError(f"lora.rank={config.lora.rank} does not go with grpo.vllm, which sends all weights")
    return replace(config, train=replace(config.train, init_from=folder))


def check_objective(config: PretrainConfig) -> None:
    """Raise UserError for an objective that does not exist."""
    from onnuri.train.objectives import OBJECTIVES

    check_choice("objective", config.objective, tuple(OBJECTIVES))


def sized_model(model: ModelConfig, vocab_size: int) -> ModelConfig:
    """The model with as many rows of embeddings as the tokenizer needs. Raises UserError for too few."""
    if model.vocab_size == 0:
        return replace(model, vocab_size=-(-vocab_size // PADDED_TO) * PADDED_TO)
    if model.vocab_size < vocab_size:
        raise UserError(f"model.vocab_size={model.vocab_size} is below the tokenizer's {vocab_size} tokens")
    return model


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
    counts as its tokens and MICRO_BATCH_OVERHEAD; of equal sums the larger size is taken. All stages of a
    batch ramp have one size, that of the smallest sum over the run.
    """
    batch, asked = config.train.global_batch_size, config.engine.micro_batch_size
    if batch < dp_size:
        raise UserError(f"train.global_batch_size={batch} is too small for {dp_size} ranks")
    batches = config.train.batches
    if (first := batches.at(0)) < dp_size:
        raise UserError(
            f"train.batch_ramp begins with {first} sequences, too few for {dp_size} ranks; begin with at "
            f"least {dp_size}"
        )
    per_rank, length = -(-batch // dp_size), config.data.sequence_length
    if asked:
        return min(asked, per_rank)

    def cost(size: int) -> int:
        micro_batches = sum(
            (stop - start) * -(-value // (dp_size * size))
            for start, stop, value in batches.stages(config.train.steps)
        )
        return micro_batches * (size * length + MICRO_BATCH_OVERHEAD)

    sizes = range(1, min(per_rank, max(1, MICRO_BATCH_TOKENS // length)) + 1)
    return min(sizes, key=lambda size: (cost(size), -size))


def run_record(plan: RunPlan) -> dict[str, Any]:
    """What `run.json` remembers: the resolved config, the identity of the data, the code, and the tokens
    that the model reads where it began with one that reads more than a window."""
    record = {"config": to_dict(plan.config), "data": plan.data.identity, "code": code_version()}
    before = plan.warm_start.context if plan.warm_start else (plan.stored or {}).get("context", 0)
    return record | ({"context": before} if before > plan.config.data.sequence_length else {})


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


def finished(plan: RunPlan) -> bool:
    """True when the run directory already has a complete checkpoint of the last step of this very run, and
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
    last = step_of(checkpoints[0])
    if last == plan.config.train.steps and "bits_per_byte" not in measured(run_dir, last):
        return False
    found = newest_verified(run_dir)
    return found is not None and step_of(found[0]) >= plan.config.train.steps
