"""Which documents are copies of another: the one step that needs all documents at once.

It reads no text, only what dedup measured: of N documents 256 bytes of sketch, which go to a
file, and about 150 bytes in memory. Documents of earlier corpora (`against`) take part and always stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus.stages.dedup import kept_copies, near_duplicates

EARLIER = -1
"""Rank of a document of an earlier corpus."""
ROWS_AT_ONCE, ROWS_TO_SKIP = 1 << 13, 8
SCHEMA = pa.schema([("reason", pa.string()), ("cluster", pa.string()), ("cluster_size", pa.int32())])
KEPT_COLUMNS = ("id", "digest", "sketch", "canonical_size")
"""What a corpus keeps of its documents for later ones to be held against."""

Int64s = npt.NDArray[np.int64]


class Sketches:
    """[N, NUM_BANDS] uint64 in a file, indexed as near_duplicates does: `[:, band]` and `[rows]`.

    Not a NumPy memory map: going down its columns would bring all of it into memory.
    """

    def __init__(self, path: Path, rows: Int64s | None = None) -> None:
        self.path = path
        width = 8 * near_duplicates.NUM_BANDS
        self.rows = np.arange(path.stat().st_size // width) if rows is None else rows
        self.shape = (len(self.rows), near_duplicates.NUM_BANDS)

    def of(self, rows: Int64s) -> Sketches:
        """The sketches of some documents."""
        return Sketches(self.path, self.rows[rows])

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint64]:
        if isinstance(key, tuple):
            return self._column(key[1])[self.rows]
        wanted, position = np.unique(self.rows[key], return_inverse=True)
        found = np.empty((len(wanted), near_duplicates.NUM_BANDS), "<u8")
        with self.path.open("rb") as stream:
            for start in range(0, len(wanted), ROWS_AT_ONCE):
                part = wanted[start : start + ROWS_AT_ONCE]
                # Neighbours are read in one go where they lie close enough together.
                for run in np.split(part, np.flatnonzero(np.diff(part) > ROWS_TO_SKIP) + 1):
                    stream.seek(int(run[0]) * found.itemsize * self.shape[1])
                    block = self._read(stream, int(run[-1] - run[0]) + 1)
                    at = start + int(np.searchsorted(part, run[0]))
                    found[at : at + len(run)] = block[run - run[0]]
        return found[position]

    def _column(self, band: int) -> npt.NDArray[np.uint64]:
        pieces = [np.zeros(0, "<u8")]
        with self.path.open("rb") as stream:
            while len(block := self._read(stream, ROWS_AT_ONCE)):
                pieces.append(block[:, band].copy())
        return np.concatenate(pieces)

    def _read(self, stream: BinaryIO, count: int) -> npt.NDArray[np.uint64]:
        raw = stream.read(8 * self.shape[1] * count)
        return np.frombuffer(raw, "<u8").reshape(-1, self.shape[1])


class Measured(NamedTuple):
    """What is known of N documents that are still good; row i of the sketches belongs to i."""

    ids: pa.Array  # binary(16)
    digests: npt.NDArray[np.uint64]  # [N, 2]
    sizes: Int64s  # canonical characters
    ranks: Int64s
    sketches: Sketches


class Verdicts(NamedTuple):
    """For each of N documents."""

    reasons: npt.NDArray[np.object_]
    clusters: pa.Array  # large strings: the smallest id among its copies
    sizes: Int64s  # how many copies there are of it, itself included


def decide(staged: Sequence[Path], against: Sequence[Path], folder: Path) -> None:
    """Write `folder`/verdict-NNNNN.parquet for each staged file: a row of SCHEMA for each of its rows."""
    scratch = folder / "sketches.partial"
    measured = _measured(staged, against, scratch)
    verdicts = judge(measured)
    start = 0
    for path in staged:
        good = _good(path)
        stop = start + int(good.sum())
        positions = np.cumsum(good) - 1 + start
        indices = pa.array(np.where(good, positions, 0), mask=~good)
        columns = [
            pc.fill_null(
                pa.array(verdicts.reasons[start:stop], pa.string()).take(pc.subtract(indices, start)), ""
            ),
            verdicts.clusters.take(indices).cast(pa.string()),
            pa.array(verdicts.sizes[start:stop], pa.int32()).take(pc.subtract(indices, start)),
        ]
        target = folder / path.name.replace("unit-", "verdict-")
        partial = target.with_suffix(".partial")
        pq.write_table(pa.table(columns, schema=SCHEMA), partial, compression="lz4")
        partial.replace(target)
        start = stop
    scratch.unlink()


def judge(measured: Measured) -> Verdicts:
    """Of equal texts stays that of the earliest corpus or first source, then the smallest id. Of near
    duplicates the longest, then likewise. The order of the documents plays no part."""
    count = len(measured.ids)
    ids = np.frombuffer(measured.ids.buffers()[1] or b"", ">u8")[2 * measured.ids.offset :].reshape(-1, 2)
    keys = (ids[:count, 1], ids[:count, 0], measured.ranks, measured.digests[:, 1], measured.digests[:, 0])
    order = np.lexsort(keys)
    ordered = measured.digests[order]
    first = np.ones(count, bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    head = np.empty(count, np.int64)
    head[order] = order[first][np.cumsum(first) - 1]
    single = np.flatnonzero(head == np.arange(count))
    copies = np.bincount(head, minlength=count)[single]

    bands = measured.sketches.of(single)
    single_ids = measured.ids.take(pa.array(single))
    # The id of an earlier document may be that of one here; a rank and a number of its own set it apart.
    named = _told_apart(single_ids, measured.ranks[single])
    shared = near_duplicates.shared_bands(bands)
    by_id = near_duplicates.id_order(named)
    groups = near_duplicates.clusters(by_id, bands, shared)
    ranks, sizes = measured.ranks[single], measured.sizes[single]
    earlier = ranks == EARLIER
    order = by_id[np.lexsort((ranks[by_id], -sizes[by_id], ~earlier[by_id]))]
    kept = kept_copies.keep(order, bands, shared, groups, always=earlier)
    groups = near_duplicates.joined(by_id, groups, kept.keeper)
    totals = np.bincount(groups.representative, weights=copies, minlength=len(single)).astype(np.int64)

    position = np.empty(count, np.int64)
    position[single] = np.arange(len(single))
    mine = position[head]
    names = single_ids.take(pa.array(groups.representative[mine]))
    reasons = np.full(count, "", object)
    reasons[~kept.stays[mine]] = "near duplicate"
    for row in np.flatnonzero(kept.candidates[mine]):
        reasons[row] = f"too many candidates: {kept.candidates[mine[row]]:,}"
    reasons[head != np.arange(count)] = "duplicate"
    return Verdicts(reasons, _hex(names), totals[groups.representative[mine]])


def _told_apart(ids: pa.Array, ranks: Int64s) -> pa.Array:
    """Ids that sort as before, each followed by a number that makes it differ from every other."""
    raw = np.frombuffer(ids.buffers()[1] or b"", np.uint8)[16 * ids.offset :][: 16 * len(ids)]
    wide = np.zeros((len(ids), 24), np.uint8)
    wide[:, :16] = raw.reshape(-1, 16)
    order = np.lexsort((np.arange(len(ids)), ranks))
    number = np.empty(len(ids), ">u8")
    number[order] = np.where(ranks[order] == EARLIER, np.arange(1, len(ids) + 1), 0)
    wide[:, 16:] = number.view(np.uint8).reshape(-1, 8)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(24), len(ids), [None, pa.py_buffer(wide.tobytes())]
    )


def read_columns(path: Path, names: list[str] | None = None) -> pa.Table:
    """A whole Parquet file, or some of its columns. `pq.read_table` takes 40 MB for itself."""
    with pq.ParquetFile(path) as file:
        return file.read(names)


def _good(path: Path) -> npt.NDArray[np.bool_]:
    table = read_columns(path, ["stage"])
    return pc.equal(table["stage"], "").to_numpy()


def _measured(staged: Sequence[Path], against: Sequence[Path], scratch: Path) -> Measured:
    ids, digests, sizes, ranks = [], [], [], []
    with scratch.open("wb") as stream:
        for table, earlier in _tables(staged, against):
            ids.append(_from_hex(table["id"]))
            digests.append(_words(table["digest"], 2))
            sizes.append(table["canonical_size"].to_numpy())
            ranks.append(
                np.full(table.num_rows, EARLIER) if earlier else table["rank"].to_numpy().astype(np.int64)
            )
            stream.write(_words(table["sketch"], near_duplicates.NUM_BANDS).tobytes())
    return Measured(
        pa.concat_arrays([pa.array([], pa.binary(16)), *ids]),
        np.concatenate([np.zeros((0, 2), np.uint64), *digests]),
        np.concatenate([np.zeros(0, np.int64), *sizes]),
        np.concatenate([np.zeros(0, np.int64), *ranks]),
        Sketches(scratch),
    )


def _tables(staged: Sequence[Path], against: Sequence[Path]) -> Iterator[tuple[pa.Table, bool]]:
    """What was measured of good documents, file by file; ours first, so that row indices stay valid."""
    for path in staged:
        table = read_columns(path, ["stage", "rank", *KEPT_COLUMNS])
        yield table.filter(pc.equal(table["stage"], "")), False
    for folder in against:
        for path in sorted((folder / "sketches").glob("*.parquet")):
            yield read_columns(path, list(KEPT_COLUMNS)), True


def _words(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.uint64]:
    """Fixed-size binary values as [N, width] uint64."""
    array = column.combine_chunks()
    size = 8 * width
    buffer = array.buffers()[1] or b""
    return (
        np.frombuffer(buffer, np.uint8)[size * array.offset : size * (array.offset + len(array))]
        .view("<u8")
        .reshape(-1, width)
    )


def _from_hex(column: pa.ChunkedArray) -> pa.Array:
    raw = bytes.fromhex("".join(column.to_pylist()))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(column), [None, pa.py_buffer(raw)])


def _hex(ids: pa.Array) -> pa.Array:
    raw = ids.buffers()[1] or b""
    digits = memoryview(raw)[16 * ids.offset : 16 * (ids.offset + len(ids))].hex().encode()
    offsets = np.arange(len(ids) + 1, dtype=np.int64) * 32
    return pa.LargeStringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))
