"""Putting documents in order on disk with bounded memory, and counting them on the way.

Two passes, as in an external bucket sort. `Staging` spreads rows over 64 files by the first bits of
their id; consecutive files are then grouped into shards small enough to sort in memory. Ids are
hashes, so the shards come out even, and their order is a fixed shuffle of the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

NUM_BUCKETS = 64
FLUSH_BYTES = 1 << 20
SHARD_BYTES = 128 << 20
ROWS_A_GROUP = 4096
DOCUMENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        *((name, pa.string()) for name in ("source", "lang", "license", "legal_basis", "url")),
    ]
)
REJECTED_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("reason", pa.string()))
STAGED_SCHEMA = REJECTED_SCHEMA.append(pa.field("digest", pa.string()))


class Staging:
    """Rows on their way, in `NUM_BUCKETS` Parquet files by id."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.rows = 0
        self.bytes = [0] * NUM_BUCKETS
        self._writers: list[pq.ParquetWriter | None] = [None] * NUM_BUCKETS
        self._waiting: list[list[pa.Table]] = [[] for _ in range(NUM_BUCKETS)]
        self._waiting_bytes = [0] * NUM_BUCKETS

    def add(self, batch: pa.RecordBatch) -> None:
        """Sort one batch into the buckets; a bucket is written out whenever it holds a megabyte."""
        if not batch.num_rows:
            return
        table = pa.Table.from_batches([batch]).select(STAGED_SCHEMA.names).cast(STAGED_SCHEMA)
        self.rows += table.num_rows
        heads = pc.utf8_slice_codeunits(table["id"], 0, 2).to_pylist()
        buckets = np.array([int(head, 16) * NUM_BUCKETS // 256 for head in heads])
        order = np.argsort(buckets, kind="stable")
        table = table.take(order)
        present, starts = np.unique(buckets[order], return_index=True)
        for bucket, start, stop in zip(present, starts, [*starts[1:], len(order)], strict=True):
            piece = table.slice(start, stop - start)
            size = pc.sum(pc.binary_length(piece["text"])).as_py()
            self.bytes[bucket] += size
            self._waiting_bytes[bucket] += size
            self._waiting[bucket].append(piece)
            if self._waiting_bytes[bucket] >= FLUSH_BYTES:
                self._flush(int(bucket))

    def _flush(self, bucket: int) -> None:
        if self._waiting[bucket]:
            writer = self._writers[bucket] or pq.ParquetWriter(
                self.folder / f"{bucket:02d}.parquet",
                STAGED_SCHEMA,
                compression="lz4",
                use_dictionary=False,
            )
            self._writers[bucket] = writer
            writer.write_table(pa.concat_tables(self._waiting[bucket]))
            self._waiting[bucket], self._waiting_bytes[bucket] = [], 0

    def close(self) -> list[list[str]]:
        """Finish all files; gives the files of each shard, shards in the order of ids."""
        shards: list[list[str]] = [[]]
        size = 0
        for bucket, bucket_bytes in enumerate(self.bytes):
            self._flush(bucket)
            writer = self._writers[bucket]
            if writer is None:
                continue
            writer.close()
            if shards[-1] and size + bucket_bytes > SHARD_BYTES:
                shards.append([])
                size = 0
            size += bucket_bytes
            shards[-1].append(str(self.folder / f"{bucket:02d}.parquet"))
        return [shard for shard in shards if shard]


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
    folder: Path, number: int, ordered: Iterable[pa.RecordBatch], heldout_share: float, tally: Tally
) -> None:
    """Write one shard's rows, given by id, to its train, held-out and rejected file."""
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


def is_heldout(ids: pa.ChunkedArray, share: float) -> pa.ChunkedArray:
    """True for about `share` of the ids, by their second half: the first half is the order."""
    threshold = format(min(int(share * 2**64), 2**64 - 1), "016x")
    return pc.less(pc.utf8_slice_codeunits(ids, 16, 32), threshold)


class Tally:
    """Documents and bytes by split, source, language and licence, and rejects by reason."""

    def __init__(self) -> None:
        self.groups: Counter[tuple[str, ...]] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, split: str, rows: pa.Table) -> None:
        """Count rows of one split."""
        if split == "rejected":
            heads = pc.list_element(pc.split_pattern(rows["reason"], ":", max_splits=1), 0)
            for entry in heads.value_counts().to_pylist():
                self.reasons[entry["values"]] += entry["counts"]
            return
        keys = ["source", "lang", "license", "legal_basis"]
        sized = rows.select(keys).append_column("bytes", pc.binary_length(rows["text"]))
        grouped = sized.group_by(keys).aggregate([("bytes", "sum"), ("bytes", "count")])
        for entry in grouped.to_pylist():
            key = (split, *(entry[name] for name in keys))
            self.groups[(*key, "bytes")] += entry["bytes_sum"]
            self.groups[(*key, "documents")] += entry["bytes_count"]

    def by(self, name: str) -> dict[str, dict[str, int]]:
        """Totals by "source" or "lang": documents, bytes, heldout_documents, heldout_bytes."""
        totals: dict[str, dict[str, int]] = {}
        position = {"source": 1, "lang": 2}[name]
        for key, number in sorted(self.groups.items()):
            total = totals.setdefault(
                key[position], {"documents": 0, "bytes": 0, "heldout_documents": 0, "heldout_bytes": 0}
            )
            total[key[-1]] += number
            if key[0] == "heldout":
                total["heldout_" + key[-1]] += number
        return totals

    def counts(self, read: int) -> dict[str, Any]:
        """The manifest's counts. Raises RuntimeError if a document was lost or made up."""
        sources: dict[str, dict[str, Any]] = self.by("source")
        for name, entry in sources.items():
            keys = [key for key in self.groups if key[1] == name]
            for position, field in enumerate(("lang", "license", "legal_basis"), 2):
                entry[field] = ", ".join(sorted({key[position] for key in keys if key[position]}))
        kept = sum(entry["documents"] for entry in sources.values())
        rejected = sum(self.reasons.values())
        if read != kept + rejected:
            raise RuntimeError(f"{read} documents read, but {kept} kept and {rejected} rejected")
        return {
            "read": read,
            "kept": kept,
            "rejected": rejected,
            "reasons": dict(sorted(self.reasons.items())),
            "heldout": sum(entry["heldout_documents"] for entry in sources.values()),
            "languages": self.by("lang"),
            "sources": sources,
        }
