"""Best-fit decreasing over millions of documents: items of one length are placed together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from onnuri.tokens.shards import load_array, write_array


class _Rows:
    """Open rows by the room that is left in them."""

    def __init__(self, capacity: int) -> None:
        self.by_room: dict[int, list[np.ndarray]] = defaultdict(list)
        self.has_room = np.zeros(capacity + 1, dtype=bool)

    def put(self, rows: np.ndarray, room: int) -> None:
        """Rows that now have this much room."""
        if len(rows) and room:
            self.by_room[room].append(rows)
            self.has_room[room] = True

    def take(self, room: int, most: int) -> np.ndarray:
        """Up to `most` of the rows that have exactly this much room."""
        rows = np.concatenate(self.by_room[room])
        self.by_room[room] = [rows[most:]] if len(rows) > most else []
        self.has_room[room] = len(rows) > most
        return rows[:most]

    def tightest(self, length: int) -> int | None:
        """The least room, at least `length`, that some row has."""
        at = int(self.has_room[length:].argmax())
        return length + at if self.has_room[length + at] else None


def best_fit(lengths: np.ndarray, capacity: int) -> np.ndarray:
    """The row of each item: int64 [items], rows numbered from 0 without a gap.

    Every item goes to the row that it leaves with the least room, longest items first (best fit
    decreasing), to a new one where it fits in none. Time grows with the number of different lengths more
    than with that of items.

    Args:
        lengths: [items], from 1 to `capacity`.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    result = np.empty(len(order), dtype=np.int64)
    rows, num_rows = _Rows(capacity), 0
    values, counts = np.unique(np.asarray(lengths), return_counts=True)
    done = 0
    for length, count in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
        stop = done + count
        while done < stop:
            room = rows.tightest(length)
            each = (room or capacity) // length
            wanted = -(-(stop - done) // each)
            if room is None:
                room, chosen = capacity, np.arange(num_rows, num_rows + wanted)
                num_rows += wanted
            else:
                chosen = rows.take(room, wanted)
            size = min(each * len(chosen), stop - done)
            result[order[done : done + size]] = np.repeat(chosen, each)[:size]
            full, rest = divmod(size, each)
            rows.put(chosen[:full], room - each * length)
            rows.put(chosen[full:], room - rest * length)
            done += size
    return result


PIECE = np.dtype([("shard", "<u4"), ("start", "<u8"), ("length", "<u8")])
"""A document, or a part of one longer than a row, in one of several shards."""
TOGETHER = 1 << 20
"""Most documents that are laid out at once, of a shard or of several: small ones fill each other's rows."""
VERSION = 2
"""Of the rows that come out, kept with a run. 1: every shard was laid out alone."""
Layout = tuple[np.ndarray, np.ndarray]
"""PIECE rows, those of one row together, and where each row begins among them, uint64 [rows + 1]."""


def lay_out(tables: Sequence[np.ndarray], sequence_length: int, first: int = 0) -> Layout:
    """Rows of at most `sequence_length` tokens out of the documents of some shards.

    Args:
        tables: DOCUMENT rows of each shard.
        first: number of the first of them.
    """
    documents = np.concatenate([each[["offset", "length"]] for each in tables])
    lengths = documents["length"].astype(np.int64)
    parts = -(-lengths // sequence_length)
    begins = np.repeat(np.cumsum(parts) - parts, parts)
    skipped = (np.arange(len(begins)) - begins) * sequence_length
    pieces = np.empty(len(begins), dtype=PIECE)
    shards = np.repeat(np.arange(first, first + len(tables)), [len(each) for each in tables])
    pieces["shard"] = np.repeat(shards, parts)
    pieces["start"] = np.repeat(documents["offset"].astype(np.int64), parts) + skipped
    pieces["length"] = np.minimum(np.repeat(lengths, parts) - skipped, sequence_length)
    rows = best_fit(pieces["length"], sequence_length)
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows) if len(rows) else np.zeros(0, dtype=np.int64)
    return pieces[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)


def layouts(tables: Sequence[Path], sequence_length: int, folder: Path | None) -> list[Layout]:
    """Layouts of shards, numbered from 0, by their tables of documents; of neighbours together.

    Args:
        folder: layouts are kept here and memory-mapped; made where they are missing. None: in memory.
    """
    found = []
    digest = hashlib.sha256("\n".join(table.name for table in tables).encode()).hexdigest()[:12]
    for first, stop in _neighbours([len(load_array(table, "r")) for table in tables]):

        def made(first: int = first, stop: int = stop) -> Layout:
            return lay_out([load_array(table) for table in tables[first:stop]], sequence_length, first)

        if folder is None:
            found.append(made())
            continue
        paths = [folder / f"{digest}-{first}-{sequence_length}.{part}.npy" for part in ("pieces", "rows")]
        if not all(path.is_file() for path in paths):
            folder.mkdir(parents=True, exist_ok=True)
            for path, value in zip(paths, made(), strict=True):
                write_array(path, value)
        again = "remove it, and it is made again"
        pieces, rows = (load_array(path, "r", again) for path in paths)
        found.append((pieces, rows))
    return found


def _neighbours(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and end of shards that are laid out together."""
    first = total = 0
    for shard, count in enumerate(counts):
        if shard > first and total + count > TOGETHER:
            yield first, shard
            first, total = shard, 0
        total += count
    if counts:
        yield first, len(counts)
