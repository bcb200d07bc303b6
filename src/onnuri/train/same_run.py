"""Whether a run directory may be resumed with a config: what must be as it was, and what is taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from onnuri import __version__
from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.config import to_dict
from onnuri.config.schema import options
from onnuri.run.checkpoints import list_checkpoints
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE, as_typed, flatten, read_run_file, unknown_options
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
    "train.init_from",
    "train.steps",
    "train.validate_every",
    "train.validation_tokens",
    "train.checkpoint_every",
    "train.keep_",
    "train.ephemeral_",
    "guard.",
    "evaluation.",
    "average.",
    "grpo.vllm",
)
"""Options that may differ when a run resumes, by how their names begin."""
OBJECTIVES = ("dpo", "grpo")
"""Objectives with options of their own; other runs do not read those."""
TABLES = tuple(option.name for option in options(PretrainConfig) if option.kind is dict)
"""Options that are tables: compared as a whole."""


def begun(run_dir: str) -> dict[str, Any] | None:
    """`run.json` of a run that has a checkpoint; None for one whose settings bind nobody yet.

    Raises UserError if the directory is not a run's, or a later version's.
    """
    stored = read_run_file(Path(run_dir))
    if stored is None or not list_checkpoints(Path(run_dir)):
        return None
    if unknown := unknown_options(PretrainConfig, stored["config"]):
        raise UserError(
            f"{Path(run_dir) / RUN_FILE} has the option {unknown[0]}, which this version ({__version__}) "
            "does not know: resume with the version of Onnuri that started the run"
        )
    return stored


def take_over(config: PretrainConfig, stored: dict[str, Any]) -> PretrainConfig:
    """The config with what it leaves to the run: precision and compiling on `auto`, an unnamed warm-up."""
    before, warmup = stored["config"], config.schedule.warmup_steps
    settled = {
        name: before["engine"].get(name, "off")
        for name in ("precision", "compile")
        if getattr(config.engine, name) == "auto"
    }
    warmup = before["schedule"]["warmup_steps"] if warmup < 0 else warmup
    return replace(
        config,
        engine=replace(config.engine, **settled),
        schedule=replace(config.schedule, warmup_steps=warmup),
    )


def check_same_run(config: PretrainConfig, data: Manifest, stored: dict[str, Any]) -> None:
    """Raise UserError naming the first setting that would change the course of a run that has begun."""
    trees = (to_dict(PretrainConfig()), stored["config"], to_dict(config))
    defaults, before, now = (flatten(tree, whole=TABLES) for tree in trees)
    before = defaults | before  # options that are younger than the run
    if before["optim.name"] != now["optim.name"]:
        raise UserError(
            f"run_dir={config.run_dir} was started with optim={before['optim.name']}, now it is "
            f"{now['optim.name']}; choose another run_dir, or optim={before['optim.name']} to resume"
        )
    not_read = tuple(f"{part}." for part in OBJECTIVES if part != config.objective)
    for name in sorted(before.keys() | now.keys()):
        if name != "engine.precision" and name.startswith((*CAN_CHANGE, *not_read)):
            continue
        if before.get(name) != now.get(name):
            raise UserError(
                f"run_dir={config.run_dir} was started with {name}={as_typed(before.get(name))}, now it is "
                f"{as_typed(now.get(name))}; choose another run_dir, or the old value to resume"
            )
    if stored["data"] != data.identity:
        raise UserError(
            f"run_dir={config.run_dir} was started on other data than {config.data.path} holds now: "
            f"{what_changed(Path(config.run_dir), data)}; choose another run_dir, or give it the old shards"
        )


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
