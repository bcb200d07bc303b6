"""Documents on disk, in order, with bounded memory, and ready to go on after an interruption.

Processed windows are kept as Parquet files sorted by id. Ids are hashes, so an equal cut of their range
gives output shards of equal size, in a fixed shuffle of the corpus; a shard reads from every window only
the row groups of its range. Each file appears under its name when it is whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus.stages.pipeline import CARRIED, MEASURED, STAGED
from onnuri.corpus.tally import Tally
from onnuri.manifest import write_json

SHARD_BYTES = 128 << 20
GROUP_BYTES = 2 << 20
ROWS_A_GROUP = 4096
DOCUMENT_SCHEMA = pa.schema([STAGED.field(n) for n in ("id", "text", *CARRIED, *MEASURED.names, "sizes")])
REJECTED_SCHEMA = pa.schema([*DOCUMENT_SCHEMA, STAGED.field("stage"), STAGED.field("reason")])


@dataclass(frozen=True)
class Position:
    """A place in the input: `batch` batches of part number `part` have been read."""

    part: int = 0
    batch: int = 0


class Staging:
    """Processed windows; a run that was killed goes on after the last whole one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.files = sorted(folder.glob("window-*.parquet"))
        self.rows = self.bytes = 0
        self.position = Position()
        for path in self.files:
            facts = json.loads(pq.read_schema(path).metadata[b"window"])
            self._count(facts)

    def _count(self, facts: dict[str, int]) -> None:
        self.rows += facts["rows"]
        self.bytes += facts["bytes"]
        self.position = Position(facts["part"], facts["batch"])

    def add(self, rows: pa.Table, after: Position) -> None:
        """Keep one processed window; the input goes on at `after`."""
        size = pc.sum(pc.binary_length(rows["text"])).as_py() or 0
        facts = {"rows": rows.num_rows, "bytes": size, "part": after.part, "batch": after.batch}
        rows = rows.sort_by("id").replace_schema_metadata({"window": json.dumps(facts)})
        group = max(1, rows.num_rows * GROUP_BYTES // max(GROUP_BYTES, size))
        path = self.folder / f"window-{len(self.files):06d}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(rows, partial, compression="lz4", row_group_size=group, use_dictionary=False)
        partial.replace(path)
        self.files.append(path)
        self._count(facts)

    def id_ranges(self) -> list[tuple[str, str]]:
        """First id and end of each output shard's range."""
        count = max(1, math.ceil(self.bytes / SHARD_BYTES))
        cuts = [format((i << 128) // count, "032x") for i in range(count)]
        return list(zip(cuts, [*cuts[1:], "g"], strict=True))


class SteadyWriter:
    """A Parquet file whose bytes depend on its rows only, not on the batches they came in."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self._waiting.append(table.select(self.schema.names).cast(self.schema))
        self._rows += table.num_rows
        if self._rows >= ROWS_A_GROUP:
            whole = pa.concat_tables(self._waiting)
            end = self._rows // ROWS_A_GROUP * ROWS_A_GROUP
            for start in range(0, end, ROWS_A_GROUP):
                self._write(whole.slice(start, ROWS_A_GROUP))
            self._waiting, self._rows = [whole.slice(end)], self._rows - end

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks(), row_group_size=ROWS_A_GROUP)

    def close(self) -> None:
        """Write what is left and finish the file."""
        if self._rows:
            self._write(pa.concat_tables(self._waiting))
        self._writer.close()


def write_shard(
    folder: Path, number: int, ordered: Iterable[pa.RecordBatch], heldout_share: float, tally_file: Path
) -> None:
    """Write one shard's rows, given by id, to its train, held-out and rejected file; then its tally."""
    tally = Tally()
    writers = {
        "train": SteadyWriter(folder / "documents" / f"train-{number:05d}.parquet", DOCUMENT_SCHEMA),
        "heldout": SteadyWriter(folder / "documents" / f"heldout-{number:05d}.parquet", DOCUMENT_SCHEMA),
        "rejected": SteadyWriter(folder / "rejected" / f"rejected-{number:05d}.parquet", REJECTED_SCHEMA),
    }
    for batch in ordered:
        table = pa.Table.from_batches([batch])
        good = pc.equal(table["reason"], "")
        heldout = is_heldout(table["id"], heldout_share)
        masks = {
            "train": pc.and_not(good, heldout),
            "heldout": pc.and_(good, heldout),
            "rejected": pc.invert(good),
        }
        for split, mask in masks.items():
            rows = table.filter(mask)
            writers[split].add(rows)
            tally.add(split, rows)
    for writer in writers.values():
        writer.close()
    write_json(tally_file, tally.to_json())


def is_heldout(ids: pa.ChunkedArray, share: float) -> pa.ChunkedArray:
    """True for about `share` of the ids, by their second half: the first half is the order."""
    threshold = format(min(int(share * 2**64), 2**64 - 1), "016x")
    return pc.less(pc.utf8_slice_codeunits(ids, 16, 32), threshold)
