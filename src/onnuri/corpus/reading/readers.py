"""From the bytes of a file to raw rows, for every format. Reading never raises for bad content.

Each function below takes a stream and gives record batches; what is broken becomes an `unreadable` row,
and so does whatever a library throws at hostile input.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

import pyarrow as pa

from onnuri.corpus.reading import compression, detection, encoding, files
from onnuri.corpus.reading.canary import BenchmarkFile, refuse_benchmark
from onnuri.corpus.reading.delimited import read_csv, read_tsv
from onnuri.corpus.reading.lines import MOST_BYTES_PASSED_OVER, ends_in_returns, wide_codec
from onnuri.corpus.reading.piece import Piece, Reading, cause, stop_if_transient
from onnuri.corpus.reading.raw_text import Rows
from onnuri.corpus.reading.records import ROOM_FOR_MARKUP, read_json, read_jsonl, read_lines, read_yaml
from onnuri.corpus.reading.tables import read_parquet
from onnuri.corpus.source import Source

TEXT_TYPES = ("html", "text/", "xml", "json")
"""Content types of web records that are read have one of these in them."""
NO_TYPES = ("", "*/*", "unknown/unknown", "application/unknown")
"""Content types that say nothing."""
SEEKABLE = ("parquet", "archive", "warc")
"""Formats whose readers take the file as it lies: they seek in it, or unpack it themselves."""
MOST_LEVELS = 2
"""Archives in one another: a zip in a tar, as AI Hub has it."""


Reader = Callable[[Reading, BinaryIO], Iterator[pa.RecordBatch]]


def read(pieces: Iterable[Piece], source: Source, limit: int) -> Iterator[pa.RecordBatch]:
    """Raw rows of pieces of one source, in batches of bounded size that small files share.

    Texts over `limit` bytes are cut and marked.
    """
    rows = Rows(source, limit)
    for piece in pieces:
        found, rows.is_empty = -rows.num_waiting, False
        try:
            for batch in _read(piece, source, rows):
                found += batch.num_rows
                yield batch
        except BenchmarkFile:
            raise
        except Exception as error:
            stop_if_transient(error)
            rows.add_unreadable(piece.name, cause(error), getattr(error, "text", ""))
        whole = piece.stop is None and not piece.start
        if not found + rows.num_waiting and piece.size and whole and not rows.is_empty:
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
        with files.open_raw(piece.path) as stream:
            is_range = piece.start or piece.stop is not None
            looked_into = is_range or "://" not in piece.path
            form = piece.form if looked_into else detection.form_of(stream, piece.name, source)
            yield from read_as(form, task, stream)


def read_as(form: str, task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The rows of a seekable stream in one of `source.FORMATS`, compressed or not."""
    if form not in SEEKABLE and not task.start:
        refuse_benchmark(stream, task.name)
    if form not in SEEKABLE:
        yield from FORMATS[form](task, compression.unpacked(stream))
    elif compression.kind_of(head := stream.read(compression.LEAST_HEAD)) and form == "parquet":
        stream.seek(0)
        yield from FORMATS[form](task, io.BytesIO(_whole(compression.unpacked(stream))))
    else:
        stream.seek(0)
        # The reader of web archives continues after damage within a gzip member.
        unpack = form == "warc" and compression.kind_of(head) not in ("", "gzip")
        yield from FORMATS[form](task, compression.unpacked(stream) if unpack else stream)


def _whole(stream: BinaryIO) -> bytes:
    from onnuri.corpus.reading.formats.archive import MOST_MEMBER_BYTES

    raw = stream.read(MOST_MEMBER_BYTES + 1)
    if len(raw) > MOST_MEMBER_BYTES:
        raise ValueError(f"a file of more than {MOST_MEMBER_BYTES:,} bytes unpacked")
    return raw


def is_plain_utf8(piece: Piece, declared: str) -> bool:
    """Whether a file of lines may be read from the middle: neither packed nor in units of two bytes."""
    try:
        with files.open_raw(piece.path) as stream:
            plain = compression.unpacked(stream)
            packed = compression.is_unpacked(plain)
            return not packed and not wide_codec(plain, declared) and not ends_in_returns(plain)
    except OSError:
        return False


