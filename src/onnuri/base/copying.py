"""Copies of folders: contents, never modes. What is write-protected there can still be written here."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

Ignore = Callable[[str, list[str]], Collection[str]]


def copy_contents(source: Path, target: Path, ignore: Ignore | None = None) -> None:
    """Copy the files below a folder into another, but for those that are equal there already.

    Args:
        ignore: as of `shutil.copytree`: from a folder and the names in it to those that are not copied.
    """
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in source.iterdir())
    left_out = ignore(str(source), names) if ignore else ()
    for name in names:
        old, new = source / name, target / name
        if name in left_out:
            continue
        if old.is_dir():
            copy_contents(old, new, ignore)
        elif not (new.is_file() and filecmp.cmp(old, new, shallow=False)):
            shutil.copyfile(old, new)
