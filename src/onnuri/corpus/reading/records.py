"""Records in text files: JSON lines, JSON, YAML, and plain lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa

from onnuri.corpus.reading import encoding, trees
from onnuri.corpus.reading.compression import is_unpacked, read_up_to
from onnuri.corpus.reading.json_records import split
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import Line, as_utf8, ends_in_returns, lines, wide_codec, with_line_feeds
from onnuri.corpus.reading.piece import Reading, add_record, cause, stop_if_transient
from onnuri.corpus.reading.raw_text import BYTES_SHOWN

ROOM_FOR_MARKUP = 4
"""A file may have so many times the bytes of the longest document: escapes, tags, other fields."""
SMALL_TREE_BYTES = 1 << 24
"""A JSON file that is shorter and without fault is parsed whole, which is faster."""
MOST_TREE_BYTES = 1 << 28
"""Of a YAML file, which is read whole."""
MOST_RECORD_BYTES = 1 << 26
"""Of a record of JSON: more is a bomb."""


ASCII_INSIDE = {"johab", "cp932", "gb18030", "big5", "iso2022_kr", "iso2022_jp", "hz"}
"""Codecs in which quotation marks, brackets and backslashes may be part of other characters."""
NAME_TWICE = "name twice"
"""The note on a record in which an object has one name twice."""
_FIRST_KEY = re.compile(rb'\{\s*("[^"]*")\s*:')

MakeObject = Callable[[list[tuple[str, Any]]], dict[str, Any]]
_BETWEEN_VALUES = re.compile(r"[ \t\r\n]*(?:,[ \t\r\n]*)?")


def read_jsonl(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A record a line."""
    return _read_lines(task, stream, _json_line)


