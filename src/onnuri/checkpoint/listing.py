"""Which checkpoints a run has, and which of them are whole. Needs no torch, so any door can ask."""

from __future__ import annotations

from pathlib import Path

from onnuri import manifest
from onnuri.errors import UserError
from onnuri.manifest import Manifest

FOLDER = "checkpoints"


def list_checkpoints(run_dir: Path) -> list[Path]:
    """Finished checkpoint folders, newest first."""
    folders = (run_dir / FOLDER).glob("step-???????")
    return sorted((f for f in folders if (f / manifest.FILE_NAME).is_file()), reverse=True)


def newest_verified(run_dir: Path) -> tuple[Path, Manifest, list[str]] | None:
    """The newest checkpoint whose files match their hashes, and a note for each newer one that does not.

    Returns None when there is no checkpoint at all. Raises UserError when all of them are damaged.
    """
    problems: list[str] = []
    for folder in list_checkpoints(run_dir):
        try:
            found = manifest.read(folder, "checkpoint")
            manifest.verify(folder, found)
        except UserError as error:
            problems.append(f"checkpoint {folder.name} is not used: {error}")
            continue
        return folder, found, problems
    if problems:
        raise UserError(f"no checkpoint in {run_dir} is whole: {'; '.join(problems)}")
    return None


def set_aside(run_dir: Path, after_step: int) -> None:
    """Rename checkpoints of later steps than the one a run goes on from, so that none of them is ever
    taken for the newest, or kept instead of a good one."""
    for folder in list_checkpoints(run_dir):
        if step_of(folder) > after_step:
            number = sum(1 for _ in folder.parent.glob(f"{folder.name}.unused-*"))
            folder.replace(folder.with_name(f"{folder.name}.unused-{number}"))


def step_of(folder: Path) -> int:
    """The optimizer step a checkpoint folder is named after."""
    return int(folder.name.removeprefix("step-"))
