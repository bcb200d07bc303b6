"""Parquet files: column by column where all are plain texts, else record by record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus.reading import encoding
from onnuri.corpus.reading.piece import Reading, add_record, cause, stop_if_transient
from onnuri.corpus.reading.raw_text import COLUMNS, OWN, ROWS_A_BATCH, SCHEMA, bounded
from onnuri.corpus.source import Source

BATCH_BYTES = 2 << 20


def read_parquet(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """Raw rows of some row groups."""
    paths = task.source.paths
    done = 0
    with pq.ParquetFile(stream) as file:
        groups = range(file.num_row_groups)[task.start : task.stop]
        done = sum(file.metadata.row_group(group).num_rows for group in range(task.start))
        known = file.schema_arrow.names
        wanted = list(dict.fromkeys(path for path in paths.values() if path in known))
        wanted += [path.split(".")[0] for path in paths.values() if path.split(".")[0] in known]
        columns = None if task.rows.takes_records else list(dict.fromkeys(wanted))
        first = done
        task.rows.is_empty = not file.metadata.num_rows
        try:
            for batch in file.iter_batches(ROWS_A_BATCH, row_groups=groups, columns=columns):
                origins = [f"{task.name}#{number}" for number in range(done + 1, done + 1 + batch.num_rows)]
                yield from _table_rows(task, batch, origins)
                done += batch.num_rows
        except Exception as error:
            stop_if_transient(error)
            where = f"{task.name}#{done + 1}"
            task.rows.add_unreadable(where, f"{task.name} after row {done}: {cause(error)}")
    assert done >= first


def _table_rows(task: Reading, batch: pa.RecordBatch, origins: list[str]) -> Iterator[pa.RecordBatch]:
    """Column by column where all are plain texts, else record by record."""
    paths = task.source.paths
    try:
        columns = {name: _plain(batch, path) for name, path in paths.items()}
        text = columns.pop("text")
        if text is None or task.rows.takes_records:
            raise TypeError
    except (TypeError, pa.ArrowException):
        for index, origin in enumerate(origins):
            try:
                note: list[str] = []
                record = _texts(batch.slice(index, 1).to_pylist()[0], task.source, note)
                add_record(task, origin, record, ", ".join(note))
            except (ValueError, RecursionError) as error:
                task.rows.add_unreadable(origin, error, getattr(error, "text", ""))
            yield from task.rows.full()
        return
    yield from task.rows.rest()
    count = batch.num_rows
    blank = pa.repeat(pa.scalar("", pa.large_string()), count)
    described = {n: pa.scalar(v, pa.large_string()) for n, v in task.source.described().items()}
    arrays = {"origin": pa.array(origins, pa.large_string()), "text": text, "problem": blank, "note": blank}
    id_column = columns.pop("id")
    arrays["key"] = blank if id_column is None else id_column
    for name in OWN:
        own = columns[name]
        arrays[name] = (
            pa.repeat(described[name], count)
            if own is None
            else pc.if_else(pc.equal(own, ""), described[name], own)
        )
    whole = pa.RecordBatch.from_arrays([arrays[name] for name in COLUMNS], schema=SCHEMA)
    yield from _parts(bounded(whole, task.limit))


def _plain(batch: pa.RecordBatch, path: str) -> pa.Array | None:
    """A column as valid large strings without nulls, None if the table has no such column.

    Raises TypeError for another type, ArrowInvalid for text that is no UTF-8.
    """
    if path not in batch.schema.names:
        if path.partition(".")[0] in batch.schema.names:
            raise TypeError
        return None
    column = batch[path]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if is_binary(kind) and not pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.large_string())  # raises ArrowInvalid unless it is UTF-8
    elif is_text(kind):
        column.validate(full=True)
    elif not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise TypeError
    return pc.fill_null(column.cast(pa.large_string()), "")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes, which may be those of a text: older writers do not say."""
    types = pa.types
    checks = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(check(kind) for check in checks)


def _texts(value: Any, source: Source, note: list[str]) -> Any:
    """A value with texts for bytes, and what was wrong with them. Raises ValueError for what is no text."""
    if isinstance(value, bytes):
        text, damage = encoding.decode_most(value.rstrip(b"\0"), source.encoding, source.bad_characters)
        note += [damage] if damage else []
        return text
    if isinstance(value, dict):
        return {key: _texts(inner, source, note) for key, inner in value.items()}
    return [_texts(inner, source, note) for inner in value] if isinstance(value, list) else value


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices of about BATCH_BYTES of text."""
    ends = pc.cumulative_sum(pc.binary_length(batch["text"]).cast(pa.int64())).to_numpy()
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(ends.searchsorted(before + BATCH_BYTES, "right")))
        yield batch.slice(start, stop - start)
        start = stop
