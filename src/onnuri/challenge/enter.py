"""The entrant's side: practise, and commit a finished run."""

from __future__ import annotations

import logging
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.challenge import entry as entries
from onnuri.challenge import sealed_text
from onnuri.challenge.config import CommitConfig, PracticeConfig
from onnuri.challenge.entry import Entry
from onnuri.challenge.examine import examine, take_checkpoints
from onnuri.challenge.faults import Fault, Refused, check_machine
from onnuri.challenge.folder import open_challenge
from onnuri.challenge.score import score
from onnuri.model.config import ModelConfig
from onnuri.run.checkpoints import FOLDER, list_checkpoints, name_of, newest_verified, step_of
from onnuri.run.run_file import read_run_file

log = logging.getLogger(__name__)


def practise(config: PracticeConfig) -> dict[str, Any]:
    """Scores of a run's newest checkpoint on the practice text. Raises UserError where there is none."""
    challenge, run_dir = open_challenge(config.challenge), Path(config.run_dir)
    stored, found = read_run_file(run_dir), newest_verified(run_dir)
    if stored is None or found is None:
        raise UserError(f"run_dir={run_dir} has no finished checkpoint yet")
    if stored["data"] != challenge.content["tokens"]:
        raise UserError(f"run_dir={run_dir} was trained on other shards than {challenge.tokens}")
    described = stored["config"]
    texts = sealed_text.read_texts(challenge.practice)
    model, context = ModelConfig(**described["model"]), int(described["data"]["sequence_length"])
    log.info(f"{found[0].name} on {challenge.practice}")
    return score(challenge, found[0], model, context, texts)


def commit(config: CommitConfig) -> tuple[Entry | None, list[Fault]]:
    """Check a run as far as that goes without the held-out text, and write the entry.

    Returns the entry, or None and what a verification would refuse it for.
    """
    entries.check_name(config.name)
    challenge, run_dir = open_challenge(config.challenge), Path(config.run_dir).resolve()
    output = Path(config.output) if config.output else run_dir.with_name(f"{config.name}.entry.json")
    if output.exists():
        raise UserError(f"output={output} exists: a name is committed once; choose another name or output")
    if not output.parent.is_dir():
        raise UserError(f"output={output}: {output.parent} is no folder")
    with tempfile.TemporaryDirectory(prefix="onnuri-challenge-") as scratch:
        try:
            found = examine(challenge, run_dir, Path(scratch), [*map(step_of, list_checkpoints(run_dir))])
            for step in found.record.checkpoints if not found.faults else ():
                take_checkpoints(run_dir, found, [step])
                shutil.rmtree(found.run_dir / FOLDER / name_of(step))
        except Refused as error:
            check_machine(error)
            return None, [error.fault]
    if found.faults:
        return None, found.faults
    record, planned = found.record, found.record.config.train.steps
    if record.last_step < planned:
        log.warning(
            f"run_dir={run_dir} stopped at step {record.last_step:,} of {planned:,}; if it is resumed "
            "after this, its ledger is no longer the one committed"
        )
    made = Entry(
        format=entries.FORMAT,
        challenge=challenge.identity,
        name=config.name,
        title=unicodedata.normalize("NFC", " ".join(config.title.split())),
        step=record.last_step,
        weights=record.checkpoints[record.last_step],
        ledger=record.head,
        checkpoints=tuple(record.checkpoints),
    )
    made = entries.sign(made, Path(config.key)) if config.key else made
    content = vars(made)
    entries.from_content(content | {"checkpoints": [*made.checkpoints]}, "the entry")
    manifest.write_json(output, content)
    log.info(
        f"{output}: {found.spent.flops:.4g} of {challenge.track.flops:.4g} FLOPs, "
        f"{found.spent.parameters:,} parameters, step {made.step:,}"
    )
    log.info(f"entry {made.identity}")
    return made, []
