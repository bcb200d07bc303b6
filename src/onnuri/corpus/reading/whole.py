"""Whole records where a corpus takes their texts: the same files, formats, archives and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from onnuri.corpus.reading import files, readers
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.piece import Reading
from onnuri.corpus.reading.raw_text import SCHEMA, Rows
from onnuri.corpus.source import Source

NOTHING: pa.RecordBatch = pa.RecordBatch.from_pylist([], schema=SCHEMA)
"""What a reader gives so that its records can be taken."""


class Whole(NamedTuple):
    """A record as its file has it, mostly a dict, or why it cannot be read."""

    file: str
    value: Any
    problem: str = ""
    note: str = ""
    """What was wrong with a record that can be used, as in "bad characters: 3"."""


class Records(Rows):
    """Collects records. What is a text without a record around it (pages, manuals) is passed over."""

    takes_records = True

    def __init__(self, source: Source, limit: int) -> None:
        super().__init__(source, limit)
        self.found: list[Whole] = []

    def add_record(self, origin: str, record: Any, note: str = "") -> None:
        """Add a record."""
        self.found.append(Whole(_file(origin), record, note=note))

    def add(
        self,
        origin: str,
        text: str,
        key: str = "",
        own: Mapping[str, str] | None = None,
        problem: str = "",
        note: str = "",
    ) -> None:
        """Add what is wrong."""
        if problem:
            self.found.append(Whole(_file(origin), None, problem))

    def full(self) -> Iterator[pa.RecordBatch]:
        """Something if there is a record."""
        if self.found:
            yield NOTHING

    def taken(self) -> list[Whole]:
        """The records since the last call."""
        found, self.found = self.found, []
        return found


def read(file: File, form: str, source: Source, limit: int) -> Iterator[Whole]:
    """The records of a file, in bounded memory. Raises what its format's reader raises for a broken file.

    Args:
        limit: bytes of a text, as in a recipe's `max_document_bytes`; a record may have four times as many.
    """
    rows = Records(source, limit)
    with files.open_raw(file.path) as stream:
        for _ in readers.read_as(form, Reading(source, file.name, rows, limit), stream):
            yield from rows.taken()
    yield from rows.taken()


def _file(origin: str) -> str:
    """Of "folder/file.json#data.3" and "file.jsonl@120" the file."""
    return origin.rpartition("#")[0] or origin.rpartition("@")[0] or origin
