"""Contents of files, by their sha256: plain files in the data folder.

A content is written beside its final path, hashed as it comes, put on disk, and then renamed: what has a
path is complete. Whether a caller may have it is not decided here (`access`): a hash is no permission.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from onnuri.base.manifest import sync
from onnuri.hub.errors import HubError

SHA256 = re.compile(r"[0-9a-f]{64}")
SLICE = 1 << 20
"""Bytes read at a time."""


class BlobStore(Protocol):
    """What holds contents. All methods may be called from several threads."""

    def has(self, sha256: str) -> bool:
        """Whether it holds this one."""

    def add(self, path: Path, sha256: str) -> None:
        """Take over a complete, synced file of this hash. Its path is gone afterwards."""

    def read(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """Its bytes from `start` up to `stop`."""

    def local(self, sha256: str) -> Path | None:
        """The file, where it is one on this machine."""

    def remove(self, sha256: str, before: float) -> bool:
        """Forget it, unless it came, or came again, after `before`; whether it was forgotten."""

    def every(self) -> Iterator[tuple[str, float]]:
        """All hashes, each with when it came."""


def let_go(descriptor: int, start: int = 0, size: int = 0) -> None:
    """Begin to put bytes of a file on disk (size 0: all), and forget those that are there already.

    An upload otherwise waits for all of it at its end, takes ever new memory, and drives out what others
    read.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)


class Incoming:
    """A content that is being written, in a folder for what is not complete yet."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{int(time.time())}-{secrets.token_hex(8)}"
        self._stream: BinaryIO = self.path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append."""
        self._hash.update(piece)
        self._stream.write(piece)
        self.size += len(piece)
        let_go(self._stream.fileno())

    def finish(self) -> str:
        """Put it on disk; returns its sha256."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Forget it."""
        self._stream.close()
        self.path.unlink(missing_ok=True)


class FileStore:
    """Contents as files of a folder: for this user alone, or for its group to read, as a web server that
    sends them must."""

    def __init__(self, folder: Path, group_reads: bool = False) -> None:
        self.folder = folder
        self._folder_mode, self._file_mode = (0o750, 0o640) if group_reads else (0o700, 0o600)
        self._lock = threading.Lock()
        """A content that comes again must not be removed in the same moment."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if stat.S_IMODE(folder.stat().st_mode) != self._folder_mode:  # started with another option
            for path in folder.glob("??/*"):
                path.chmod(self._file_mode)
            for path in (*folder.glob("??"), folder):
                path.chmod(self._folder_mode)

    def path(self, sha256: str) -> Path:
        """Where a content is, or would be."""
        if not SHA256.fullmatch(sha256):
            raise HubError(400, "a hash has 64 hexadecimal digits")
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether it is there."""
        return self.path(sha256).is_file()

    def add(self, path: Path, sha256: str) -> None:
        """Take over a file."""
        target = self.path(sha256)
        with self._lock:
            known = target.is_file()
            if known:
                os.utime(target)  # its grace begins anew
        if known:
            path.unlink()
            return
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            target.parent.chmod(self._folder_mode)
            sync(self.folder)
        path.chmod(self._file_mode)
        path.replace(target)
        sync(target.parent)

    def read(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """Its bytes."""
        with self.path(sha256).open("rb") as stream:
            stream.seek(start)
            while start < stop and (piece := stream.read(min(SLICE, stop - start))):
                start += len(piece)
                yield piece

    def local(self, sha256: str) -> Path | None:
        """Its file."""
        return self.path(sha256)

    def remove(self, sha256: str, before: float) -> bool:
        """Delete it."""
        path = self.path(sha256)
        with self._lock:
            if not path.is_file() or path.stat().st_mtime >= before:
                return False
            path.unlink()
        return True

    def every(self) -> Iterator[tuple[str, float]]:
        """All of them."""
        for path in self.folder.glob("??/*"):
            if SHA256.fullmatch(path.name):
                yield path.name, path.stat().st_mtime
