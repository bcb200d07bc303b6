"""Documents on disk after a pass over them, in bounded memory.

If no stage needs all documents, there is one pass, and each document is written once. Otherwise the
first pass leaves them in `staging`, a file a unit. Files appear under their names when they are complete,
so a run that was killed resumes with the units that are missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.base.manifest import write_json
from onnuri.corpus.execution import pipeline
from onnuri.corpus.execution.pipeline import DOCUMENT, STAGED
from onnuri.corpus.recipe import Recipe
from onnuri.corpus.report.tally import Tally
from onnuri.corpus.stages.dedup.verdicts import read_columns

GROUP_ROWS, GROUP_BYTES = 4096, 4 << 20
BATCH_ROWS = 512
REJECTED = pa.schema([*DOCUMENT, STAGED.field("stage"), STAGED.field("reason")])
REPEATED = ["source", "lang", "license", "legal_basis", "register", "repaired", "stage"]
"""Columns of few different values."""


def staged_path(folder: Path, number: int) -> Path:
    """Where the first pass leaves a unit."""
    return folder / "staging" / f"unit-{number:05d}.parquet"


def verdict_path(folder: Path, number: int) -> Path:
    """What dedup says of the rows of a staged unit."""
    return folder / "staging" / f"verdict-{number:05d}.parquet"


def tally_path(folder: Path, number: int) -> Path:
    """The counts of a finished unit; there when all its other files are."""
    return folder / "staging" / f"tally-{number:05d}.json"


class SteadyWriter:
    """A Parquet file whose bytes depend on its rows only, not on the batches they came in.

    A context manager: the file, complete, takes its name at the end; no rows, no file.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: str = "zstd") -> None:
        self.path, self.schema, self.compression = path, schema, compression
        self.partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> SteadyWriter:
        return self

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        table = table.select(self.schema.names)
        while table.num_rows:
            take = self._room(table)
            self._waiting.append(table.slice(0, take))
            self._rows += take
            if take < table.num_rows or self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()
            table = table.slice(take)

    def _room(self, table: pa.Table) -> int:
        """How many of the rows still belong into the present row group; at least one if it is empty."""
        if "text" not in self.schema.names:
            return min(table.num_rows, GROUP_ROWS - self._rows)
        ends = np.cumsum(pc.binary_length(table["text"]).to_numpy()) + self._bytes
        take = min(int(np.searchsorted(ends, GROUP_BYTES)) + 1, table.num_rows, GROUP_ROWS - self._rows)
        self._bytes = int(ends[take - 1])
        return take

    def _flush(self) -> None:
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            names = [name for name in self.schema.names if name in REPEATED]
            self._writer = pq.ParquetWriter(
                self.partial,
                self.schema,
                compression=self.compression,
                use_dictionary=names,
                write_statistics=[name for name in self.schema.names if name in ("id", *REPEATED)],
            )
        whole = pa.concat_tables(self._waiting).combine_chunks()
        self._writer.write_table(whole, row_group_size=GROUP_ROWS)
        self._waiting, self._rows, self._bytes = [], 0, 0
        # Arrow's allocator would keep several times of what is in use.
        pa.default_memory_pool().release_unused()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._rows:
                self._flush()
            if self._writer is not None:
                self._writer.close()
                if kind is None:
                    self.partial.replace(self.path)
        finally:
            self.partial.unlink(missing_ok=True)


def stage(folder: Path, number: int, tables: Iterable[pa.Table]) -> dict[str, int]:
    """Keep what the first of two passes made of a unit. Returns how many documents that is."""
    path = staged_path(folder, number)
    documents = 0
    with SteadyWriter(path, STAGED, "lz4") as writer:
        for table in tables:
            writer.add(table)
            documents += table.num_rows
    if not documents:
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        pq.write_table(STAGED.empty_table(), partial)
        partial.replace(path)
    return {"documents": documents}


def judged(folder: Path, number: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """A staged unit, some documents at a time, and the verdicts on them."""
    verdicts = read_columns(verdict_path(folder, number))
    start = 0
    with pq.ParquetFile(staged_path(folder, number)) as staged:
        for batch in staged.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch]), verdicts.slice(start, batch.num_rows)
            start += batch.num_rows


def finish(folder: Path, number: int, tables: Iterable[pa.Table], recipe: Recipe) -> dict[str, int]:
    """Write the documents of a unit, with all stages done, to its train, held-out and rejected file.

    Returns how many documents that is.
    """
    comparison = pipeline.comparison(recipe)
    kept_columns = pa.schema([STAGED.field(n) for n in (comparison[1].kept_columns if comparison else ())])
    tally = Tally(recipe)
    name = f"{number:05d}.parquet"
    with (
        SteadyWriter(folder / "documents" / f"train-{name}", DOCUMENT) as train,
        SteadyWriter(folder / "documents" / f"heldout-{name}", DOCUMENT) as heldout,
        SteadyWriter(folder / "rejected" / f"rejected-{name}", REJECTED) as rejected,
        SteadyWriter(folder / "sketches" / f"sketches-{name}", kept_columns) as sketches,
    ):
        writers = {"train": train, "heldout": heldout, "rejected": rejected}
        for rows in tables:
            tally.read += rows.num_rows
            good = pc.equal(rows["reason"], "")
            held = is_heldout(rows["id"], recipe.heldout_share)
            masks = {
                "train": pc.and_not(good, held),
                "heldout": pc.and_(good, held),
                "rejected": pc.invert(good),
            }
            for split, mask in masks.items():
                chosen = rows.filter(mask)
                writers[split].add(chosen)
                tally.add(split, chosen)
            if kept_columns:
                sketches.add(rows.filter(good))
    write_json(tally_path(folder, number), tally.to_json())
    return {"documents": tally.read}


def is_heldout(ids: pa.ChunkedArray, share: float) -> pa.ChunkedArray:
    """True for about `share` of the ids, by their second half."""
    threshold = format(min(int(share * 2**64), 2**64 - 1), "016x")
    return pc.less(pc.utf8_slice_codeunits(ids, 16, 32), threshold)
