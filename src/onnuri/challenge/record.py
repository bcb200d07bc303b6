"""What the ledger of an entry says, as far as it can be taken seriously, and what it has spent."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.challenge.faults import Fault, Refused
from onnuri.challenge.tracks import Track
from onnuri.config import to_dict
from onnuri.config.former_names import rename_stored
from onnuri.config.schema import options
from onnuri.parallel.config import EngineConfig
from onnuri.run.chain import last_of_each_step, read
from onnuri.run.run_file import as_typed, flatten, unknown_options
from onnuri.train.config import EvaluationConfig, GuardConfig, PretrainConfig, TrackerConfig
from onnuri.train.same_run import TABLES

STARTS = ("start", "resume")
RHYTHM = (
    "validate_every",
    "validation_tokens",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_every",
    "ephemeral_every",
    "ephemeral_minutes",
)
"""Options of `train` that change no weight, so they may differ between starts of a run."""


@dataclass(frozen=True)
class Record:
    """A run by its ledger."""

    lines: list[dict[str, Any]]
    config: PretrainConfig
    """Of the last start, without paths and what else changes no weight."""
    changes: list[Fault]
    """What other starts did in another way."""
    world_size: int
    environments: list[dict[str, Any]]
    """Of each start."""
    losses: dict[int, float | None]
    checkpoints: dict[int, str]
    """Step to the identity that counts, in order; in an entry, of those that the run keeps."""

    @property
    def head(self) -> str:
        """Hash of the last line."""
        return str(self.lines[-1]["hash"])

    @property
    def last_step(self) -> int:
        """Where the run ended."""
        return max(self.losses)

    @property
    def points(self) -> list[int]:
        """0, and the steps with a checkpoint: replays go from one to the next."""
        return [0, *self.checkpoints]

    @property
    def minutes(self) -> float:
        """Time between the lines of all starts, by the entrant's own clock."""
        total = 0.0
        for before, line in itertools.pairwise(self.lines):
            if line["event"] not in STARTS:
                total += max(0.0, line["time"] - before["time"])
        return total / 60


def read_record(run_dir: Path) -> Record:
    """The ledger of a run directory that was taken in. Raises Refused if it cannot be followed."""
    try:
        lines = read(run_dir)
    except UserError as error:
        raise Refused("broken ledger", str(error)) from None
    if not lines or lines[0]["event"] != "start":
        raise Refused("broken ledger", "it does not begin with the start of a run")
    if any(line["event"] == "rollback" for line in lines):
        raise Refused("settings", "the run rolled back, and left out batches that its steps count")
    starts = [line for line in lines if line["event"] in STARTS]
    configs = [own_config(line["config"]) for line in starts]
    recorded = {step: line for step, (_, line) in sorted(last_of_each_step(lines).items())}
    if list(recorded) != list(range(1, len(recorded) + 1)) or not recorded:
        raise Refused("broken ledger", "its steps are not 1, 2, 3 and so on")
    saved = {
        line["step"]: str(line["identity"])
        for line in lines
        if line["event"] in ("checkpoint", "resume") and line["step"] <= len(recorded)
    }
    return Record(
        lines=lines,
        config=configs[-1],
        changes=list(changes_of(configs, [line["world_size"] for line in starts])),
        world_size=int(starts[-1]["world_size"]),
        environments=[line["environment"] for line in starts],
        losses={step: line["loss"] for step, line in recorded.items()},
        checkpoints=dict(sorted(saved.items())),
    )


def own_config(stored: Any) -> PretrainConfig:
    """A recorded config without what names files, tasks and services: nothing of it points anywhere."""
    from omegaconf import OmegaConf

    stored = rename_stored(json.loads(json.dumps(stored)))
    if unknown := unknown_options(PretrainConfig, stored):
        raise Refused("settings", f"the option {unknown[0]} is unknown to this version of Onnuri")
    if "${" in json.dumps(stored):
        raise Refused("settings", "the config has an interpolation")
    plain: Any = OmegaConf.to_container(OmegaConf.structured(PretrainConfig))
    for option in options(PretrainConfig):
        if option.is_path:
            *parents, name = option.name.split(".")
            here, default = stored, plain
            for parent in parents:
                here, default = here.get(parent, {}), default[parent]
            here[name] = "" if default[name] == "???" else default[name]
    try:
        config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PretrainConfig), stored))
    except Exception as error:  # OmegaConf's, and UserError of the options themselves
        raise Refused("settings", " ".join(str(error).split())[:200]) from None
    guard = GuardConfig()
    defaults = {each.name: each.default for each in fields(type(config.train)) if each.name in RHYTHM}
    return replace(
        config,
        profile=False,
        tracker=TrackerConfig(),
        evaluation=EvaluationConfig(),
        train=replace(config.train, **defaults),
        guard=replace(config.guard, stall_seconds=guard.stall_seconds, stall_factor=guard.stall_factor),
        engine=replace(config.engine, timeout_minutes=EngineConfig().timeout_minutes),
    )


