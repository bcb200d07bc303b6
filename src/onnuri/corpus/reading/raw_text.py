"""What every reader gives: Arrow batches of raw rows, good and bad ones alike.

A row that cannot be read travels on with its `problem`, so that it ends up among the rejected
documents with a reason and is counted, instead of stopping the run or vanishing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.source import Source

OWN = ("source", "lang", "license", "legal_basis", "url")
"""What the source says of all its documents, and a record may say otherwise."""
COLUMNS = ("origin", "key", "text", *OWN, "problem", "note")
"""origin: file and position in it. key: the record's own id, "" for none. problem: "" for a good row. note:
the damage of a good row, as in "bad characters: 3"."""
FIELDS = ("origin", "key", "text", "problem", "note")
SCHEMA = pa.schema([(name, pa.large_string()) for name in COLUMNS])
ROWS_A_BATCH = 4096
CHARACTERS_A_BATCH = 1 << 20
BYTES_MERGED = 1 << 20
"""Batches are put together up to this size, all columns counted."""
BYTES_SHOWN = 64 << 10
"""So much of a text that is too long is kept among the rejected."""


class Rows:
    """Collects raw rows of one source and gives them out as batches of bounded rows and characters."""

    takes_records = False
    """Whether whole records are taken, by `add_record`, and not their texts."""

    def __init__(self, source: Source, max_document_bytes: int) -> None:
        self.described = source.described()
        self.limit = max_document_bytes
        self.is_empty = False
        """Set by a reader that found nothing where nothing is wrong, as in a table without rows."""
        self._clear()

    def _clear(self) -> None:
        self.columns: dict[str, list[str]] = {name: [] for name in FIELDS}
        self.own: list[tuple[int, str, str]] = []
        self.characters = 0

    @property
    def num_waiting(self) -> int:
        """Rows that no batch has yet."""
        return len(self.columns["text"])

    def add(
        self,
        origin: str,
        text: str,
        key: str = "",
        own: Mapping[str, str] | None = None,
        problem: str = "",
        note: str = "",
    ) -> None:
        """Add a document; `own` is what it says of itself (OWN)."""
        row = self.num_waiting
        for name, value in zip(FIELDS, (origin, key, text, problem, note), strict=True):
            self.columns[name].append(value)
        if own:
            self.own += [(row, name, value) for name, value in own.items()]
        self.characters += len(text)

    def add_record(self, origin: str, record: Any, note: str = "") -> None:
        """Add a record, where these are taken."""
        raise NotImplementedError

    def add_unreadable(self, origin: str, cause: object, text: str = "", note: str = "") -> None:
        """Add a row that says what could not be read."""
        problem = f"unreadable: {' '.join(str(cause).split())}"[:300]
        self.add(origin, text[:BYTES_SHOWN], problem=problem, note=note)

    def add_cut_off(self, origin: str, before: int, cause: object, text: str = "") -> None:
        """Add a row that says that a file was not read any further than so many records."""
        reason = " ".join(str(cause).split())
        self.add(origin, text, problem=f"cut off: after {before:,} records: {reason}"[:300])

    def add_too_long(self, origin: str, size: int, beginning: bytes, hint: str = "") -> None:
        """Add a row for a text of `size` bytes or more that was not read to its end."""
        text = beginning[:BYTES_SHOWN].decode("utf-8", "ignore")
        self.add(origin, text, problem=too_long(size, self.limit) + hint)

    def full(self) -> Iterator[pa.RecordBatch]:
        """A batch if there is enough for one."""
        if self.characters >= CHARACTERS_A_BATCH or self.num_waiting >= ROWS_A_BATCH:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What is left, as a batch."""
        count = self.num_waiting
        if not count:
            return
        columns, own = self.columns, self.own
        self._clear()
        try:
            arrays = {name: pa.array(values, pa.large_string()) for name, values in columns.items()}
        except UnicodeEncodeError:
            for row in range(count):
                _mend(columns, row)
            own = [(row, name, storable(value)) for row, name, value in own]
            arrays = {name: pa.array(values, pa.large_string()) for name, values in columns.items()}
        for name in OWN:
            mine = [(row, value) for row, key, value in own if key == name]
            if mine:
                values = [self.described[name]] * count
                for row, value in mine:
                    values[row] = value
                arrays[name] = pa.array(map(storable, values), pa.large_string())
            else:
                arrays[name] = pa.repeat(pa.scalar(self.described[name], pa.large_string()), count)
        yield bounded(
            pa.RecordBatch.from_arrays([arrays[name] for name in COLUMNS], schema=SCHEMA), self.limit
        )


def merged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, small neighbours put together: Parquet files of a few rows cost what large ones do."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if waiting and (rows + batch.num_rows > ROWS_A_BATCH or size + batch.nbytes > BYTES_MERGED):
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting)


def bounded(batch: pa.RecordBatch, limit: int) -> pa.RecordBatch:
    """The batch with texts over `limit` bytes cut short and marked as too long."""
    sizes = pc.binary_length(batch["text"])
    over = np.flatnonzero(pc.greater(sizes, limit).to_numpy(zero_copy_only=False))
    if not len(over):
        return batch
    texts, problems = batch["text"].to_pylist(), batch["problem"].to_pylist()
    for row in over:
        if not problems[row]:
            problems[row] = too_long(sizes[row].as_py(), limit)
        texts[row] = texts[row].encode()[:BYTES_SHOWN].decode("utf-8", "ignore")
    for name, values in (("text", texts), ("problem", problems)):
        batch = batch.set_column(
            COLUMNS.index(name), SCHEMA.field(name), pa.array(values, pa.large_string())
        )
    return batch


def too_long(size: int, limit: int) -> str:
    """The reason for a text of `size` bytes, of which only the beginning is kept."""
    return f"too long: {size:,} bytes > {limit:,}; the beginning is kept here"


def _mend(columns: dict[str, list[str]], row: int) -> None:
    """Replace lone surrogates, which no file can hold, by U+FFFD, and note it."""
    for name in FIELDS:
        value = columns[name][row]
        columns[name][row] = storable(value)
        if name == "text" and (bad := columns[name][row].count("\ufffd") - value.count("\ufffd")):
            columns["note"][row] = ", ".join(
                filter(None, (columns["note"][row], f"lone surrogates: {bad}"))
            )


def storable(text: str) -> str:
    """A text with U+FFFD for lone surrogates, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
