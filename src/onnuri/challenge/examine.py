"""Every check of a run that needs no secret and trains nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.challenge import leaks
from onnuri.challenge.drift import weight_sizes
from onnuri.challenge.faults import Fault, Refused
from onnuri.challenge.folder import Challenge
from onnuri.challenge.intake import LARGEST_MANIFEST, LARGEST_RECORD, copy_in
from onnuri.challenge.record import (
    Record,
    Spent,
    missing_checkpoints,
    over_budget,
    read_record,
    spent_by,
)
from onnuri.corpus.texts import Text
from onnuri.ledger.verify import contradictions
from onnuri.run.chain import LEDGER_FILE
from onnuri.run.checkpoints import FOLDER, name_of, read_verified
from onnuri.run.metrics_file import METRICS_FILE
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE

BYTES_PER_PARAMETER = 16
"""Of a checkpoint: fp32 weights and two moments are 12."""
SPARE_BYTES = 1 << 20
"""Of a checkpoint's file: header, state of random numbers."""
SHOWN = 3
"""Contradictions that are listed."""


@dataclass
class Examined:
    """A run that was taken in."""

    run_dir: Path
    """Our own copy."""
    record: Record
    spent: Spent
    faults: list[Fault] = field(default_factory=list)


def examine(challenge: Challenge, run_dir: Path, copy: Path, kept: Collection[int]) -> Examined:
    """Take in the record of a run and check it: ledger, budget, data, settings, checkpoints by name.

    Args:
        run_dir: the entrant's.
        copy: an empty folder.
        kept: steps whose checkpoints are to be had; others that the ledger records were removed.

    Raises Refused if there is nothing to go on with.
    """
    limits = {LEDGER_FILE: LARGEST_RECORD, METRICS_FILE: LARGEST_RECORD, RUN_FILE: LARGEST_MANIFEST}
    for name, most in (limits | {f"{DATA_FOLDER}/{manifest.FILE_NAME}": LARGEST_MANIFEST}).items():
        copy_in(run_dir, name, copy / name, most)
    record = read_record(copy)
    checkpoints = {step: identity for step, identity in record.checkpoints.items() if step in kept}
    record = replace(record, checkpoints=checkpoints)
    tokens = challenge.token_manifest()
    found = Examined(copy, record, spent_by(record, int(tokens.counts["train"]["tokens"])))
    found.faults += [*over_budget(record, found.spent, challenge.track), *record.changes]
    found.faults += missing_checkpoints(record, challenge.track)
    trained_on = {line["data"] for line in record.lines if "data" in line}
    if other := trained_on - {tokens.identity}:
        detail = f"shards {str(min(other))[:12]}, the challenge pins {tokens.identity[:12]}"
        found.faults.append(Fault("other data", detail))
    else:
        problems = contradictions(copy, record.lines, str(challenge.tokens))
        found.faults += [Fault("record", line.replace(f"{copy}/", "")) for line in problems[:SHOWN]]
    return found


def take_checkpoints(run_dir: Path, found: Examined, steps: Sequence[int]) -> None:
    """Copy checkpoints of these steps, and check them against the ledger.

    Raises Refused for one that is missing, is not the recorded one, or has another model's size.
    """
    parameters = found.spent.parameters
    most = BYTES_PER_PARAMETER * parameters + SPARE_BYTES
    for step in steps:
        name = f"{FOLDER}/{name_of(step)}"
        folder = found.run_dir / name
        try:
            copy_in(run_dir, f"{name}/{manifest.FILE_NAME}", folder / manifest.FILE_NAME, LARGEST_MANIFEST)
        except Refused as error:
            raise Refused("missing checkpoints", error.fault.detail) from None
        files = [f"shard-{rank:05d}.safetensors" for rank in range(found.record.world_size)]
        try:
            listed = manifest.read(folder, "checkpoint")
            if sorted(listed.files) != files:
                raise Refused("bad files", f"{name} has other files than one for each rank")
            for file in files:
                copy_in(run_dir, f"{name}/{file}", folder / file, most)
            identity = read_verified(folder).identity
        except UserError as error:
            raise Refused("bad files", str(error).replace(f"{found.run_dir}/", "")) from None
        if identity != found.record.checkpoints[step]:
            raise Refused("record", f"{name} is not the checkpoint that the ledger records")
        if (size := sum(weight_sizes(folder).values())) != parameters:
            detail = f"{name} has {size:,} parameters, the ledger's config {parameters:,}"
            raise Refused("larger model" if size > parameters else "record", detail)


def find_leaks(challenge: Challenge, found: Examined, heldout: Sequence[Text], data: str) -> list[Fault]:
    """Held-out text in the shards that a run names, where those are not the challenge's.

    Args:
        data: the shards. Raises Refused if they are not those that the ledger names.
    """
    named = {str(line["data"]) for line in found.record.lines if "data" in line}
    tokenizer = challenge.tokens / "tokenizer"
    for identity in sorted(named - {challenge.content["tokens"]}):
        leaks.check_shards(Path(data), identity, challenge.content["tokenizer"])
        seen = leaks.leaked_documents(heldout, leaks.texts_of_shards(Path(data), tokenizer))
        if seen:
            detail = f"{len(seen)} of {len(heldout)} held-out documents stand in the shards trained on"
            return [Fault("held-out text in training", f"{detail}, the first is number {seen[0] + 1}")]
    return []
