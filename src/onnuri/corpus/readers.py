"""From the bytes of a file to raw rows, for every format. Reading never raises for bad content.

Each function below takes a stream and gives record batches; what is broken becomes an `unreadable` row,
and so does whatever a library throws at hostile input.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus import encoding, files, trees
from onnuri.corpus.lines import Line, lines
from onnuri.corpus.raw_text import COLUMNS, OWN, ROWS_A_BATCH, SCHEMA, Rows, bounded
from onnuri.corpus.source import Source

ROOM_FOR_MARKUP = 4
"""A file may have so many times the bytes of the longest document: escapes, tags, other fields."""
SMALL_TREE_BYTES = 1 << 24
"""A JSON file that is shorter is read whole, which is faster."""
MOST_TREE_BYTES = 1 << 28
"""What is read whole; a tree that is longer belongs into lines."""
BATCH_BYTES = 2 << 20
TEXT_TYPES = ("html", "text/", "xml", "json")
"""Content types of web records that are read have one of these in them."""


@dataclass(frozen=True)
class Piece:
    """A part of the input that is read on its own: a file, or a range of one."""

    source: int
    """Number of the source in the recipe."""
    name: str
    path: str
    form: str
    """One of source.FORMATS, or dataset, topics, docstrings."""
    start: int = 0
    stop: int | None = None
    """jsonl: bytes; parquet: row groups; dataset: shard `start` of `stop`; else not used."""
    size: int = 0
    """Bytes of input, for progress."""


@dataclass(frozen=True)
class Reading:
    """What a reader needs besides its stream."""

    source: Source
    name: str
    rows: Rows
    limit: int
    start: int = 0
    stop: int | None = None

    def inside(self, name: str) -> Reading:
        """The same for a member of an archive."""
        return Reading(self.source, name, self.rows, self.limit)


Reader = Callable[[Reading, BinaryIO], Iterator[pa.RecordBatch]]


def read(piece: Piece, source: Source, limit: int) -> Iterator[pa.RecordBatch]:
    """Raw rows of one piece, in batches of bounded size; texts over `limit` bytes are cut and marked."""
    rows = Rows(source, limit)
    found = 0
    try:
        for batch in _read(piece, source, rows):
            found += batch.num_rows
            yield batch
    except Exception as error:
        rows.add_unreadable(piece.name, _cause(error))
    for batch in rows.rest():
        found += batch.num_rows
        yield batch
    if not found and piece.size and piece.stop is None and not piece.start:
        rows.add_unreadable(piece.name, "no document in it")
        yield from rows.rest()


def _read(piece: Piece, source: Source, rows: Rows) -> Iterator[pa.RecordBatch]:
    if piece.form == "dataset":
        from onnuri.corpus import huggingface

        yield from huggingface.read(piece, source, rows)
    elif piece.form in ("topics", "docstrings"):
        from onnuri.corpus import python_library

        yield from python_library.read(piece.form, source, rows)
    else:
        task = Reading(source, piece.name, rows, rows.limit, piece.start, piece.stop)
        opened = files.open_raw if piece.form in ("archive", "warc") else files.open_bytes
        with opened(piece.path) as stream:
            yield from FORMATS[piece.form](task, stream)


def _cause(error: Exception) -> str:
    plain = isinstance(error, OSError | ValueError | EOFError | pa.ArrowException)
    return files.one_line(error) if plain else f"{type(error).__name__}: {files.one_line(error)}"


def add_record(task: Reading, origin: str, record: Any) -> None:
    """The raw row of a record with a text and, it may be, an id, url, lang, ..."""
    source = task.source
    try:
        text = trees.text_at(record, source.paths["text"])
    except ValueError as error:
        task.rows.add_unreadable(origin, error)
        return
    own = trees.own_values(record, {n: p for n, p in source.paths.items() if n != "text"})
    task.rows.add(origin, text, own.pop("id", ""), own)


def _jsonl(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    packed = task.name.lower().endswith((".gz", ".zst"))
    if not task.start and stream.seekable() and not packed:
        head = stream.read(2)
        stream.seek(0)
        if head in (b"\xff\xfe", b"\xfe\xff"):
            stream = io.BytesIO(io.TextIOWrapper(stream, "utf-16").read().encode())
    limit = ROOM_FOR_MARKUP * task.limit + (1 << 20)
    place = task.start
    try:
        for line in lines(stream, limit, task.start, task.stop, packed):
            place = line.offset
            if line.size > limit:
                task.rows.add_too_long(f"{task.name}@{place}", line.size, line.content)
            elif line.content.strip():
                _json_line(task, line)
            place += line.size
            yield from task.rows.full()
    except Exception as error:
        task.rows.add_unreadable(f"{task.name}@{place}", f"{task.name} after byte {place}: {_cause(error)}")


def _json_line(task: Reading, line: Line) -> None:
    origin = f"{task.name}@{line.offset}"
    try:
        text = _json_text(line.content, task.source.encoding)
        record = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        task.rows.add_unreadable(origin, error, line.content.decode("utf-8", "replace"))
        return
    if isinstance(record, dict):
        add_record(task, origin, record)
    else:
        task.rows.add_unreadable(
            origin, "the line is no JSON object", line.content.decode("utf-8", "replace")
        )


def _json_text(content: bytes, declared: str) -> str:
    """JSON is UTF-8 by its standard; what was declared, and CP949, are met all the same."""
    try:
        return content.decode(declared or "utf-8")
    except UnicodeDecodeError:
        decoded = encoding.decode(content, declared)
        if not declared and decoded.encoding != "cp949":
            raise
        return decoded.text


def _json(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A JSON file, record by record where the records are a list at its top or right below it."""
    path = task.source.records
    head = stream.read(SMALL_TREE_BYTES)
    if "." in path or len(head) < SMALL_TREE_BYTES or task.source.encoding:
        yield from _tree(task, _Both(head, stream), json.loads)
        return
    import ijson

    found = 0
    prefix = f"{path}.item" if path else "item"
    for found, record in enumerate(ijson.items(_Both(head, stream), prefix, use_float=True), 1):
        add_record(task, f"{task.name}#{path}.{found - 1}".replace("#.", "#"), record)
        yield from task.rows.full()
    if not found:
        task.rows.add_unreadable(task.name, f"no list at records: {path or 'the top'}")