def changes_of(configs: Sequence[PretrainConfig], world_sizes: Sequence[int]) -> Iterator[Fault]:
    """Where the starts of a run did not train in the same way: the first difference of each."""
    first, *others = (
        flatten(to_dict(config), whole=TABLES) | {"ranks": world_size}
        for config, world_size in zip(configs, world_sizes, strict=True)
    )
    for other in others:
        changed = [name for name, value in other.items() if value != first[name]]
        for name in changed[:1]:
            values = f"{name} from {as_typed(first[name])} to {as_typed(other[name])}"
            yield Fault("settings", f"the run changed {values}")


@dataclass(frozen=True)
class Spent:
    """What a run has used."""

    steps: int
    """Lines of steps in the ledger, also of steps that were done again."""
    tokens: int
    unique_tokens: int
    flops: int
    """Of each step with its own batch and attention length, as in the run's ledger."""
    parameters: int


def spent_by(record: Record, shard_tokens: int) -> Spent:
    """What a run has used, worked out from its config alone; the entrant's own figures are not asked."""
    config = record.config
    steps = Counter(int(line["step"]) - 1 for line in record.lines if line["event"] == "step")
    batches, lengths = config.train.batches, config.data.lengths
    tokens = {step: times * batches.at(step) * config.data.sequence_length for step, times in steps.items()}
    each = {length: config.model.flops_per_token(length) for length in lengths.values}
    return Spent(
        steps=steps.total(),
        tokens=sum(tokens.values()),
        unique_tokens=min(sum(tokens.values()), shard_tokens),
        flops=sum(count * each[lengths.at(step)] for step, count in tokens.items()),
        parameters=config.model.num_parameters(),
    )


def over_budget(record: Record, spent: Spent, track: Track) -> Iterator[Fault]:
    """What a run has used too much of."""
    config = record.config
    per_step = config.train.global_batch_size * config.data.sequence_length
    if spent.parameters > track.parameters:
        yield Fault("larger model", f"{spent.parameters:,} parameters; allowed: {track.parameters:,}")
    if spent.flops > track.flops:
        yield Fault(
            "over the FLOPs budget",
            f"{spent.flops:.4g} FLOPs ({spent.steps:,} steps of {'up to ' * bool(config.train.batch_ramp)}"
            f"{per_step:,} tokens, {spent.flops // spent.tokens:,} a token); allowed: {track.flops:.4g}",
        )
    if spent.unique_tokens > track.unique_tokens:
        yield Fault(
            "over the token budget", f"{spent.unique_tokens:,} tokens; allowed: {track.unique_tokens:,}"
        )
    if per_step > track.tokens_per_step:
        yield Fault("settings", f"{per_step:,} tokens a step; allowed: {track.tokens_per_step:,}")
    if not 1 <= record.world_size <= track.ranks:
        yield Fault("settings", f"{record.world_size} ranks; allowed: 1 to {track.ranks}")
    if track.precision and config.engine.precision != track.precision:
        found = config.engine.precision
        yield Fault("settings", f"engine.precision={found}; the track takes {track.precision} alone")
    if config.guard.on_spike == "rollback":
        yield Fault("settings", "guard.on_spike=rollback trains on other batches than the steps say")


def longest_interval(record: Record, track: Track) -> int:
    """Steps that two checkpoints may be apart."""
    return math.ceil(record.last_step / track.checkpoints)


def missing_checkpoints(record: Record, track: Track) -> Iterator[Fault]:
    """Gaps that are too long to be replayed."""
    most, planned = longest_interval(record, track), record.config.train.steps
    ways = f"train.checkpoint_every={most} train.keep_checkpoints=0"
    if record.last_step < planned:
        ways += f" (the run stopped at step {record.last_step:,} of {planned:,})"
    points = record.points if record.points[-1] == record.last_step else [*record.points, record.last_step]
    if record.last_step not in record.checkpoints:
        yield Fault("missing checkpoints", f"none of the last step, {record.last_step}")
    for before, after in itertools.pairwise(points):
        if after - before > most:
            yield Fault("missing checkpoints", f"none from step {before} to {after}; train with {ways}")
            return


def machine(record: Record) -> Mapping[str, str]:
    """What the entrant says of the machine, in short texts."""
    found = record.environments[-1]
    return {name: str(found.get(name, ""))[:100] for name in ("processor", "platform", "torch", "python")}
