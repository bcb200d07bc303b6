"""What all readers share: the piece that is read, and how a record becomes a raw row."""

from __future__ import annotations

import errno
import gzip
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onnuri.corpus.reading import files, trees
from onnuri.corpus.reading.raw_text import Rows
from onnuri.corpus.source import Source

TRANSIENT = (
    *(errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ESTALE),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EPIPE),
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT),
)


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


def cause(error: Exception) -> str:
    """An error in one line, with its type unless that is plain."""
    plain = isinstance(error, OSError | ValueError | EOFError | pa.ArrowException)
    return files.one_line(error) if plain else f"{type(error).__name__}: {files.one_line(error)}"


def stop_if_transient(error: Exception) -> None:
    """Raise an error that says nothing of the document: of network, disk, memory or installation.

    The run then stops and can go on later, instead of rejecting what is fine.
    """
    damage = (gzip.BadGzipFile, UnicodeError)
    if isinstance(error, ImportError | MemoryError):
        raise error
    if isinstance(error, OSError) and error.errno in TRANSIENT and not isinstance(error, damage):
        raise error


def add_record(task: Reading, origin: str, record: Any, note: str = "") -> None:
    """The raw row of a record with a text and, it may be, an id, url, lang, ..."""
    source = task.source
    if task.rows.takes_records:
        task.rows.add_record(origin, record, note)
        return
    try:
        text = trees.text_at(record, source.paths["text"])
        own = trees.own_values(record, {n: p for n, p in source.paths.items() if n != "text"})
    except (ValueError, RecursionError) as error:
        task.rows.add_unreadable(origin, error, note=note)
        return
    task.rows.add(origin, text, own.pop("id", ""), own, note=note)