class _Both:
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head, rest

    def read(self, size: int = -1) -> bytes:
        part = self.head if size < 0 else self.head[:size]
        self.head = self.head[len(part) :]
        if len(part) == size:
            return part
        return part + self.rest.read(size - len(part) if size >= 0 else -1)


def _yaml(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    yield from _tree(task, stream, _load_yaml)


def _tree(task: Reading, stream: BinaryIO | _Both, load: Callable[[str], Any]) -> Iterator[pa.RecordBatch]:
    raw = stream.read(MOST_TREE_BYTES + 1)
    if len(raw) > MOST_TREE_BYTES:
        raise ValueError(f"a file of more than {MOST_TREE_BYTES:,} bytes; write a record a line (.jsonl)")
    tree = load(encoding.decode(raw, task.source.encoding).text)
    found = False
    for place, record in trees.records(tree, task.source.records):
        found = True
        add_record(task, f"{task.name}#{place}" if place else task.name, record)
        yield from task.rows.full()
    if not found:
        task.rows.add_unreadable(task.name, f"nothing at records: {task.source.records}")


def _load_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(error) from None


def _parquet(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    paths = task.source.paths
    done = 0
    with pq.ParquetFile(stream) as file:
        groups = range(file.num_row_groups)[task.start : task.stop]
        done = sum(file.metadata.row_group(group).num_rows for group in range(task.start))
        known = file.schema_arrow.names
        wanted = list(dict.fromkeys(path for path in paths.values() if path in known))
        wanted += [path.split(".")[0] for path in paths.values() if path.split(".")[0] in known]
        first = done
        try:
            for batch in file.iter_batches(
                ROWS_A_BATCH, row_groups=groups, columns=list(dict.fromkeys(wanted))
            ):
                origins = [f"{task.name}#{number}" for number in range(done + 1, done + 1 + batch.num_rows)]
                yield from _table_rows(task, batch, origins)
                done += batch.num_rows
        except Exception as error:
            where = f"{task.name}#{done + 1}"
            task.rows.add_unreadable(where, f"{task.name} after row {done}: {_cause(error)}")
    assert done >= first


def _table_rows(task: Reading, batch: pa.RecordBatch, origins: list[str]) -> Iterator[pa.RecordBatch]:
    """Column by column where all are plain texts, else record by record."""
    paths = task.source.paths
    try:
        columns = {name: _plain(batch, path) for name, path in paths.items()}
        text = columns.pop("text")
        if text is None:
            raise TypeError
    except (TypeError, pa.ArrowException):
        for index, origin in enumerate(origins):
            try:
                add_record(task, origin, batch.slice(index, 1).to_pylist()[0])
            except UnicodeDecodeError as error:
                task.rows.add_unreadable(origin, error)
            yield from task.rows.full()
        return
    yield from task.rows.rest()
    count = batch.num_rows
    blank = pa.repeat(pa.scalar("", pa.large_string()), count)
    described = {n: pa.scalar(v, pa.large_string()) for n, v in task.source.described().items()}
    arrays = {"origin": pa.array(origins, pa.large_string()), "text": text, "problem": blank}
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
    texts = (pa.types.is_string(kind), pa.types.is_large_string(kind), pa.types.is_string_view(kind))
    if not any((*texts, pa.types.is_integer(kind), pa.types.is_null(kind))):
        raise TypeError
    if any(texts):
        column.validate(full=True)
    return pc.fill_null(column.cast(pa.large_string()), "")


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices of about BATCH_BYTES of text."""
    ends = pc.cumulative_sum(pc.binary_length(batch["text"]).cast(pa.int64())).to_numpy()
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(ends.searchsorted(before + BATCH_BYTES, "right")))
        yield batch.slice(start, stop - start)
        start = stop


def _text(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    raw = stream.read(2 * task.limit + 1)  # UTF-16 may need as many bytes for the same text
    if len(raw) > 2 * task.limit:
        task.rows.add_too_long(task.name, len(raw), raw)
    else:
        task.rows.add(task.name, encoding.decode(raw, task.source.encoding).text)
    yield from task.rows.full()


def _blob(extract: Callable[[bytes, Reading], tuple[str, dict[str, str]]]) -> Reader:
    """A reader for a file that is one document."""

    def read_blob(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
        most = ROOM_FOR_MARKUP * task.limit
        raw = stream.read(most + 1)
        if len(raw) > most:
            task.rows.add_unreadable(task.name, f"a file of more than {most:,} bytes")
        else:
            text, own = extract(raw, task)
            task.rows.add(task.name, text, own=own)
        yield from task.rows.full()

    return read_blob


def _from_html(raw: bytes, task: Reading) -> tuple[str, dict[str, str]]:
    from onnuri.corpus.formats import html

    return html.extract(raw, task.source.encoding).text, {}


def _from_hwp(raw: bytes, task: Reading) -> tuple[str, dict[str, str]]:
    from onnuri.corpus.formats import hwp

    return hwp.text(raw), {}


def _from_hwpx(raw: bytes, task: Reading) -> tuple[str, dict[str, str]]:
    from onnuri.corpus.formats import hwpx

    return hwpx.text(raw), {}


def _warc(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.formats import html, warc

    for number, record in enumerate(warc.records(stream), 1):
        origin = f"{task.name}#{number}"
        if isinstance(record, Exception):
            task.rows.add_unreadable(origin, _cause(record))
            continue
        if not any(kind in record.content_type for kind in TEXT_TYPES) and record.content_type:
            continue  # pictures, archives, fonts
        try:
            if "html" in record.content_type:
                text = html.extract(record.payload, record.charset).text
            else:
                text = encoding.decode(record.payload, record.charset).text
        except Exception as error:
            task.rows.add(origin, "", "", {"url": record.url}, f"unreadable: {_cause(error)}"[:300])
        else:
            task.rows.add(origin, text, own={"url": record.url})
        yield from task.rows.full()


def _archive(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.formats import archive

    for name, member in archive.members(stream, task.name):
        inner = task.inside(f"{task.name}/{name}")
        form = files.format_of(name)
        if isinstance(member, Exception):
            task.rows.add_unreadable(inner.name, _cause(member))
        elif form in ("", "archive"):
            continue
        else:
            try:
                with files.unpacked(io.BytesIO(member), name) as inside:
                    yield from FORMATS[form](inner, inside)
            except Exception as error:
                task.rows.add_unreadable(inner.name, _cause(error))
        yield from task.rows.full()


FORMATS: dict[str, Reader] = {
    "jsonl": _jsonl,
    "json": _json,
    "yaml": _yaml,
    "parquet": _parquet,
    "text": _text,
    "html": _blob(_from_html),
    "warc": _warc,
    "hwp": _blob(_from_hwp),
    "hwpx": _blob(_from_hwpx),
    "archive": _archive,
}
