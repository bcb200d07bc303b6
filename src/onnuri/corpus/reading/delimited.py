"""Tables of text, .csv and .tsv: the first row names the columns.

Fields of .csv may be in quotes, with line ends in them. In .tsv a quotation mark means nothing, as in NSMC
and KorNLI, unless a field begins and ends with one.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from onnuri.corpus.reading import encoding
from onnuri.corpus.reading.compression import is_unpacked
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import as_utf8, lines, wide_codec
from onnuri.corpus.reading.piece import Reading, add_record
from onnuri.corpus.reading.records import ROOM_FOR_MARKUP

DELIMITERS = (",", ";", "\t", "|")


def read_csv(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A record a row, under the names of the first."""
    return _read(task, stream, tabs=False)


def read_tsv(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The same with tabs between fields."""
    return _read(task, stream, tabs=True)


def header_of(stream: BinaryIO, declared: str, tabs: bool) -> list[str]:
    """The names of the columns. Raises ValueError for what is no text."""
    line = next(iter(lines(stream, 1 << 20)), None)
    if line is None:
        return []
    text = encoding.decode(line.content, declared).text
    try:
        return next(csv.reader([text.strip("\r\ufeff")], delimiter=_delimiter(text, tabs)), [])
    except csv.Error as error:
        raise ValueError(error) from None


def _delimiter(header: str, tabs: bool) -> str:
    return "\t" if tabs else max(DELIMITERS, key=header.count)


def _read(task: Reading, stream: BinaryIO, tabs: bool) -> Iterator[pa.RecordBatch]:
    source = _Lines(task, stream)
    header: list[str] = []
    delimiter = ""
    number = 0
    rows: Iterator[list[str]] = iter(())
    csv.field_size_limit(sys.maxsize)  # `source` knows how long a row may be
    for first in source:
        delimiter = _delimiter(first, tabs)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
        rows = map(_tab_row, source) if tabs else csv.reader(source, delimiter=delimiter, strict=True)
        break
    task.rows.is_empty = True
    while True:
        number += 1
        source.taken, source.texts = 0, []
        origin = f"{task.name}#{number}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except _TooLong:
            raise
        except (ValueError, csv.Error) as error:
            task.rows.add_unreadable(origin, error, "".join(source.texts))
            yield from task.rows.full()
            continue
        if not any(row):
            continue
        if len(row) > len(header):
            cause = f"{len(row)} fields where the first row names {len(header)}"
            task.rows.add_unreadable(origin, cause, delimiter.join(row))
        else:
            add_record(task, origin, dict(zip(header, row, strict=False)), source.note)
        source.note = ""
        yield from task.rows.full()


def _tab_row(line: str) -> list[str]:
    return [
        field[1:-1].replace('""', '"') if len(field) > 1 and field[0] == field[-1] == '"' else field
        for field in line.rstrip("\r\n").split("\t")
    ]


class _TooLong(ValueError):
    """A row, and it could go on."""


class _Lines:
    """The lines of a table as text. Of the present row: `taken` bytes, `texts`, a `note` on damage."""

    def __init__(self, task: Reading, stream: BinaryIO) -> None:
        packed = is_unpacked(stream)
        self.declared = codec_of(task.source.encoding)
        if wide := wide_codec(stream, task.source.encoding):
            stream, self.declared = as_utf8(stream, wide), ""
        self.limit = ROOM_FOR_MARKUP * task.limit + (1 << 20)
        self.most_bad = task.source.bad_characters
        self._lines = lines(stream, self.limit, packed=packed)
        self.taken, self.note = 0, ""
        self.texts: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += line.size + 1
        if self.taken > self.limit:
            raise _TooLong(f"a row of more than {self.limit:,} bytes; the rest is not read")
        if line.damage:
            self.texts.append(line.content.decode("utf-8", "replace"))
            raise ValueError(line.damage)
        if not line.offset:
            line = line._replace(content=line.content.removeprefix(b"\xef\xbb\xbf"))
        try:
            text, note = encoding.decode_most(line.content, self.declared, self.most_bad)
        except encoding.Undecodable as error:
            self.texts.append(error.text)
            raise
        self.note = note or self.note
        self.texts.append(text + "\n")
        return self.texts[-1]
