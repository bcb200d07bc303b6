"""From the bytes of a file to raw rows, for every format. Reading never raises for bad content.

Each function below takes a stream and gives record batches; what is broken becomes an `unreadable` row,
and so does whatever a library throws at hostile input.
"""

from __future__ import annotations

import codecs
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, cast

import pyarrow as pa

from onnuri.corpus.reading import encoding, files, trees
from onnuri.corpus.reading.lines import Line, lines
from onnuri.corpus.reading.piece import Piece, Reading, add_record, cause, stop_if_transient
from onnuri.corpus.reading.raw_text import Rows
from onnuri.corpus.reading.tables import read_parquet
from onnuri.corpus.source import Source

ROOM_FOR_MARKUP = 4
"""A file may have so many times the bytes of the longest document: escapes, tags, other fields."""
SMALL_TREE_BYTES = 1 << 24
"""A JSON file that is shorter is read whole, which is faster."""
MOST_TREE_BYTES = 1 << 28
"""What is read whole; a tree that is longer belongs into lines."""
PACKED = (".gz", ".zst")
TEXT_TYPES = ("html", "text/", "xml", "json")
"""Content types of web records that are read have one of these in them."""


Reader = Callable[[Reading, BinaryIO], Iterator[pa.RecordBatch]]


def read(pieces: Iterable[Piece], source: Source, limit: int) -> Iterator[pa.RecordBatch]:
    """Raw rows of pieces of one source, in batches of bounded size that small files share.

    Texts over `limit` bytes are cut and marked.
    """
    rows = Rows(source, limit)
    for piece in pieces:
        found = -rows.num_waiting
        try:
            for batch in _read(piece, source, rows):
                found += batch.num_rows
                yield batch
        except Exception as error:
            stop_if_transient(error)
            rows.add_unreadable(piece.name, cause(error))
        whole = piece.stop is None and not piece.start
        if not found + rows.num_waiting and piece.size and whole:
            rows.add_unreadable(piece.name, "no document in it")
        yield from rows.full()
    yield from rows.rest()


def _read(piece: Piece, source: Source, rows: Rows) -> Iterator[pa.RecordBatch]:
    if piece.form == "dataset":
        from onnuri.corpus.reading import huggingface

        yield from huggingface.read(piece, source, rows)
    elif piece.form in ("topics", "docstrings"):
        from onnuri.corpus.reading import python_library

        yield from python_library.read(piece.form, source, rows)
    else:
        task = Reading(source, piece.name, rows, rows.limit, piece.start, piece.stop)
        opened = files.open_raw if piece.form in ("archive", "warc") else files.open_bytes
        with opened(piece.path) as stream:
            yield from FORMATS[piece.form](task, stream)


def is_plain_utf8(piece: Piece, declared: str) -> bool:
    """Whether a file of lines may be read from the middle: neither packed nor in units of two bytes."""
    if piece.path.lower().endswith(PACKED):
        return False
    try:
        with files.open_raw(piece.path) as stream:
            return not _wide(stream, declared)
    except OSError:
        return False


def _wide(stream: BinaryIO, declared: str) -> str:
    """The codec of a stream in UTF-16 or UTF-32, by declaration or byte order mark; "" for others."""
    codec = codecs.lookup(declared).name if declared else ""
    if codec.startswith(("utf-16", "utf-32")):
        return codec
    try:
        if hasattr(stream, "peek"):
            head = stream.peek(2)[:2]
        elif stream.seekable():
            head = stream.read(2)
            stream.seek(0)
        else:
            return ""
    except (OSError, EOFError, ValueError, zlib.error):
        return ""  # reading will name the damage
    return "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""


class _Recoded:
    """A stream of another encoding as UTF-8, a little at a time."""

    def __init__(self, stream: BinaryIO, codec: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(codec)()

    def read(self, size: int) -> bytes:
        """Some bytes, none at the end."""
        while raw := self._stream.read(size):
            if text := self._decoder.decode(raw):
                return text.encode("utf-8", "surrogatepass")
        return self._decoder.decode(b"", final=True).encode()


def _jsonl(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    packed = task.name.lower().endswith(PACKED)
    codec = "" if task.start else _wide(stream, task.source.encoding)
    if codec:
        stream = cast(BinaryIO, _Recoded(stream, codec))
        task = replace(task, source=replace(task.source, encoding=""))
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
        stop_if_transient(error)
        task.rows.add_unreadable(f"{task.name}@{place}", f"{task.name} after byte {place}: {cause(error)}")


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
    head = stream.read(SMALL_TREE_BYTES).removeprefix(codecs.BOM_UTF8)
    if "." in path or len(head) < SMALL_TREE_BYTES - 3 or task.source.encoding or not _is_utf8(head):
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


def _is_utf8(head: bytes) -> bool:
    try:
        head[: len(head) - 4].decode()
    except UnicodeDecodeError as error:
        return error.end > len(head) - 8  # the cut may go through a character
    return True


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
    from onnuri.corpus.reading.formats import html

    return html.extract(raw, task.source.encoding).text, {}


def _from_hwp(raw: bytes, task: Reading) -> tuple[str, dict[str, str]]:
    from onnuri.corpus.reading.formats import hwp

    return hwp.text(raw), {}


def _from_hwpx(raw: bytes, task: Reading) -> tuple[str, dict[str, str]]:
    from onnuri.corpus.reading.formats import hwpx

    return hwpx.text(raw), {}


def _warc(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.reading.formats import html, warc

    for number, record in enumerate(warc.records(stream), 1):
        origin = f"{task.name}#{number}"
        if isinstance(record, Exception):
            task.rows.add_unreadable(origin, cause(record))
            continue
        if not any(kind in record.content_type for kind in TEXT_TYPES) and record.content_type:
            continue  # pictures, archives, fonts
        try:
            if "html" in record.content_type:
                text = html.extract(record.payload, record.charset).text
            else:
                text = encoding.decode(record.payload, record.charset).text
        except Exception as error:
            task.rows.add(origin, "", "", {"url": record.url}, f"unreadable: {cause(error)}"[:300])
        else:
            task.rows.add(origin, text, own={"url": record.url})
        yield from task.rows.full()


def _archive(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.reading.formats import archive

    for name, member in archive.members(stream, task.name):
        inner = task.inside(f"{task.name}/{name}")
        form = files.format_of(name)
        if isinstance(member, Exception):
            task.rows.add_unreadable(inner.name, cause(member))
        elif form == "archive":
            task.rows.add_unreadable(inner.name, "an archive in an archive")
        elif not form:
            continue
        else:
            try:
                with files.unpacked(io.BytesIO(member), name) as inside:
                    yield from FORMATS[form](inner, inside)
            except Exception as error:
                task.rows.add_unreadable(inner.name, cause(error))
        yield from task.rows.full()


FORMATS: dict[str, Reader] = {
    "jsonl": _jsonl,
    "json": _json,
    "yaml": _yaml,
    "parquet": read_parquet,
    "text": _text,
    "html": _blob(_from_html),
    "warc": _warc,
    "hwp": _blob(_from_hwp),
    "hwpx": _blob(_from_hwpx),
    "archive": _archive,
}
