"""From the name of a run or checkpoint to its run directory: one rule for every command that takes one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from onnuri.base.errors import UserError
from onnuri.run.checkpoints import FOLDER
from onnuri.run.run_file import RUN_FILE

LATEST = "latest"
"""File in the folder of checkpoints that names the newest of them."""
MOST_LINKS = 40
"""As many as Linux follows."""


class Located(NamedTuple):
    """What a name stands for."""

    run_dir: Path
    checkpoint: Path | None
    """The one that was named; None for the run as a whole."""


def locate(name: str) -> Located:
    """The run, and the checkpoint if one is named.

    `name` is RUN_DIR, RUN_DIR/checkpoints, a folder in it, RUN_DIR/checkpoints/latest, or a link to one of
    them, absolute or relative. Raises UserError for anything else.
    """
    if not name:
        raise UserError("the name of the run directory is empty: a shell variable that is not set?")
    if found := find_run(name):
        return found
    if not Path(name).exists():
        raise UserError(f"{name} does not exist")
    raise UserError(f"{name} is neither a run directory nor a checkpoint of one")


def run_directory(name: str) -> Path:
    """The run directory that a name stands for, the name itself where it stands for none."""
    found = find_run(name)
    return found.run_dir if found else Path(name)


def find_run(name: str) -> Located | None:
    """As `locate`, but None for what is no run."""
    try:
        return next(filter(None, map(_run_of, _names(name))), None)
    except OSError as error:
        raise UserError(f"{name} cannot be looked at: {error.strerror}") from None


def _run_of(path: Path) -> Located | None:
    """What a path itself stands for, with no look at where it leads."""
    if (path / RUN_FILE).is_file():
        return Located(path, None)
    if path.name == FOLDER and (path.parent / RUN_FILE).is_file():
        return Located(path.parent, None)
    if path.parent.name == FOLDER and (path.parent.parent / RUN_FILE).is_file():
        if path.is_dir():
            return Located(path.parent.parent, path)
        if path.name == LATEST and path.is_file():
            return Located(path.parent.parent, _newest(path))
    return None


def _names(name: str) -> Iterator[Path]:
    """The names of a path: as written, after each link that it is, and with no link in it at all.

    A checkpoint may itself be a link to a disk where no run directory is around it.
    """
    path = Path(os.path.abspath(name))  # noqa: PTH100 - links stay as they are
    for _ in range(MOST_LINKS):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.abspath(path.parent / path.readlink()))  # noqa: PTH100
    yield Path(os.path.realpath(name))


def _newest(latest: Path) -> Path:
    """The folder that the file `latest` names, beside it."""
    try:
        named = latest.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{latest} cannot be read: {error}") from None
    folder = latest.parent / named
    if named != Path(named).name or not named or not folder.is_dir():
        raise UserError(f"{latest} names no checkpoint beside it: {named[:80]!r}")
    return folder
