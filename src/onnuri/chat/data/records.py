"""Records of JSON lines, JSON and Parquet files, one after the other, in bounded memory.

Files are found and decoded as the corpus does it: first bytes over suffix, compression undone, UTF-8 with
or without a byte order mark, UTF-16, CP949. Reading never stops at bad content: what is broken is a Raw
with a refusal, and what follows it is read.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.chat.data.layouts import COLUMNS
from onnuri.chat.data.objects import Object, checked
from onnuri.chat.data.refusal import BROKEN_JSON, TOO_LONG, UNREADABLE, Refused
from onnuri.corpus.reading import compression, discovery, encoding, files
from onnuri.corpus.reading.canary import refuse_benchmark
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import as_utf8, ends_in_returns, lines, wide_codec, with_line_feeds
from onnuri.corpus.reading.mended import Mended, note_of, unmarked
from onnuri.corpus.reading.piece import cause, stop_if_transient
from onnuri.corpus.reading.records import (
    MOST_TREE_BYTES,
    SMALL_TREE_BYTES,
    Both,
    is_utf8,
    json_values,
    line_text,
    several_objects,
)

FORMS = ("jsonl", "json", "parquet")
MOST_RECORD_BYTES = 16 << 20
BAD_CHARACTERS = 0.001
"""Undecodable characters for each byte that a kept record may have, as in a corpus."""
ROWS_AT_ONCE = 256


class Raw(NamedTuple):
    """A record as it was found."""

    file: str
    place: int
    """Line of the file, or number of the record or row in it, from 1."""
    record: dict[str, Any]
    refused: Refused | None = None
    note: str = ""
    """What was wrong with a record that can be used, as in "bad characters: 3"."""


def find(pattern: str) -> tuple[list[tuple[File, str]], str]:
    """The files that `input=` means with their formats, and what was passed over, in one line.

    Raises UserError when there is none, and for test tasks.
    """
    kind = manifest.kind_of(Path(pattern).expanduser())
    if kind not in ("", "tasks"):
        raise UserError(
            f"input={pattern} is a {kind} folder; conversations lie in .jsonl, .json or .parquet"
        )
    found = discovery.find(pattern)
    for file in list(found.files):
        if Path(file.name).name == manifest.FILE_NAME and manifest.kind_of(Path(file.path).parent):
            found.files.remove(file)  # of what Onnuri wrote
            if manifest.kind_of(Path(file.path).parent) == "tasks":
                refuse_test_split(Path(file.path).parent)
    chosen = []
    for file, form in discovery.with_formats(found):
        if form in FORMS:
            chosen.append((file, form))
        else:
            found.files.remove(file)
            found.pass_over("neither JSON nor Parquet", file.name)
    passed = discovery.describe(found.counts())
    if not chosen:
        raise UserError(f"input={pattern} has no .jsonl, .json or .parquet file; passed over {passed}")
    return chosen, passed


def refuse_test_split(folder: Path) -> None:
    """Raise UserError for a folder of `onnuri tasks make` whose tasks are for grading."""
    if manifest.read(folder, "tasks").settings["split"] == "test":
        raise UserError(
            f"{folder} holds the test split, which grades models: what they learn from has split=train"
        )


def read(chosen: list[tuple[File, str]], declared: str) -> Iterator[Raw]:
    """The records of files; `declared` is a label of their encoding, "" to detect it."""
    readers = {"jsonl": _lines, "json": _tree, "parquet": _table}
    for file, form in chosen:
        place = 0
        try:
            with files.open_raw(file.path) as stream:
                if form != "parquet":
                    refuse_benchmark(stream, file.name)
                for raw in readers[form](file.name, compression.unpacked(stream), codec_of(declared)):
                    place = raw.place
                    yield raw
        except UserError:
            raise
        except Exception as error:
            stop_if_transient(error)
            yield Raw(file.name, place + 1, {}, Refused(UNREADABLE, f"from here on: {cause(error)}"))


def _lines(name: str, stream: BinaryIO, declared: str) -> Iterator[Raw]:
    if wide := wide_codec(stream, declared):
        stream, declared = as_utf8(stream, wide), ""
    elif ends_in_returns(stream):
        stream = with_line_feeds(stream)
    packed = compression.is_unpacked(stream)
    for number, line in enumerate(lines(stream, MOST_RECORD_BYTES, packed=packed), 1):
        if line.damage:
            yield Raw(name, number, {}, Refused(UNREADABLE, line.damage))
        elif line.size > MOST_RECORD_BYTES:
            yield Raw(name, number, {}, Refused(TOO_LONG, f"{line.size:,} bytes"))
        elif line.content.strip():
            yield from _line(name, number, line.content, declared)


def _line(name: str, number: int, content: bytes, declared: str) -> Iterator[Raw]:
    try:
        text, note = line_text(content, declared, BAD_CHARACTERS, western=bool(declared))
    except ValueError as error:
        yield Raw(name, number, {}, Refused(UNREADABLE, cause(error)))
        return
    text = text.removeprefix("\ufeff")
    try:
        yield _object(name, number, json.loads(text, object_pairs_hook=Object), note)
    except (ValueError, RecursionError) as error:
        several = several_objects(text, Object)
        for record in several:
            yield _object(name, number, record, note)
        if not several:
            yield Raw(name, number, {}, Refused(BROKEN_JSON, cause(error)))


def _object(name: str, number: int, value: Any, note: str = "") -> Raw:
    if not isinstance(value, dict):
        return Raw(name, number, {}, Refused(BROKEN_JSON, f"a {type(value).__name__}, not an object"))
    try:
        record, lone = checked(value)
    except (ValueError, RecursionError) as error:
        return Raw(name, number, {}, Refused(BROKEN_JSON, cause(error)))
    return Raw(name, number, record, note=note or (f"lone surrogates: {lone}" if lone else ""))


def _tree(name: str, stream: BinaryIO, declared: str) -> Iterator[Raw]:
    """A list at the top or right below it, or values in a row; streamed if it is large or broken."""
    head, damage = compression.read_up_to(stream, SMALL_TREE_BYTES)
    if damage:
        raise ValueError(damage)
    if len(head) < SMALL_TREE_BYTES or declared or not is_utf8(head, BAD_CHARACTERS):
        head += stream.read(MOST_TREE_BYTES + 1 - len(head))
        if len(head) > MOST_TREE_BYTES:
            raise ValueError(
                f"a file of more than {MOST_TREE_BYTES:,} bytes that is not UTF-8; write .jsonl"
            )
        text, note = encoding.decode_most(head, declared, BAD_CHARACTERS)
        text = text.removeprefix("\ufeff")
        try:
            values = list(json_values(text, Object))
        except ValueError:  # the records before what is broken are read all the same
            head, stream = text.encode("utf-8", "surrogatepass"), io.BytesIO()
        else:
            found = (record for value in values for record in _records(value))
            for number, record in enumerate(found, 1):
                yield _object(name, number, record, note)
            return
    yield from _streamed(name, head.removeprefix(codecs.BOM_UTF8), stream)


def _records(value: Any) -> list[Any]:
    """The elements of a list, also of the only list in an object that is no record itself."""
    if isinstance(value, list):
        return value
    lists = [each for each in value.values() if isinstance(each, list)] if isinstance(value, dict) else []
    if len(lists) == 1 and not COLUMNS & value.keys() and all(isinstance(each, dict) for each in lists[0]):
        return lists[0]
    return [value]


def _streamed(name: str, head: bytes, rest: BinaryIO) -> Iterator[Raw]:
    import ijson

    prefix = "item" if head.lstrip()[:1] == b"[" else ""
    number = 0
    both = Both(head, rest)
    mended = Mended(both, BAD_CHARACTERS)
    options = {"use_float": True, "multiple_values": True, "map_type": Object}
    try:
        for value in ijson.items(mended, prefix, **options):
            number += 1
            both.given = 0
            raw = _object(name, number, value)
            record, marks = unmarked(raw.record) if mended.marks else (raw.record, 0)
            yield raw._replace(record=record, note=note_of(marks))
    except (ValueError, RecursionError, ijson.JSONError) as error:
        yield Raw(name, number + 1, {}, Refused(BROKEN_JSON, f"from here on: {cause(error)}"))


def _table(name: str, stream: BinaryIO, declared: str) -> Iterator[Raw]:
    import pyarrow.parquet as pq

    number = 0
    with pq.ParquetFile(stream) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for index in range(batch.num_rows):
                number += 1
                try:
                    (record,) = batch.slice(index, 1).to_pylist()
                    yield Raw(name, number, _texts(record, declared))
                except ValueError as error:
                    yield Raw(name, number, {}, Refused(UNREADABLE, cause(error)))


def _texts(value: Any, declared: str) -> Any:
    """A value with texts for bytes, and without the nulls with which a table fills up a record's fields.

    Raises ValueError for bytes that are no text.
    """
    if isinstance(value, bytes):
        return encoding.decode_most(value, declared, BAD_CHARACTERS)[0]
    if isinstance(value, dict):
        return {key: _texts(inner, declared) for key, inner in value.items() if inner is not None}
    return [_texts(inner, declared) for inner in value] if isinstance(value, list) else value
