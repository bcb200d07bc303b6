"""Records in text files: JSON lines, JSON, YAML, and plain lines."""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa

from onnuri.corpus.reading import encoding, trees
from onnuri.corpus.reading.compression import is_unpacked, read_up_to
from onnuri.corpus.reading.labels import codec_of
from onnuri.corpus.reading.lines import Line, as_utf8, ends_in_returns, lines, wide_codec, with_line_feeds
from onnuri.corpus.reading.mended import Mended, is_cp949, note_of, unmarked
from onnuri.corpus.reading.piece import Reading, add_record, cause, stop_if_transient

ROOM_FOR_MARKUP = 4
"""A file may have so many times the bytes of the longest document: escapes, tags, other fields."""
SMALL_TREE_BYTES = 1 << 24
"""A JSON file that is shorter is read whole, which is faster."""
MOST_TREE_BYTES = 1 << 28
"""What is read whole; a tree that is longer belongs into lines."""
STREAM_BYTES = 1 << 22
"""Read at a time by ijson, which goes over a text from its beginning each time."""
MOST_RECORD_BYTES = 1 << 26
"""Of a record that is streamed: more is a bomb."""


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
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        several = several_objects(text) if isinstance(error, json.JSONDecodeError) else []
        for number, record in enumerate(several):
            add_record(task, f"{origin}.{number}" if number else origin, record, note)
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


def several_objects(text: str, object_type: type[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The objects of a line that holds several, or one and a comma; none if there is anything else."""
    try:
        values = list(json_values(text, object_type))
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
    """JSON values one after the other, mostly one; record by record where these are a list at its top or
    right below it."""
    path = task.source.records
    head, damage = read_up_to(stream, SMALL_TREE_BYTES)
    head = head.removeprefix(codecs.BOM_UTF8)
    small = len(head) < SMALL_TREE_BYTES - 3
    if not ("." in path or small or task.source.encoding or not is_utf8(head, task.source.bad_characters)):
        yield from _streamed(task, Both(head, stream))
        return
    raw = head if small else Both(head, stream).read(MOST_TREE_BYTES + 1)
    text, note = _tree_text(task, raw)
    try:
        found = _add_records(task, json_values(text), note)
        for _ in found:
            yield from task.rows.full()
    except ValueError as error:
        if isinstance(error, _FirstValueBroken) and "." not in path:
            yield from _streamed(task, Both(b"", io.BytesIO(text.encode("utf-8", "surrogatepass"))))
            return
        raise ValueError(damage or error) from None
    if damage:
        raise ValueError(damage)


class _FirstValueBroken(ValueError):
    """No value of a JSON file is complete, but some of its records may be."""


def json_values(text: str, object_type: type[dict[str, Any]] | None = None) -> Iterator[Any]:
    """The values of a text, with white space or a comma after each.

    Args:
        object_type: what objects become, made of pairs of name and value; None: dict.
    """
    decoder = json.JSONDecoder(object_pairs_hook=object_type)
    offset = len(text) - len(text.lstrip(" \t\r\n"))
    number = 0
    while offset < len(text) or not number:
        try:
            value, offset = decoder.raw_decode(text, offset)
        except ValueError as error:
            raise error if number else _FirstValueBroken(str(error)) from None
        yield value
        number += 1
        between = _BETWEEN_VALUES.match(text, offset)
        offset = between.end() if between else offset


def _streamed(task: Reading, stream: Both) -> Iterator[pa.RecordBatch]:
    import ijson

    path = task.source.records
    is_list = stream.head.lstrip()[:1] == b"["
    prefix = f"{path}.item" if path else "item" if is_list else ""
    found = 0
    if path:  # other lists may come before the records
        stream.most = MOST_TREE_BYTES if is_unpacked(stream.rest) else sys.maxsize
    else:
        stream.most = MOST_RECORD_BYTES
    options = {"use_float": True, "multiple_values": True, "buf_size": STREAM_BYTES}
    mended = Mended(stream, task.source.bad_characters)
    try:
        for found, value in enumerate(ijson.items(mended, prefix, **options), 1):
            stream.given, stream.most = 0, MOST_RECORD_BYTES
            record, marks = unmarked(value) if mended.marks else (value, 0)
            name = f"{task.name}#{path}.{found - 1}".replace("#.", "#")
            add_record(task, name, record, note_of(marks))
            yield from task.rows.full()
    except ijson.JSONError as error:
        raise ValueError(f"the rest of the file, after {found:,} records: {cause(error)}") from None
    if not found:
        task.rows.add_unreadable(task.name, f"no list at records: {path or 'the top'}")


def is_utf8(head: bytes, most_bad: float) -> bool:
    """Whether the beginning of a text, cut anywhere, is UTF-8.

    Args:
        most_bad: bad characters that it may have for each byte.
    """
    if b"\0" in head:  # UTF-16 and UTF-32
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        bad = head.decode("utf-8", "replace").count("\ufffd")
        return bad <= most_bad * len(head) and not is_cp949(head)
    return True


class Both:
    """A stream of which the beginning was read already, and no more of it than a record may have."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head or rest.read(1 << 16), rest
        self.given, self.most = 0, MOST_TREE_BYTES + 1
        """Bytes since the last record, and how many these may be."""

    def read(self, size: int = -1) -> bytes:
        part = self.head if size < 0 else self.head[:size]
        self.head = self.head[len(part) :]
        if len(part) != size:
            part += self.rest.read(size - len(part) if size >= 0 else -1)
        self.given += len(part)
        if self.given > self.most:
            raise ValueError(f"a record of more than {self.most:,} bytes; the rest is not read")
        return part


def read_yaml(task: Reading, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """A YAML file, whole."""
    text, note = _tree_text(task, stream.read(MOST_TREE_BYTES + 1))
    for _ in _add_records(task, iter([_load_yaml(text)]), note):
        yield from task.rows.full()


def _tree_text(task: Reading, raw: bytes) -> tuple[str, str]:
    if len(raw) > MOST_TREE_BYTES:
        raise ValueError(f"a file of more than {MOST_TREE_BYTES:,} bytes; write a record a line (.jsonl)")
    return encoding.decode_most(raw, task.source.encoding, task.source.bad_characters)


def _add_records(task: Reading, values: Iterator[Any], note: str) -> Iterator[None]:
    """Add the records of each value: by its path in the file, and from the second value on its number."""
    found = False
    for number, value in enumerate(values):
        for path, record in trees.records(value, task.source.records):
            found = True
            at = f"{number}.{path}".strip(".") if number else path
            add_record(task, f"{task.name}#{at}" if at else task.name, record, note)
            yield
    if not found and task.source.records:
        task.rows.add_unreadable(task.name, f"nothing at records: {task.source.records}")
    task.rows.is_empty = not found


def _load_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(error) from None
