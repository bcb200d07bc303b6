"""Lines of a byte stream in bounded memory, however long a line is and however it is encoded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol, cast

from onnuri.corpus.reading import compression, encoding, labels

CHUNK_BYTES = 1 << 20
MOST_BYTES_PASSED_OVER = 1 << 28
"""A packed line that is longer ends the reading: it could be a bomb."""


class Readable(Protocol):
    """Something that bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most so many of them."""


class Line(NamedTuple):
    """A line without its line feed. `size` is more than len(content) where only the beginning is kept."""

    offset: int
    content: bytes
    size: int
    damage: str = ""
    """What is wrong with the stream here; `content` is then what could be read of the line."""


def lines(
    stream: BinaryIO, limit: int, start: int = 0, stop: int | None = None, packed: bool = False
) -> Iterator[Line]:
    """The lines that begin in [start, stop) of a stream.

    Of a line over `limit` bytes the first `limit` are kept. A stream with start > 0 must be seekable.
    Damage in a compressed stream is a line of its own, and those of the next member follow. Raises
    ValueError in a `packed` stream when a line is longer than MOST_BYTES_PASSED_OVER.
    """
    offset = start
    if start:
        stream.seek(start - 1)
        offset = _after_line_feed(stream, start - 1, stop)
        stream.seek(offset)
    # read1 gives what is there: of a damaged stream all that comes before the damage.
    take = getattr(stream, "read1", stream.read)
    held: list[bytes] = []  # the beginning of the present line
    kept = size = 0  # bytes in `held`, and of the line so far
    while stop is None or offset < stop:
        try:
            chunk = take(CHUNK_BYTES)
        except compression.Damaged as error:
            held.append(error.salvaged[: limit - kept])
            yield Line(offset, b"".join(held), min(limit, size + len(error.salvaged)), str(error))
            offset += size + len(error.salvaged)
            held, kept, size = [], 0, 0
            continue
        if not chunk:
            if size:
                yield Line(offset, b"".join(held), size)
            return
        for number, piece in enumerate(chunk.split(b"\n")):
            if number:
                yield Line(offset, b"".join(held), size)
                offset += size + 1
                held, kept, size = [], 0, 0
                if stop is not None and offset >= stop:
                    return
            if kept < limit:
                held.append(piece[: limit - kept])
                kept += len(held[-1])
            size += len(piece)
        if packed and size > max(limit, MOST_BYTES_PASSED_OVER):
            raise ValueError(f"a line of more than {size:,} bytes; the rest is not read")


def _after_line_feed(stream: BinaryIO, offset: int, stop: int | None) -> int:
    """Where the line after the first line feed begins; an offset from `stop` on if none comes before it."""
    while stop is None or offset < stop:
        chunk = stream.read(CHUNK_BYTES)
        newline = chunk.find(b"\n")
        if newline >= 0 or not chunk:
            return offset + newline + 1
        offset += len(chunk)
    return offset


def wide_codec(stream: BinaryIO, declared: str) -> str:
    """The codec of a stream in UTF-16 or UTF-32, by declaration, byte order mark or look; "" for others."""
    codec = labels.codec_of(declared)
    if codec.startswith(("utf-16", "utf-32")):
        return codec
    head = compression.head_of(stream, 1 << 12)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return encoding.wide(head) if b"\0" in head else ""


def as_utf8(stream: Readable, codec: str) -> BinaryIO:
    """A stream of another encoding as UTF-8."""
    return cast(BinaryIO, _Recoded(stream, codec))


def ends_in_returns(stream: BinaryIO) -> bool:
    """Whether lines end in carriage returns alone, as on old Macs and in Excel's "CSV (Macintosh)"."""
    head = compression.head_of(stream, 1 << 16)
    return b"\r" in head[:-1] and b"\n" not in head


def with_line_feeds(stream: BinaryIO) -> BinaryIO:
    """A stream with line feeds for its carriage returns."""
    return cast(BinaryIO, _LineFeeds(stream))


class _LineFeeds:
    def __init__(self, stream: BinaryIO) -> None:
        self._take = getattr(stream, "read1", stream.read)

    def read(self, size: int) -> bytes:
        """Some bytes, none at the end."""
        chunk: bytes = self._take(size)
        return chunk.replace(b"\r", b"\n")


class _Recoded:
    def __init__(self, stream: Readable, codec: str) -> None:
        self._stream, self._codec = stream, codec
        self._decoder = codecs.getincrementaldecoder(codec)()

    def read(self, size: int) -> bytes:
        """Some bytes, none at the end."""
        while raw := self._stream.read(size):
            if text := self._decoder.decode(raw):
                return labels.with_backslashes(text, self._codec).encode("utf-8", "surrogatepass")
        return self._decoder.decode(b"", final=True).encode()
