"""Lines of a byte stream in bounded memory, however long a line is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

CHUNK_BYTES = 1 << 20
MOST_BYTES_PASSED_OVER = 1 << 28
"""A packed line that goes on for longer ends the reading: it could be a bomb."""


class Line(NamedTuple):
    """A line without its line feed. `size` is more than len(content) where only the beginning is kept."""

    offset: int
    content: bytes
    size: int


def lines(
    stream: BinaryIO, limit: int, start: int = 0, stop: int | None = None, packed: bool = False
) -> Iterator[Line]:
    """The lines that begin in [start, stop) of a stream.

    Of a line over `limit` bytes the first `limit` are kept. A stream with start > 0 must be seekable.
    Raises ValueError in a `packed` stream when a line is longer than MOST_BYTES_PASSED_OVER.
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
        chunk = take(CHUNK_BYTES)
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
    """Where the line after the first line feed begins; any place from `stop` on if none comes before it."""
    while stop is None or offset < stop:
        chunk = stream.read(CHUNK_BYTES)
        place = chunk.find(b"\n")
        if place >= 0 or not chunk:
            return offset + place + 1
        offset += len(chunk)
    return offset
