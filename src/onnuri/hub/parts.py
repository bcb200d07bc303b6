"""Contents that come in parts: one file each, which every part is written into where it belongs.

Parts that come in their order are hashed as they come. Otherwise the file is read again when it is
complete; so a hub that was killed in between needs no record of what was there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnuri.hub.blobs import let_go
from onnuri.hub.errors import HubError

NAME = re.compile(r"[0-9a-f]{1,64}-\d{1,18}-[0-9a-f]{64}")
READ = 4 << 20


@dataclass
class _State:
    """Of a file that parts come for."""

    writers: int = 0
    hash: Any = field(default_factory=hashlib.sha256)
    hashed: int = 0
    """Bytes from the start that `hash` has seen; -1: a part came out of order."""


class Part:
    """A part that is being written."""

    def __init__(self, descriptor: int, offset: int, size: int, hash: Any) -> None:
        self._descriptor, self._offset, self.left, self.hash = descriptor, offset, size, hash

    def write(self, piece: bytes | bytearray) -> None:
        """Its next bytes. Raises HubError if there are more than it has."""
        if len(piece) > self.left:
            raise HubError(413, "the part is larger than was said")
        self.left -= len(piece)
        if self.hash:
            self.hash.update(piece)
        start, rest = self._offset, memoryview(piece)
        while rest:
            done = os.pwrite(self._descriptor, rest, self._offset)
            self._offset += done
            rest = rest[done:]
        if self.hash:  # a part that came before its turn is read again
            let_go(self._descriptor, start, len(piece))


class Parts:
    """The files. All methods may be called from several threads."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        self.folder, self._incoming = folder, incoming
        folder.mkdir(exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise HubError(400, "an upload is named by repository, user and sha256")
        return self.folder / name

    def begin(self, name: str) -> None:
        """Make the file, if it is not there."""
        self._path(name).touch(mode=0o600)

    @contextmanager
    def part(self, name: str, offset: int, size: int) -> Iterator[Part]:
        """Write a part. Raises HubError if the upload was not begun, or the part ends early."""
        with self._lock:
            state = self._states.setdefault(name, _State())
            if offset == 0 and not state.writers:
                state.hash, state.hashed = hashlib.sha256(), 0
            in_order = state.hashed == offset and not state.writers
            if not in_order:
                state.hashed = -1
            try:
                descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise HubError(404, "the upload has ended or was given up: begin it again") from None
            state.writers += 1
        part = Part(descriptor, offset, size, state.hash.copy() if in_order else None)
        try:
            yield part
            if part.left:
                raise HubError(400, f"the part lacks {part.left:,} bytes")
            with self._lock:
                if state.hashed == offset and part.hash:
                    state.hash, state.hashed = part.hash, offset + size
        finally:
            os.close(descriptor)
            with self._lock:
                state.writers -= 1

    def take(self, name: str, size: int) -> tuple[Path, str]:
        """Path and sha256 of a file that is complete and on disk; nobody can write to it any more.

        Raises HubError if a part is still being written, or if there is none of this size.
        """
        target = self._incoming / f"{int(time.time())}-{secrets.token_hex(8)}"
        with self._lock:
            state = self._states.get(name, _State())
            path = self._path(name)
            if state.writers:
                raise HubError(409, "a part is still coming: complete the upload after it")
            if not path.is_file() or path.stat().st_size != size:
                raise HubError(400, f"the parts do not make {size:,} bytes: upload the file again")
            path.replace(target)
            self._states.pop(name, None)
        with target.open("r+b") as stream:
            if state.hashed == size:
                sha256 = state.hash.hexdigest()
            else:
                digest = hashlib.sha256()
                while piece := stream.read(READ):
                    digest.update(piece)
                sha256 = digest.hexdigest()
            os.fsync(stream.fileno())
        return target, sha256

    def pending(self, uid: str) -> int:
        """Bytes on disk that wait for the rest, of one repository."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.glob(f"{uid}-*"))

    def sweep(self, seconds: float) -> int:
        """Delete what nothing was written to for so long; returns the number of files."""
        removed = 0
        for path in list(self.folder.iterdir()):
            with self._lock:
                state = self._states.get(path.name)
                if time.time() - path.stat().st_mtime > seconds and not (state and state.writers):
                    path.unlink()
                    self._states.pop(path.name, None)
                    removed += 1
        return removed