def _text(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    most = 2 * task.limit  # UTF-16 may need as many bytes for the same text
    raw, damage = compression.read_up_to(stream, most + 1)
    if damage:
        text = raw.decode("utf-8", "replace")
        task.rows.add_unreadable(task.name, damage, text)
    elif len(raw) > most:
        size, more = _size(stream, len(raw))
        hint = " (format: lines takes each line as a document)" if b"\n" in raw else ""
        task.rows.add_too_long(task.name, size, raw, f"{more}{hint}")
    else:
        text, note = encoding.decode_most(raw, task.source.encoding, task.source.bad_characters)
        task.rows.add(task.name, text, note=note)
    yield from task.rows.full()


def _size(stream: BinaryIO, done: int) -> tuple[int, str]:
    """How long a stream is of which `done` bytes were read, and a remark if that is not certain."""
    if not compression.is_unpacked(stream):
        return stream.seek(0, io.SEEK_END), ""
    try:
        while part := stream.read(1 << 20):
            done += len(part)
            if done > MOST_BYTES_PASSED_OVER:
                return done, "; the file is longer"
    except (OSError, EOFError, ValueError) as error:
        stop_if_transient(error)
        return done, f"; {cause(error)}"
    return done, ""


def _blob(extract: Callable[[bytes, Reading], tuple[str, str]]) -> Reader:
    """A reader for a file that is one document: `extract` gives its text, and a note on its damage."""

    def read_blob(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
        most = ROOM_FOR_MARKUP * task.limit
        raw, damage = compression.read_up_to(stream, most + 1)
        if damage or len(raw) > most:
            task.rows.add_unreadable(task.name, damage or f"a file of more than {most:,} bytes")
        else:
            text, note = extract(raw, task)
            task.rows.add(task.name, text, note=note)
        yield from task.rows.full()

    return read_blob


def _from_html(raw: bytes, task: Reading) -> tuple[str, str]:
    from onnuri.corpus.reading.formats import html

    page = html.extract(raw, task.source.encoding, task.source.bad_characters)
    return page.text, page.note


def _from_hwp(raw: bytes, task: Reading) -> tuple[str, str]:
    from onnuri.corpus.reading.formats import hwp

    return hwp.text(raw), ""


def _from_hwpx(raw: bytes, task: Reading) -> tuple[str, str]:
    from onnuri.corpus.reading.formats import hwpx

    return hwpx.text(raw), ""


def _warc(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.reading.formats import html, warc

    most_bad = task.source.bad_characters
    for number, record in enumerate(warc.records(stream), 1):
        origin = f"{task.name}#{number}"
        if isinstance(record, Exception):
            task.rows.add_unreadable(origin, cause(record))
            continue
        kind = record.content_type
        if kind in NO_TYPES:
            kind = "text/html" if detection.is_html(record.payload) else ""
        elif not any(each in kind for each in TEXT_TYPES):
            continue  # pictures, archives, fonts
        try:
            if "html" in kind:
                page = html.extract(record.payload, record.charset, most_bad)
                text, note = page.text, page.note
            else:
                text, note = encoding.decode_most(record.payload, record.charset, most_bad)
        except Exception as error:
            problem = f"unreadable: {cause(error)}"[:300]
            task.rows.add(origin, getattr(error, "text", ""), "", {"url": record.url}, problem)
        else:
            task.rows.add(origin, text, own={"url": record.url}, note=note)
        yield from task.rows.full()


def _archive(task: Reading, stream: BinaryIO, level: int = 1) -> Iterator[pa.RecordBatch]:
    from onnuri.corpus.reading.formats import archive

    passed: Counter[str] = Counter()
    source = replace(task.source, format="auto")
    for name, member in archive.members(stream, task.name):
        inner = task.inside(f"{task.name}/{name}")
        if isinstance(member, Exception):
            task.rows.add_unreadable(inner.name, cause(member))
            yield from task.rows.full()
            continue
        try:
            form = detection.form_of(io.BytesIO(member), name, source)
            if form != "archive":
                yield from read_as(form, inner, io.BytesIO(member))
            elif level < MOST_LEVELS:
                yield from _archive(inner, io.BytesIO(member), level + 1)
            else:
                passed["an archive in an archive in an archive"] += 1
        except detection.PassedOver as error:
            passed[str(error)] += bool(member)
        except Exception as error:
            task.rows.add_unreadable(inner.name, cause(error), getattr(error, "text", ""))
        yield from task.rows.full()
    _add_passed_over(task, passed)


def _add_passed_over(task: Reading, passed: Counter[str]) -> None:
    """One row for the members of an archive that were not read, with their number by reason."""
    if passed := +passed:
        reasons = "; ".join(f"{reason} ({number:,})" for reason, number in passed.most_common(5))
        task.rows.add_unreadable(task.name, f"members passed over: {reasons}")


FORMATS: dict[str, Reader] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "yaml": read_yaml,
    "csv": read_csv,
    "tsv": read_tsv,
    "parquet": read_parquet,
    "text": _text,
    "lines": read_lines,
    "html": _blob(_from_html),
    "warc": _warc,
    "hwp": _blob(_from_hwp),
    "hwpx": _blob(_from_hwpx),
    "archive": _archive,
}
