"""Records of JSON lines, JSON and Parquet files, one after the other, in bounded memory.

Files are found and decoded as the corpus does it: first bytes over suffix, compression undone, UTF-8 with
or without a byte order mark, UTF-16, CP949. Reading never stops at bad content: what is broken is a Raw
with a refusal, and what follows it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.chat.data.layouts import COLUMNS
from onnuri.chat.data.objects import Object, checked
from onnuri.chat.data.refusal import BROKEN_JSON, CUT_OFF, MISSING, TOO_LONG, UNREADABLE, Refused
from onnuri.corpus.reading import compression, discovery, encoding, files
from onnuri.corpus.reading.canary import refuse_benchmark
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.json_records import lists_below, split
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import as_utf8, ends_in_returns, lines, wide_codec, with_line_feeds
from onnuri.corpus.reading.piece import cause, stop_if_transient
from onnuri.corpus.reading.records import (
    SMALL_TREE_BYTES,
    Rest,
    codec_of_head,
    record_text,
    several_objects,
    to_split,
    whole_values,
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
            yield Raw(file.name, place + 1, {}, Refused(CUT_OFF, cause(error)))


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


def _line(name: str, number: int, content: bytes, declared: str, likely: str = "") -> Iterator[Raw]:
    try:
        text, note = record_text(content, declared, likely, BAD_CHARACTERS)
    except ValueError as error:
        yield Raw(name, number, {}, Refused(UNREADABLE, cause(error)))
        return
    text = text.removeprefix("\ufeff")
    try:
        yield _object(name, number, json.loads(text, strict=False, object_pairs_hook=Object), note)
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
    """A list at the top or right below it, or values in a row."""
    if wide := wide_codec(stream, declared):
        stream, declared = as_utf8(stream, wide), ""
    head, damage = compression.read_up_to(stream, SMALL_TREE_BYTES)
    if len(head) < SMALL_TREE_BYTES and not damage and (values := whole_values(head, Object)) is not None:
        found = (record for value in values for record in _records(value))
        for number, record in enumerate(found, 1):
            yield _object(name, number, record)
        return
    rest = Rest(head, stream, damage)
    parts, declared, likely = to_split(rest, declared, codec_of_head(head))
    keys, lists = lists_below(head)
    within = lists if len(lists) == 1 and not COLUMNS & set(keys) else []
    number = 0
    for number, part in enumerate(split(parts, within, MOST_RECORD_BYTES, every=True), 1):
        if part.problem:
            yield Raw(name, number, {}, Refused(CUT_OFF, rest.damage or part.problem))
            return
        if part.content:
            yield from _line(name, number, part.content, declared, likely)
        else:
            detail = f"no {within[0]}, which has the records of the first object"
            yield Raw(name, number, {}, Refused(MISSING, detail))
    if rest.damage:
        yield Raw(name, number + 1, {}, Refused(CUT_OFF, rest.damage))


def _records(value: Any) -> list[Any]:
    """The elements of a list, also of the only list in an object that is no record itself."""
    if isinstance(value, list):
        return value
    lists = [each for each in value.values() if isinstance(each, list)] if isinstance(value, dict) else []
    if len(lists) == 1 and not COLUMNS & value.keys() and all(isinstance(each, dict) for each in lists[0]):
        return lists[0]
    return [value]


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
