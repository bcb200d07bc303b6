"""Xorbs of uploads that are under way, and how files are made of them.

A file becomes a plain content when its shard comes. Xorbs are kept for a day after that, for clients upload
less when they know what is there. They are kept apart by repository and epoch, so that no hash reaches the
bytes of another repository; addresses hold the epoch, and a client forgets what it knew at a new address.

A client that was cut off asks for chunks by their hash, and learns which xorbs its user has sent already.
What came of a xorb that was cut off is a xorb itself. An empty file HASH.USER says who sent one.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, update

from onnuri.base.manifest import sync
from onnuri.hub import repositories, schema
from onnuri.hub.blobs import Incoming
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.xet.formats import (
    File,
    Tree,
    XorbReader,
    file_hash,
    from_hex,
    to_hex,
    verification_hash,
    write_shard,
)

if TYPE_CHECKING:
    from onnuri.hub.database import Database

KEPT = 24 * 3600.0
"""Seconds: how long an epoch takes new xorbs, and how long it is kept after its last one."""
_LISTED = struct.Struct("<32sI")
"""Of a chunk, in the index of a xorb: its hash, and where it ends."""
_AT_ONCE = 1 << 20
MOST_DESCRIBED = 3 << 20
"""Bytes of indexes that an answer to a client is made of: about 85 xorbs of 64 MiB. Clients remember older
ones by themselves."""


class Xorb:
    """One that is being received: its chunks go to a file as they are without compression."""

    def __init__(self, folder: Path, expected: bytes, user: int) -> None:
        self.folder, self.expected, self.user = folder, expected, user
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._temporary = folder / f"{secrets.token_hex(8)}.new"
        self._stream = self._temporary.open("xb")
        self._reader, self._index = XorbReader(), bytearray()

    def write(self, piece: bytes | bytearray) -> None:
        """The next bytes of the body. Raises HubError for what is no xorb."""
        for digest, raw in self._reader.feed(piece):
            self._stream.write(raw)
            self._index += _LISTED.pack(digest, self._stream.tell())

    def finish(self) -> bool:
        """Keep it; whether it is new. Raises HubError if it is not the one that was announced."""
        if self._reader.finish() != self.expected:
            raise bad_request("the xorb has another hash than its address says")
        return self._keep(self.expected)

    def keep_part(self) -> None:
        """After the body broke off: keep the chunks that came, as a xorb of their own."""
        if self._index and len(self._index) == self._reader.count * _LISTED.size:
            self._keep(self._reader.tree.root())

    def _keep(self, digest: bytes) -> bool:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        path = self.folder / to_hex(digest)
        index = path.with_suffix(".index")
        new = not index.exists()
        self._temporary.replace(path)
        with self._temporary.open("xb") as stream:
            stream.write(self._index)
            stream.flush()
            os.fsync(stream.fileno())
        self._temporary.replace(index)  # what has an index is complete
        path.with_suffix(f".{self.user}").touch(mode=0o600)
        sync(self.folder)
        return new

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)


class Xorbs:
    """All of them: FOLDER/REPOSITORY/EPOCH/HASH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True, mode=0o700)

    def receiving(self, uid: str, epoch: int, expected: bytes, user: int) -> Xorb:
        """A xorb to be written, which this user sends."""
        return Xorb(self.folder / uid / str(epoch), expected, user)

    def describe(self, uid: str, epoch: int, user: int, chunk: bytes) -> bytes | None:
        """A shard of the latest xorbs that this user has sent, if one of them has this chunk.

        All of these are searched, whatever is asked: the time tells nothing about other users' xorbs.
        """
        folder, sent = self.folder / uid / str(epoch), []
        for path in folder.glob(f"*.{user}"):
            with suppress(FileNotFoundError):  # the epoch is being deleted
                sent.append((path.stat().st_mtime, path))
        sent.sort(reverse=True)
        indexes: list[tuple[bytes, bytes]] = []
        size, there = 0, False
        for _, path in sent:
            with suppress(FileNotFoundError):
                index = path.with_suffix(".index").read_bytes()
                size += len(index)
                if size > MOST_DESCRIBED:
                    break
                there |= chunk in index
                indexes.append((from_hex(path.stem), index))
        if not there:
            return None
        newest = int(sent[0][0])
        xorbs = ((digest, list(_LISTED.iter_unpack(index))) for digest, index in indexes)
        return write_shard(xorbs, newest, newest + int(KEPT))

    def check(self, uid: str, epoch: int, file: File) -> None:
        """Raises HubError if one that the file is made of is not there."""
        folder = self.folder / uid / str(epoch)
        known: set[bytes] = set()
        for segment in file.segments():
            if segment.xorb not in known and not _index(folder, segment.xorb).is_file():
                raise _unknown(segment.xorb)
            known.add(segment.xorb)

    def materialise(self, uid: str, epoch: int, file: File, incoming: Incoming) -> str:
        """Write a file's bytes; returns its sha256.

        Raises HubError if its hash, its sha256 or the verification of a segment is another than was sent.
        """
        folder, tree = self.folder / uid / str(epoch), Tree()

        @lru_cache(maxsize=32)
        def opened(xorb: bytes) -> tuple[bytes, io.FileIO]:
            try:
                stream = (folder / to_hex(xorb)).open("rb", buffering=0)
                return _index(folder, xorb).read_bytes(), stream
            except FileNotFoundError:
                raise _unknown(xorb) from None

        for segment in file.segments():
            (index, stream), size = opened(segment.xorb), _LISTED.size
            if segment.stop * size > len(index):
                raise bad_request("a segment of the file has more chunks than its xorb")
            chunks = [
                _LISTED.unpack_from(index, number * size) for number in range(segment.start, segment.stop)
            ]
            first = _LISTED.unpack_from(index, (segment.start - 1) * size)[1] if segment.start else 0
            if chunks[-1][1] - first != segment.size:
                raise bad_request("a segment of the file has another length than its chunks")
            joined = b"".join(digest for digest, _ in chunks)
            if segment.verification and segment.verification != verification_hash(joined):
                raise bad_request("the verification of a segment does not match its chunks")
            stop = first
            for digest, end in chunks:
                tree.add(digest, end - stop)
                stop = end
            _copy(stream, first, stop, incoming.write)
        if file.count and file_hash(tree.root()) != file.hash:
            raise bad_request("the file's chunks have another hash than the shard says")
        sha256 = incoming.finish()
        if file.sha256 and sha256 != file.sha256:
            raise bad_request("the file's bytes have another sha256 than the shard says")
        return sha256

    def pending(self, uid: str) -> int:
        """Bytes of all xorbs of a repository."""
        return sum(path.stat().st_size for path in (self.folder / uid).glob("*/*"))

    def sweep(self, database: Database, kept: float = KEPT) -> int:
        """Begin new epochs where the present one has lasted, and delete what is old; returns how many."""
        removed = 0
        for folder in self.folder.iterdir():
            with database.writing() as connection:
                for epoch in folder.iterdir():
                    if self._has_ended(connection, folder.name, epoch, time.time() - kept):
                        shutil.rmtree(epoch, ignore_errors=True)
                        removed += 1
            if not any(folder.iterdir()):
                folder.rmdir()
        return removed

    def _has_ended(self, connection: Connection, uid: str, folder: Path, limit: float) -> bool:
        repository = repositories.by_uid(connection, uid)
        if repository is None:
            return True
        times = _times(folder)
        now = repository.epoch
        if int(folder.name) == now and min(times) < limit:
            table = schema.repositories
            connection.execute(update(table).where(table.c.uid == uid).values(epoch=now + 1))
            now += 1
        return int(folder.name) < now and max(times) < limit


def _index(folder: Path, xorb: bytes) -> Path:
    return folder / f"{to_hex(xorb)}.index"


def _unknown(xorb: bytes) -> HubError:
    return bad_request(f"the xorb {to_hex(xorb)} was not uploaded to this repository: upload again")


def _times(folder: Path) -> list[float]:
    found = [folder.stat().st_mtime]
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it was renamed
            found.append(path.stat().st_mtime)
    return found[1:] or found


def _copy(stream: io.FileIO, start: int, stop: int, write: Callable[[memoryview], None]) -> None:
    buffer = memoryview(bytearray(min(_AT_ONCE, stop - start)))
    stream.seek(start)
    while start < stop:
        count = stream.readinto(buffer[: stop - start])
        if not count:
            raise bad_request("a xorb of the file is damaged: upload again")
        write(buffer[:count])
        start += count
