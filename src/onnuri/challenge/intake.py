"""Taking in files of strangers: plain files of known names and bounded sizes, copied before anything reads
them. No link is followed, inside or above; no pickle is ever loaded.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.challenge.faults import Refused

LARGEST_JSON = 1 << 20
"""Bytes of an entry or of a challenge's description."""
LARGEST_RECORD = 256 << 20
"""Bytes of a ledger or of metrics: a line a step, 500 bytes each."""
LARGEST_MANIFEST = 16 << 20
BLOCK = 1 << 20


def copy_in(root: Path, name: str, target: Path, most: int) -> None:
    """Copy the file `name` below `root` to `target`.

    Raises Refused if any part of its path is a link, if it is no plain file, or has more than `most` bytes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _opened(root, name) as source, target.open("wb") as copy:
            facts = os.fstat(source)
            if not stat.S_ISREG(facts.st_mode):
                raise Refused("bad files", f"{name} is no plain file")
            left = most
            while block := os.read(source, BLOCK):
                left -= len(block)
                if left < 0:
                    raise Refused("bad files", f"{name} has more than {most:,} bytes")
                copy.write(block)
    except FileNotFoundError:
        raise Refused("bad files", f"{name} is missing") from None
    except OSError as error:
        reason = "it is a link, or below one" if Path(root, name).is_symlink() else error.strerror
        raise Refused("bad files", f"{name} cannot be read: {reason}") from None


@contextmanager
def _opened(root: Path, name: str) -> Iterator[int]:
    """A file below `root`, opened part by part so that no part can be a link."""
    *folders, last = name.split("/")
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        yield file
    finally:
        os.close(file)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object of at most LARGEST_JSON bytes. Raises UserError, which calls the file `what`."""
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST_JSON + 1)
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror or error}") from None
    if len(text) > LARGEST_JSON:
        raise UserError(f"{what} {path} has more than {LARGEST_JSON:,} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} is damaged: {str(error)[:100]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{what} {path} is damaged: it holds no JSON object")
    return content
