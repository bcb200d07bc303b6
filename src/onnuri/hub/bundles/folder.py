"""Folders that get their name when all of them is on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnuri.base.errors import UserError, system_error
from onnuri.base.manifest import sync


def partial_of(folder: Path) -> Path:
    """Where a folder is while it is being built."""
    return folder.with_name(folder.name + ".partial")


def name_it(folder: Path) -> None:
    """Give a folder that is complete its name."""
    partial_of(folder).replace(folder)
    sync(folder.parent)


@contextmanager
def built(option: str, folder: Path) -> Iterator[Path]:
    """The folder to write into; it gets its name at the end, and is deleted after an exception.

    Raises UserError if it is there already, and for what the operating system refuses.
    """
    partial = partial_of(folder)
    for path in (folder, partial):
        if path.exists():
            raise UserError(f"{option}={path} is there already: give another folder, or delete it")
    try:
        partial.mkdir(parents=True, mode=0o700)
        try:
            yield partial
            sync(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        name_it(folder)
    except OSError as error:
        raise system_error(error, folder) from None
