"""Which checkpoints a run has, and which of them are complete. Needs no torch, so any command can ask."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import LaterVersion, Manifest

FOLDER = "checkpoints"
NAME = re.compile(r"step-(\d{7}|[1-9]\d{7,})")


def name_of(step: int) -> str:
    """The name of the checkpoint folder of a step: seven digits, more where they do not suffice."""
    return f"step-{step:07d}"


def list_checkpoints(run_dir: Path) -> list[Path]:
    """Finished checkpoint folders, those of later steps first."""
    folders = [folder for folder in (run_dir / FOLDER).glob("step-*") if NAME.fullmatch(folder.name)]
    return sorted(filter(_is_finished, folders), key=step_of, reverse=True)


def _is_finished(folder: Path) -> bool:
    with suppress(OSError):  # no permission to look
        return (folder / manifest.FILE_NAME).is_file()
    return False


def read_verified(folder: Path) -> Manifest:
    """The manifest of a checkpoint whose files match their hashes.

    Raises UserError if one does not, and for a folder with the name of another step: a copy, or renamed.
    """
    found = manifest.read(folder, "checkpoint")
    manifest.verify(folder, found)
    if NAME.fullmatch(folder.name) and (step := found.settings["step"]) != step_of(folder):
        raise UserError(f"{folder} holds step {step}, not the one in its name; rename or remove it")
    return found


def newest_verified(run_dir: Path) -> tuple[Path, Manifest, list[str]] | None:
    """The newest checkpoint whose files match their hashes, and a note for each newer one that does not.

    Returns None when there is no checkpoint at all. Raises UserError when all of them are damaged, and for
    one of a later version, which is not to be passed over.
    """
    problems: list[str] = []
    for folder in list_checkpoints(run_dir):
        try:
            found = read_verified(folder)
        except LaterVersion:
            raise
        except (UserError, OSError) as error:
            problems.append(f"checkpoint {folder.name} is not used: {error}")
            continue
        return folder, found, problems
    if problems:
        raise UserError(f"no checkpoint in {run_dir} is complete: {'; '.join(problems)}")
    return None


def expired(run_dir: Path, keep: int, keep_every: int) -> list[Path]:
    """What retention removes: ephemeral checkpoints with a newer one, and others beyond the newest `keep`
    (0: all stay). What `keep_every` divides stays; what cannot be read, or is a link, is not touched."""
    kept, removed = 0, []
    for number, folder in enumerate(list_checkpoints(run_dir)):
        try:
            ephemeral = manifest.read(folder, "checkpoint").counts.get("ephemeral", False)
        except (UserError, OSError):
            continue
        kept += not ephemeral
        too_many = number > 0 if ephemeral else keep and kept > keep
        if too_many and not is_permanent(folder, keep_every):
            removed.append(folder)
    return removed


def is_permanent(folder: Path, keep_every: int) -> bool:
    """True for a checkpoint of a step that `keep_every` (0: none) divides, and for a link: what it leads
    to was put elsewhere to be kept."""
    return folder.is_symlink() or (bool(keep_every) and step_of(folder) % keep_every == 0)


def remove(folder: Path) -> str:
    """Delete a checkpoint, its manifest first: half of it is none. Returns what went wrong."""
    try:
        (folder / manifest.FILE_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror or error}"
    return ""


def update_latest(folder: Path) -> None:
    """Write the name of a finished checkpoint into the file `latest` beside it."""
    temporary, latest = folder.with_name("latest.tmp"), folder.with_name("latest")
    if latest.is_dir() and not latest.is_symlink():  # somebody else's
        move_away(latest)
    temporary.write_text(f"{folder.name}\n", encoding="utf-8")
    manifest.sync(temporary)
    temporary.replace(latest)
    manifest.sync(folder.parent)


def quarantine(run_dir: Path, after_step: int) -> None:
    """Rename checkpoints of later steps than the one a run resumes from, so that none of them is ever
    taken for the newest, or kept instead of a good one."""
    for folder in list_checkpoints(run_dir):
        if step_of(folder) > after_step:
            move_away(folder)


def move_away(folder: Path) -> Path:
    """Give a folder, or a link, a name that no checkpoint has. Returns its new path."""
    names = (folder.with_name(f"{folder.name}.unused-{number}") for number in itertools.count())
    return folder.replace(next(name for name in names if not os.path.lexists(name)))


def step_of(folder: Path) -> int:
    """The optimizer step a checkpoint folder is named after."""
    return int(folder.name.removeprefix("step-"))
