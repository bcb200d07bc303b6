"""The contents of a bundle, one after another, cut into files of a fixed size."""

from __future__ import annotations

import bisect
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from onnuri.base.errors import UserError
from onnuri.hub.blobs import SLICE
from onnuri.hub.bundles.signed import open_regular

NAME = "volume-{:05}"
MOST = 99_999


class Writer:
    """Writes volumes of at most `volume_bytes`."""

    def __init__(self, folder: Path, volume_bytes: int) -> None:
        self.folder, self.volume_bytes = folder, volume_bytes
        self.volumes: list[dict[str, Any]] = []
        """Name, bytes and sha256 of each that is complete."""
        self._stream: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Append."""
        view = memoryview(piece)
        while view:
            if self._stream is None:
                if len(self.volumes) == MOST:
                    raise UserError(f"a bundle has at most {MOST:,} volumes: raise volume_bytes")
                self._stream = (self.folder / NAME.format(len(self.volumes) + 1)).open("xb")
                self._hash, self._size = hashlib.sha256(), 0
            part = view[: self.volume_bytes - self._size]
            self._stream.write(part)
            self._hash.update(part)
            self._size += len(part)
            view = view[len(part) :]
            if self._size == self.volume_bytes:
                self.finish()

    def finish(self) -> None:
        """Put the last volume on disk."""
        if self._stream is None:
            return
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._stream = None
        name = NAME.format(len(self.volumes) + 1)
        self.volumes.append({"name": name, "bytes": self._size, "sha256": self._hash.hexdigest()})


class Reader:
    """Reads them. Raises UserError for names and sizes that cannot be, or are not those of the files."""

    def __init__(self, folder: Path, volumes: Any) -> None:
        if not isinstance(volumes, list) or len(volumes) > MOST:
            raise UserError(f"{folder}: volumes is no list of at most {MOST:,}")
        self.folder, self.volumes, self.total = folder, volumes, 0
        self.starts: list[int] = []
        """Offset of each volume."""
        for number, each in enumerate(volumes, start=1):
            if each["name"] != NAME.format(number) or type(each["bytes"]) is not int or each["bytes"] < 1:
                raise UserError(
                    f"{folder}: volume {number} has another name or size than a volume can have"
                )
            if not re.fullmatch("[0-9a-f]{64}", each["sha256"]):
                raise UserError(f"{folder}: volume {number} has no sha256")
            path = folder / each["name"]
            with open_regular(path) as stream:
                found = os.fstat(stream.fileno()).st_size
            if found != each["bytes"]:
                raise UserError(
                    f"{path} has {found:,} bytes and must have {each['bytes']:,}: copy it again"
                )
            self.starts.append(self.total)
            self.total += found

    def scan(self) -> Iterator[bytes]:
        """All bytes, in order. Raises UserError at the end of a volume that is not as it was signed."""
        for each in self.volumes:
            digest, path = hashlib.sha256(), self.folder / each["name"]
            with open_regular(path) as stream:
                while piece := stream.read(SLICE):
                    digest.update(piece)
                    yield piece
            if digest.hexdigest() != each["sha256"]:
                raise UserError(f"{path} was changed or is damaged: copy it again")

    def read(self, start: int, size: int) -> Iterator[bytes]:
        """`size` bytes from the offset `start`."""
        number = bisect.bisect_right(self.starts, start) - 1
        while size > 0 and number < len(self.volumes):
            with open_regular(self.folder / self.volumes[number]["name"]) as stream:
                stream.seek(start - self.starts[number])
                while size > 0 and (piece := stream.read(min(SLICE, size))):
                    start, size = start + len(piece), size - len(piece)
                    yield piece
            number += 1