def read_lines(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A document a line; empty lines are none."""
    return _read_lines(task, stream, _text_line)


def _read_lines(
    task: Reading, stream: BinaryIO, add_line: Callable[[Reading, Line, str], None]
) -> Iterator[pa.RecordBatch]:
    packed = is_unpacked(stream)
    declared = codec_of(task.source.encoding)
    wide = "" if task.start else wide_codec(stream, task.source.encoding)
    if wide:
        stream = as_utf8(stream, wide)
        declared, task = "", replace(task, source=replace(task.source, encoding=""))
    elif not task.start and task.stop is None and ends_in_returns(stream):
        stream = with_line_feeds(stream)
    limit = ROOM_FOR_MARKUP * task.limit + (1 << 20)
    offset = task.start
    try:
        for line in lines(stream, limit, task.start, task.stop, packed):
            offset = line.offset
            if line.damage:
                _add_damaged(task, line)
            elif line.size > limit:
                task.rows.add_too_long(f"{task.name}@{offset}", line.size, line.content)
            elif line.content.strip():
                add_line(task, line, declared)
            offset += line.size
            yield from task.rows.full()
        task.rows.is_empty = offset == task.start
    except Exception as error:
        stop_if_transient(error)
        task.rows.add_unreadable(
            f"{task.name}@{offset}", f"{task.name} after byte {offset}: {cause(error)}"
        )


def _add_damaged(task: Reading, line: Line) -> None:
    text = line.content.decode("utf-8", "replace")
    task.rows.add_unreadable(f"{task.name}@{line.offset}", f"{task.name}: {line.damage}", text)


def _text_line(task: Reading, line: Line, declared: str) -> None:
    text, note = line_text(line.content, declared, task.source.bad_characters, western=True)
    task.rows.add(f"{task.name}@{line.offset}", text.removeprefix("\ufeff").removesuffix("\r"), note=note)


def _json_line(task: Reading, line: Line, declared: str) -> None:
    origin = f"{task.name}@{line.offset}"
    try:
        # JSON is UTF-8 by its standard; CP949 is met all the same.
        text, note = line_text(line.content, declared, task.source.bad_characters, western=bool(declared))
        text = text.removeprefix("\ufeff")
        record, note = _parsed(text, note)
    except (ValueError, RecursionError) as error:
        several = several_records(text) if isinstance(error, json.JSONDecodeError) else []
        for number, (record, twice) in enumerate(several):
            add_record(task, f"{origin}.{number}" if number else origin, record, joined(note, twice))
        if not several:
            readable = getattr(error, "text", "") or line.content.decode(declared or "utf-8", "replace")
            task.rows.add_unreadable(origin, error, readable)
        return
    if isinstance(record, dict):
        add_record(task, origin, record, note)
    else:
        task.rows.add_unreadable(
            origin, "the line is no JSON object", line.content.decode("utf-8", "replace")
        )


class Names:
    """Looks for objects with one name twice, of which the last value is taken, as by Python."""

    def __init__(self) -> None:
        self.twice = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """For `object_pairs_hook` of json."""
        found = dict(pairs)
        self.twice = self.twice or len(found) < len(pairs)
        return found


def joined(*notes: str) -> str:
    """Notes in one text."""
    return ", ".join(filter(None, notes))


def _parsed(text: str, note: str) -> tuple[Any, str]:
    names = Names()
    value = json.loads(text, strict=False, object_pairs_hook=names.object)
    return value, joined(note, NAME_TWICE * names.twice)


def several_records(text: str) -> list[tuple[dict[str, Any], str]]:
    """As `several_objects`, each with what is to be noted of it."""
    names, found = Names(), list[tuple[dict[str, Any], str]]()
    try:
        for value in json_values(text, names.object):
            if not isinstance(value, dict):
                return []
            found.append((value, NAME_TWICE * names.twice))
            names.twice = False
    except (ValueError, RecursionError):
        return []
    return found


def several_objects(text: str, make_object: MakeObject | None = None) -> list[dict[str, Any]]:
    """The objects of a line that holds several, or one and a comma; none if there is anything else."""
    try:
        values = list(json_values(text, make_object))
    except (ValueError, RecursionError):
        return []
    return values if all(isinstance(value, dict) for value in values) else []


def line_text(content: bytes, declared: str, most_bad: float, western: bool) -> tuple[str, str]:
    """A line as what was declared (Python's codec), else UTF-8, else what it looks like; and its damage.

    Raises Undecodable when there are more than `most_bad` undecodable characters for each byte.
    """
    try:
        if declared != "johab":  # which takes more than Python's codec
            return content.decode(declared or "utf-8"), ""
    except UnicodeDecodeError:
        pass
    return encoding.decode_most(content, declared, most_bad, western)


def read_json(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """JSON values one after the other, mostly one; record by record where these are a list at its top, or
    where `records` leads."""
    declared = codec_of(task.source.encoding)
    if wide := wide_codec(stream, task.source.encoding):
        stream, declared = as_utf8(stream, wide), ""
    keys = task.source.records.split(".") if task.source.records else []
    head, damage = read_up_to(stream, SMALL_TREE_BYTES)
    names = Names()
    values = whole_values(head, names.object) if len(head) < SMALL_TREE_BYTES and not damage else None
    if values is not None and not names.twice and all(trees.lead_on(value, keys) for value in values):
        for _ in _add_records(task, iter(values), ""):
            yield from task.rows.full()
        return
    rest = Rest(head, stream, damage)
    parts, declared, likely = to_split(rest, declared, codec_of_head(head))
    records = _Records(task, declared, likely)
    task.rows.is_empty = True
    for found in split(parts, keys, MOST_RECORD_BYTES, every=True):
        task.rows.is_empty = False
        origin = f"{task.name}#{found.path}" if found.path else task.name
        if found.problem:
            left = records.salvage(origin, found.content, at_end=True) if found.content else b""
            if left is not None:
                shown = left[:BYTES_SHOWN].decode("utf-8", "replace")
                task.rows.add_cut_off(origin, records.number, rest.damage or found.problem, shown)
                return
        elif found.content:
            records.add(origin, found.content)
        else:
            task.rows.add_unreadable(origin, f"nothing at records: {task.source.records}")
        yield from task.rows.full()
    if rest.damage:
        task.rows.add_cut_off(task.name, records.number, rest.damage)


def to_split(rest: Rest, declared: str, likely: str) -> tuple[Callable[[int], bytes], str, str]:
    """A stream whose quotation marks and brackets are bytes of their own, and its codecs then."""
    if (codec := declared or likely) in ASCII_INSIDE:
        return as_utf8(rest, codec).read, "", "utf-8"
    return rest.read, declared, likely


class _Records:
    """Adds records of JSON, each from its bytes."""

    def __init__(self, task: Reading, declared: str, likely: str) -> None:
        self.task, self.declared, self.likely = task, declared, likely
        self.number = 0

    def add(self, origin: str, content: bytes) -> None:
        """A record, or those that stand in it where a quotation mark is missing, or one too many."""
        try:
            text, note = record_text(content, self.declared, self.likely, self.task.source.bad_characters)
            record, note = _parsed(text, note)
        except (ValueError, RecursionError) as error:
            if self.salvage(origin, content) is None:
                return
            codec = self.declared or self.likely or "utf-8"
            readable = getattr(error, "text", "") or content.decode(codec, "replace")
            self.task.rows.add_unreadable(origin, error, readable)
        else:
            add_record(self.task, origin, record, note)
        self.number += 1

    def salvage(self, origin: str, content: bytes, at_end: bool = False) -> bytes | None:
        """Add the records that stand in one that cannot be read: parts that begin with the same key as it
        does. What is left over: all of it if there are no parts, at the end of a file what is behind the
        last one.
        """
        first = _FIRST_KEY.match(content)
        between = rb"(?<=\})\s*,?\s*(?=\{\s*" + re.escape(first[1]) + rb"\s*:)" if first else rb"(?!)"
        *parts, last = re.split(between, content)
        if not parts:
            return content
        end = _end_of_object(last) if at_end else len(last)
        for number, part in enumerate([*parts, last[:end]] if end else parts):
            self.add(f"{origin}.{number}" if number else origin, part)
        return last[end:] if last[end:].strip(b" \t\r\n]}") else None


def _end_of_object(content: bytes) -> int:
    """Where the object that a text begins with ends; 0 if it does not."""
    text = content.decode("utf-8", "surrogateescape")
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return 0
    return len(text[:end].encode("utf-8", "surrogateescape"))


def whole_values(content: bytes, make_object: MakeObject | None = None) -> list[Any] | None:
    """The values of a text that is UTF-8 and JSON without fault, as `json_values` gives them; None for any
    other text."""
    try:
        return list(json_values(content.removeprefix(codecs.BOM_UTF8).decode(), make_object))
    except (ValueError, RecursionError):
        return None


def codec_of_head(head: bytes) -> str:
    """Python's name for the codec that a text is in by its beginning; "" for what tells nothing."""
    text = head.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    if len(text) < len(head) and sum(character > "\x7f" for character in text[: 1 << 16]) > 10 * bad:
        return "utf-8"
    try:
        codec = encoding.decode(head).encoding
    except encoding.Undecodable:
        return ""
    return "" if codec == "utf-8" else codec


def record_text(content: bytes, declared: str, likely: str, most_bad: float) -> tuple[str, str]:
    """A record as `line_text` has it, in a file that is likely in some codec, which its beginning tells.

    What is UTF-8 is read as such unless another codec is declared. Raises Undecodable.
    """
    if declared:
        return line_text(content, declared, most_bad, western=True)
    try:
        return content.decode(), ""
    except UnicodeDecodeError:
        pass
    if likely != "utf-8":
        return line_text(content, likely, most_bad, western=bool(likely))
    try:
        return line_text(content, "", most_bad, western=False)
    except encoding.Undecodable:
        text = content.decode("utf-8", "replace")
        bad = text.count("\ufffd") - content.count("\ufffd".encode())
        if bad > most_bad * len(content):
            raise
        return text, f"bad characters: {bad}"


def json_values(text: str, make_object: MakeObject | None = None) -> Iterator[Any]:
    """The values of a text, with white space or a comma after each.

    Args:
        make_object: makes an object of its pairs of name and value; None: dict.
    """
    decoder = json.JSONDecoder(object_pairs_hook=make_object)
    offset = len(text) - len(text.lstrip(" \t\r\n"))
    number = 0
    while offset < len(text) or not number:
        value, offset = decoder.raw_decode(text, offset)
        yield value
        number += 1
        between = _BETWEEN_VALUES.match(text, offset)
        offset = between.end() if between else offset


class Rest:
    """A stream of which the beginning was read already; damage ends it, and is kept."""

    def __init__(self, head: bytes, stream: BinaryIO, damage: str) -> None:
        self._head, self._stream, self.damage = head, stream, damage

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        part, self.damage = (b"", self.damage) if self.damage else read_up_to(self._stream, size)
        return part


def read_yaml(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A YAML file, whole."""
    text, note = _tree_text(task, stream.read(MOST_TREE_BYTES + 1))
    for _ in _add_records(task, iter(_load_yaml(text)), note):
        yield from task.rows.full()


def _tree_text(task: Reading, raw: bytes) -> tuple[str, str]:
    if len(raw) > MOST_TREE_BYTES:
        raise ValueError(f"a file of more than {MOST_TREE_BYTES:,} bytes; write a record a line (.jsonl)")
    return encoding.decode_most(raw, task.source.encoding, task.source.bad_characters)


def _add_records(task: Reading, values: Iterator[Any], note: str) -> Iterator[None]:
    """Add the records of each value: by its path in the file, and from the second value on its number."""
    keys = task.source.records.split(".") if task.source.records else []
    task.rows.is_empty = True
    for number, value in enumerate(values):
        if not trees.lead_on(value, keys):
            where = f"{task.name}#{number}" if number else task.name
            task.rows.add_unreadable(where, f"nothing at records: {task.source.records}")
            task.rows.is_empty = False
        for path, record in trees.records(value, task.source.records):
            task.rows.is_empty = False
            at = f"{number}.{path}".strip(".") if number else path
            add_record(task, f"{task.name}#{at}" if at else task.name, record, note)
            yield


def _load_yaml(text: str) -> list[Any]:
    """The documents of a text, without empty ones."""
    import yaml

    try:
        documents = yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return [document for document in documents if document is not None]
    except yaml.YAMLError as error:
        raise ValueError(error) from None
