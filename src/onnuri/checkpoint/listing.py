"""Which checkpoints a run has, and which of them are whole. Needs no torch, so any door can ask."""

from __future__ import annotations

import shutil
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
        except (UserError, OSError) as error:
            problems.append(f"checkpoint {folder.name} is not used: {error}")
            continue
        return folder, found, problems
    if problems:
        raise UserError(f"no checkpoint in {run_dir} is whole: {'; '.join(problems)}")
    return None


def superfluous(run_dir: Path, keep: int, keep_every: int) -> list[Path]:
    """What retention removes: ephemeral checkpoints with a newer one, and others beyond the newest `keep`
    (0: all stay). What `keep_every` divides stays, and what cannot be read is not touched."""
    kept, removed = 0, []
    for number, folder in enumerate(list_checkpoints(run_dir)):
        try:
            ephemeral = manifest.read(folder, "checkpoint").counts.get("ephemeral", False)
        except UserError:
            continue
        kept += not ephemeral
        too_many = number > 0 if ephemeral else keep and kept > keep
        if too_many and not stays_for_good(folder, keep_every):
            removed.append(folder)
    return removed


def stays_for_good(folder: Path, keep_every: int) -> bool:
    """True for a checkpoint of a step that `keep_every` (0: none) divides."""
    return bool(keep_every) and step_of(folder) % keep_every == 0


def remove(folder: Path) -> None:
    """Delete a checkpoint, its manifest first: half of it is none."""
    (folder / manifest.FILE_NAME).unlink(missing_ok=True)
    shutil.rmtree(folder)


def point_latest(folder: Path) -> None:
    """Write the name of a finished checkpoint into the file `latest` beside it."""
    temporary = folder.with_name("latest.tmp")
    temporary.write_text(f"{folder.name}\n", encoding="utf-8")
    manifest.sync(temporary)
    temporary.replace(folder.with_name("latest"))
    manifest.sync(folder.parent)


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
