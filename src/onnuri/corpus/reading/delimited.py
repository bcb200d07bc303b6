"""Tables of text, .csv and .tsv: the first row names the columns.

Fields of .csv may be in quotes, with line ends in them. In .tsv a quotation mark means nothing, as in NSMC
and KorNLI, unless a field begins and ends with one.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa

from onnuri.corpus.reading import encoding
from onnuri.corpus.reading.compression import is_unpacked
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import as_utf8, ends_in_returns, lines, wide_codec, with_line_feeds
from onnuri.corpus.reading.piece import Reading, add_record
from onnuri.corpus.reading.records import ROOM_FOR_MARKUP

MOST_BYTES_READ_AGAIN = 1 << 28
"""After damage, in one file."""
DELIMITERS = (",", ";", "\t", "|")


def read_csv(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A record a row, under the names of the first."""
    return _read(task, stream, tabs=False)


def read_tsv(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The same with tabs between fields."""
    return _read(task, stream, tabs=True)


def header_of(stream: BinaryIO, declared: str, tabs: bool) -> list[str]:
    """The names of the columns. Raises ValueError for what is no text."""
    if wide := wide_codec(stream, declared):
        stream, declared = as_utf8(stream, wide), ""
    elif ends_in_returns(stream):
        stream = with_line_feeds(stream)
    line = next(iter(lines(stream, 1 << 20)), None)
    if line is None:
        return []
    text = encoding.decode(line.content, declared).text
    try:
        names = next(_rows([text.strip("\r\ufeff")], _delimiter(text, tabs), text), [])
        return [name.strip() for name in names]
    except csv.Error as error:
        raise ValueError(error) from None


def _delimiter(header: str, tabs: bool) -> str:
    return "\t" if tabs else max(DELIMITERS, key=header.count)


def _rows(lines: Iterable[str], delimiter: str, header: str) -> Iterator[list[str]]:
    """Rows of fields; spaces before them mean nothing where the header has some (a, b)."""
    return csv.reader(
        lines, delimiter=delimiter, strict=True, skipinitialspace=f"{delimiter} " in header.strip()
    )


def _read(task: Reading, stream: BinaryIO, tabs: bool) -> Iterator[pa.RecordBatch]:
    source = _Lines(task, stream)
    header: list[str] = []
    delimiter = ""
    number = 0
    in_damage = False
    rows: Iterator[list[str]] = iter(())
    csv.field_size_limit(sys.maxsize)  # `source` knows how long a row may be
    for first in source:
        delimiter = _delimiter(first, tabs)
        header = [name.strip() for name in next(_rows([first], delimiter, first))]
        rows = map(_tab_row, source) if tabs else _rows(source, delimiter, first)
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
        except (ValueError, csv.Error) as error:
            in_damage = source.put_back()
            if isinstance(error, _TooLong) and not in_damage:
                raise
            open_quote = " (a quotation mark that nothing closes?)" if in_damage else ""
            task.rows.add_unreadable(origin, f"{error}{open_quote}", "".join(source.texts))
            yield from task.rows.full()
            continue
        if not any(row):
            continue
        if in_damage and len(row) != len(header):
            cause = f"{len(row)} fields after a damaged row where the first row names {len(header)}"
            task.rows.add_unreadable(origin, cause, delimiter.join(row))
        elif len(row) > len(header):
            cause = f"{len(row)} fields where the first row names {len(header)}"
            task.rows.add_unreadable(origin, cause, delimiter.join(row))
        else:
            in_damage = False
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
        elif ends_in_returns(stream):
            stream = with_line_feeds(stream)
        self.limit = ROOM_FOR_MARKUP * task.limit + (1 << 20)
        self.most_bad = task.source.bad_characters
        self._lines = lines(stream, self.limit, packed=packed)
        self.taken, self.note = 0, ""
        self.texts: list[str] = []
        self._again: list[str] = []
        """Lines to be read once more, the next one last."""
        self._room = MOST_BYTES_READ_AGAIN

    def __iter__(self) -> _Lines:
        return self

    def put_back(self) -> bool:
        """Whether the lines after the first of a broken row are read again, as rows of their own.

        A quotation mark that nothing closes takes in all the rows that follow.
        """
        if len(self.texts) < 2 or self._room < self.taken:
            return False
        self._room -= self.taken
        self._again += reversed(self.texts[1:])
        del self.texts[1:]
        return True

    def __next__(self) -> str:
        if self._again:
            self.texts.append(self._again.pop())
            self.taken += len(self.texts[-1].encode()) + 1
            return self.texts[-1]
        line = next(self._lines)
        self.taken += line.size + 1
        is_too_long = self.taken > self.limit
        if is_too_long and line.size > self.limit:
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
        if is_too_long:
            raise _TooLong(f"a row of more than {self.limit:,} bytes; the rest is not read")
        return self.texts[-1]
