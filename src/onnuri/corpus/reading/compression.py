"""Compressed streams by their first bytes: gzip, Zstandard, xz, bzip2, whatever a file is called.

A file may hold several members (`cat a.gz b.gz`, bgzip, parallel compressors). Damage costs its member
alone: it is raised as `Damaged` once, the next read continues with the next member. Readers of the standard
library and of zstandard lose all that follows. Memory: a window of the format (Zstandard's long mode: up to
2 GiB, of which the content touches only as much as it is long) and a few hundred kilobytes.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from typing import Any, BinaryIO, cast

CHUNK_BYTES = 1 << 17
ZSTANDARD_CHUNK_BYTES = 2048
"""So little that the most highly compressed of it, 128 kB in 4 bytes, still fits in memory."""
MOST_WINDOW_BYTES = 1 << 31
"""Of Zstandard: what --long=31 asks for, the most that the format's library knows."""
USUAL_WINDOW_BYTES = 1 << 27
"""Content in a larger window is refused when it is a bomb, for the window then fills with it."""
MOST_XZ_BYTES = 1 << 28
"""Memory to unpack xz; its highest setting (-9) takes 65 MiB."""
MOST_RATIO = 300
SALVAGE_STEPS = (4096, 64, 1)
LEAST_HEAD = 18

_BEGINS = {
    "gzip": re.compile(rb"\x1f\x8b\x08[\x00-\x1f]", re.DOTALL),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
}
"""How a member begins."""
_NEXT = _BEGINS | {
    "gzip": re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
"""The same in the midst of other bytes, where it must be distinguished from chance."""


class Damaged(ValueError):
    """A damaged or cut member. The next read continues with what can be read of the file.

    `salvaged`: the last bytes of the member that could be unpacked; they may hold the damage.
    """

    def __init__(self, cause: str, salvaged: bytes = b"") -> None:
        super().__init__(cause)
        self.salvaged = salvaged


def kind_of(head: bytes) -> str:
    """The compression that the first bytes of a file (18 or more, if it has them) tell, "" for none."""
    return next((kind for kind, begin in _BEGINS.items() if begin.match(head)), "")


def unpacked(stream: BinaryIO, owned: bool = False) -> BinaryIO:
    """The content of a stream from its beginning, decompressed if its first bytes say so.

    `stream` must be seekable; it is closed with what is returned if `owned`. Reads raise Damaged, and
    ValueError for what cannot be read to its end.
    """
    stream.seek(0)
    kind = kind_of(stream.read(LEAST_HEAD))
    stream.seek(0)
    return cast(BinaryIO, io.BufferedReader(Unpacked(stream, kind, owned), CHUNK_BYTES)) if kind else stream


def is_unpacked(stream: object) -> bool:
    """Whether a stream of `unpacked` is decompressed on the way, so that it may be longer than its file."""
    return isinstance(getattr(stream, "raw", None), Unpacked)


def head_of(stream: BinaryIO, size: int) -> bytes:
    """The decompressed beginning of a file, or of a stream of `unpacked` that nothing was read of yet.

    The stream is at its beginning again. What is damaged gives fewer bytes.
    """
    inner = cast(Any, stream).raw.stream if is_unpacked(stream) else stream
    try:
        return read_up_to(unpacked(inner), size)[0]
    except (OSError, EOFError, ValueError):
        return b""
    finally:
        inner.seek(0)


def read_up_to(stream: BinaryIO, size: int) -> tuple[bytes, str]:
    """At most `size` bytes, and what is wrong with a stream that is damaged before ("" for nothing)."""
    parts: list[bytes] = []
    take = getattr(stream, "read1", stream.read)
    try:
        while size > 0 and (part := take(min(size, 1 << 20))):
            parts.append(part)
            size -= len(part)
    except Damaged as error:
        return b"".join([*parts, error.salvaged[: max(size, 0)]]), str(error)
    return b"".join(parts), ""


class _Gzip:
    """A member. After `unpack`, `rest` is what it left of its input, `pending` says that it holds more."""

    def __init__(self) -> None:
        self.inner = zlib.decompressobj(31)
        self.rest, self.pending = b"", False

    def unpack(self, packed: bytes) -> bytes:
        out = self.inner.decompress(packed, CHUNK_BYTES)
        self.rest = self.inner.unused_data if self.inner.eof else self.inner.unconsumed_tail
        return out

    @property
    def finished(self) -> bool:
        return self.inner.eof


class _Buffering:
    """The same for bz2 and xz, whose objects hold back what is too much."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.rest, self.pending = b"", False

    def unpack(self, packed: bytes) -> bytes:
        out: bytes = self.inner.decompress(packed, CHUNK_BYTES)
        self.rest = self.inner.unused_data if self.inner.eof else b""
        self.pending = not self.inner.eof and not self.inner.needs_input
        return out

    @property
    def finished(self) -> bool:
        return bool(self.inner.eof)


class _Zstandard:
    """The same for a frame."""

    def __init__(self, head: bytes) -> None:
        import zstandard

        self.inner = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES).decompressobj()
        self.rest, self.pending = b"", False
        self.taken = self.given = 0
        try:
            self.is_long = zstandard.get_frame_parameters(head).window_size > USUAL_WINDOW_BYTES
        except zstandard.ZstdError:
            self.is_long = False

    def unpack(self, packed: bytes) -> bytes:
        out: bytes = self.inner.decompress(packed)
        self.rest = self.inner.unused_data if self.inner.eof else b""
        self.taken += len(packed)
        self.given += len(out)
        if self.is_long and self.given > max(USUAL_WINDOW_BYTES, MOST_RATIO * self.taken):
            raise ValueError(f"a bomb: {self.given:,} bytes from {self.taken:,} in a long window")
        return out

    @property
    def finished(self) -> bool:
        return bool(self.inner.eof)


class Unpacked(io.RawIOBase):
    """The content of all members of a compressed stream, one after the other."""

    def __init__(self, stream: BinaryIO, kind: str, owned: bool) -> None:
        import zstandard

        self.stream, self._kind, self._owned = stream, kind, owned
        self._chunk_bytes = ZSTANDARD_CHUNK_BYTES if kind == "zstd" else CHUNK_BYTES
        self._errors = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError, EOFError)
        self._packed = self._fed = b""
        """Read and not yet unpacked; what was unpacked last."""
        self._end = 0
        """Of `_packed`, in the file."""
        self._member: Any = None
        self._begin = 0
        self._given = True
        """Whether anything was given out since the last damage."""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not len(self._ready):
            content = self._next()
            if content is None:
                return 0
            self._ready = memoryview(content)
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _read(self) -> bytes:
        packed = self.stream.read(self._chunk_bytes)
        self._end += len(packed)
        return packed

    def _next(self) -> bytes | None:
        """Some content or none yet; None at the end of the file."""
        member = self._member
        if not self._packed and not (member and member.pending):
            self._packed = self._read()
            if not self._packed:
                return self._at_end()
        if member is None:
            if self._end > len(self._packed):
                self._packed = self._packed.lstrip(b"\0")  # padding between members
            if not self._packed:
                return b""
            while len(self._packed) < LEAST_HEAD and (more := self._read()):
                self._packed += more
            self._begin = self._end - len(self._packed)
            if not _BEGINS[self._kind].match(self._packed):
                return self._damaged("no member begins here")
            self._member = member = self._new_member()
        before = member.inner.copy() if self._kind == "gzip" else None
        try:
            content: bytes = member.unpack(self._packed)
        except self._errors as error:
            if isinstance(error, OSError) and error.errno:
                raise
            return self._damaged(" ".join(str(error).split()), before)
        self._fed = self._packed or self._fed
        self._packed = member.rest
        if member.finished:
            self._member = None
        self._given = self._given or bool(content)
        return content

    def _new_member(self) -> Any:
        if self._kind == "gzip":
            return _Gzip()
        if self._kind == "zstd":
            return _Zstandard(self._packed)
        if self._kind == "bz2":
            return _Buffering(bz2.BZ2Decompressor())
        return _Buffering(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_XZ_BYTES))

    def _at_end(self) -> bytes | None:
        if self._member is None:
            return None
        content: bytes = self._member.unpack(b"")
        if content:
            return content
        self._member = None
        raise Damaged(
            f"cut: the file ends inside the {self._kind} member that begins at byte {self._begin:,}"
        )

    def _damaged(self, cause: str, before: Any = None) -> bytes:
        """Go to the next member and raise Damaged; no more than once for damage in a row."""
        salvaged = _salvaged(before, self._packed) if before is not None else b""
        self._packed = self._packed or self._fed
        own = self._begin == self._end - len(self._packed)
        self._packed, self._fed, self._member = self._packed[own:], b"", None
        after = self._find_member()
        if not self._given:
            return b""
        self._given = False
        what = f"damaged {self._kind} member at byte {self._begin:,}: {cause}"
        if after < 0:
            what += f"; the last {self._end - self._begin:,} bytes of the file are not read"
        else:
            what += f"; reading resumes at byte {after:,}"
        raise Damaged(what, salvaged)

    def _find_member(self) -> int:
        """Where in the file the next member begins, -1 if there is none."""
        while True:
            if found := _NEXT[self._kind].search(self._packed):
                self._packed = self._packed[found.start() :]
                return self._end - len(self._packed)
            chunk = self._read()
            if not chunk:
                self._packed = b""
                return -1
            self._packed = self._packed[-LEAST_HEAD:] + chunk

    def close(self) -> None:
        if self._owned:
            self.stream.close()
        super().close()


def _salvaged(before: Any, packed: bytes) -> bytes:
    """What a member gives up to the damage, a little at a time."""
    parts: list[bytes] = []
    for step in SALVAGE_STEPS:
        while True:
            here = before.copy()
            try:
                part = before.decompress(packed, step)
            except zlib.error:
                before = here
                break
            if not part:
                return b"".join(parts)
            parts.append(part)
            packed = before.unconsumed_tail
    return b"".join(parts)
