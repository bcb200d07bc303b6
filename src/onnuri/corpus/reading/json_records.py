"""The records of JSON of any length, each as the bytes that it was written in.

Brackets and quotes alone say where a record begins and ends, so that each is decoded and parsed by itself,
as a line of JSON lines is: what is wrong with one costs that one. Memory is bounded by the longest record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

CHUNK_BYTES = 1 << 20
MOST_DEPTH = 1000
"""Of lists and objects on the way to records; json parses no more."""
_SPACE = re.compile(rb"[\s\xef\xbb\xbf]*")
_COMMENT = re.compile(rb"#|//|/\*")
_SCALAR = re.compile(rb'[^\s"{}\[\]:,]*')
_VALUE = re.compile(rb"-?(\d[-+.\deE]*|Infinity)|true|false|null|NaN")
MOST_WORDS = 100
"""So many words in a row that are no values, and it is no JSON."""
_MARK = re.compile(rb'["{}\[\]]')
_BACKSLASH, _QUOTE = ord("\\"), ord('"')
_OPENING = (ord("{"), ord("["))


class Found(NamedTuple):
    """A record, or what ends the reading."""

    path: str
    """Keys and numbers that lead to it, joined by dots."""
    content: bytes
    problem: str = ""


@dataclass
class _Container:
    """A list or object on the way to records."""

    is_list: bool
    matched: int
    """How many of the keys lead here; -1: this is another way."""
    path: str
    key: str | None = None
    count: int = 0
    leads: bool = False
    """Whether the keys lead somewhere from here."""

    def gives(self, keys: Sequence[str]) -> bool:
        """Whether each element is a record, also one that is a list, such as the turns of a dialogue."""
        return self.is_list and self.matched == len(keys)


class _End(Exception):
    """The stream ended inside of a value."""


class _Window:
    """The part of a stream that is looked at, from `at` on; what is before `kept` is forgotten."""

    def __init__(self, read: Callable[[int], bytes], most: int) -> None:
        self.read, self.most = read, most
        self.bytes = b""
        self.at = 0
        self.kept: int | None = None
        """Where a value begins that is wanted."""

    def more(self) -> bool:
        """Read on; False at the end. Raises ValueError if a value has more bytes than it may have."""
        first = self.at if self.kept is None else self.kept
        size = len(self.bytes) - first
        if size > self.most:
            raise ValueError(f"a record of more than {self.most:,} bytes; the rest is not read")
        part = self.read(max(CHUNK_BYTES, size))  # twice as much each time, which makes it linear
        self.bytes = self.bytes[first:] + part
        self.at -= first
        self.kept = None if self.kept is None else 0
        return bool(part)

    def begin(self) -> bytes:
        """Go to where the next token begins, over comments; its first byte, b"" at the end."""
        while True:
            self.at = _end(_SPACE, self.bytes, self.at)
            first = self.bytes[self.at : self.at + 1]
            if first in (b"/", b"#") and self._skip_comment():
                continue
            if first or not self.more():
                return first

    def _skip_comment(self) -> bool:
        """Whether there was one."""
        while len(self.bytes) < self.at + 2 and self.more():
            pass
        if not (begin := _COMMENT.match(self.bytes, self.at)):
            return False
        end = b"*/" if begin[0] == b"/*" else b"\n"
        self.at = begin.end()
        while (found := self.bytes.find(end, self.at)) < 0:
            self.at = max(self.at, len(self.bytes) - 1)
            if not self.more():
                self.at = len(self.bytes)
                return True
        self.at = found + len(end)
        return True

    def skip_string(self) -> None:
        """Go behind the text that begins here. Raises _End."""
        self.at += 1
        while True:
            end = self.bytes.find(b'"', self.at)
            if end >= 0:
                self.at = end + 1
                if not _backslashes(self.bytes, end) % 2:
                    return
                continue
            self.at = len(self.bytes) - _backslashes(self.bytes, len(self.bytes))
            if not self.more():
                raise _End

    def skip_scalar(self) -> None:
        """Go behind a number, true, false or null, or whatever stands there."""
        while True:
            self.at = _end(_SCALAR, self.bytes, self.at)
            if self.at < len(self.bytes) or not self.more():
                return

    def skip_brackets(self) -> None:
        """Go behind the list or object that begins here. Raises _End."""
        depth = 0
        while True:
            text = self.bytes
            while found := _MARK.search(text, self.at):
                start = found.start()
                if text[start] != _QUOTE:
                    self.at = start + 1
                    depth += 1 if text[start] in _OPENING else -1
                    if not depth:
                        return
                elif (end := text.find(b'"', start + 1)) > 0 and text[end - 1] != _BACKSLASH:
                    self.at = end + 1
                else:
                    self.at = start
                    self.skip_string()
                    if self.bytes is not text:
                        break
            else:
                self.at = len(text)
                if not self.more():
                    raise _End

    def take(self, skip: Callable[[], None]) -> bytes:
        """The bytes that `skip` goes over."""
        self.kept = self.at
        skip()
        content, self.kept = self.bytes[self.kept : self.at], None
        return content

    def value(self, first: bytes) -> Callable[[], None]:
        """What goes over a value that begins with this byte."""
        if first == b'"':
            return self.skip_string
        return self.skip_brackets if first in (b"{", b"[") else self.skip_scalar


def _end(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    """Where the match at `start` ends; `start` if there is none."""
    found = pattern.match(text, start)
    return found.end() if found else start


def _backslashes(text: bytes, end: int) -> int:
    """How many stand before `end`."""
    start = end
    while start and text[start - 1] == _BACKSLASH:
        start -= 1
    return end - start


def split(
    read: Callable[[int], bytes], keys: Sequence[str], most: int, every: bool = False
) -> Iterator[Found]:
    """The records that `keys` lead to, as `trees.records` finds them.

    They are the elements of the list there, or the value itself; lists on the way are gone through.

    Args:
        read: gives at most so many bytes of the stream; none at its end.
        most: bytes that a record may have; a longer one ends the reading.
        every: give a value at the top, or in a list there, from which the keys lead nowhere too, without
            content.
    """
    window, stack, number, path = _Window(read, most), list[_Container](), 0, ""
    words = 0
    try:
        while first := window.begin():
            inside = stack[-1] if stack else None
            if first in b":,":
                window.at += 1
                if inside and first == b",":
                    inside.key = None
            elif first in b"}]":
                window.at += 1
                if not stack:
                    yield Found("", b"", f"a {first.decode()} that closes nothing; the rest is not read")
                    return
                if stack[-1].is_list != (first == b"]"):
                    continue  # a bracket too many
                left = stack.pop()
                if every and not (left.is_list or left.matched or left.leads):
                    yield Found(left.path, b"")
            elif first == b'"' and inside and not inside.is_list and inside.key is None:
                inside.key = _text(window.take(window.skip_string))
            else:
                matched, path = _way(inside, keys, number)
                number += not stack
                if matched == len(keys):
                    for each in stack:
                        each.leads = True
                is_record = matched == len(keys) and (first != b"[" or bool(inside and inside.gives(keys)))
                if is_record:
                    found = window.take(window.value(first))
                    words = 0 if first in b'"[{' or _VALUE.fullmatch(found) else words + 1
                    if words > MOST_WORDS:
                        raise ValueError(f"{words} words that are no JSON; the rest is not read")
                    yield Found(path, found)
                elif matched >= 0 and first in b"[{":
                    if len(stack) == MOST_DEPTH:
                        raise ValueError(f"lists in lists, more than {MOST_DEPTH:,}; the rest is not read")
                    stack.append(_Container(first == b"[", matched, path))
                    window.at += 1
                else:
                    window.value(first)()
                    if every and not matched:
                        yield Found(path, b"")
    except _End:
        yield Found(path, window.bytes[window.kept or 0 :], "the file ends within a value")
    except ValueError as error:
        yield Found(path, b"", str(error))
    else:
        if stack:
            yield Found("", b"", f"the file ends within {'a list' if stack[-1].is_list else 'an object'}")


def _way(inside: _Container | None, keys: Sequence[str], number: int) -> tuple[int, str]:
    """How many keys lead to a value that begins, and its path."""
    if inside is None:
        return 0, str(number) if number else ""
    if inside.is_list:
        inside.count += 1
        return inside.matched, f"{inside.path}.{inside.count - 1}".lstrip(".")
    fits = inside.matched < len(keys) and inside.key == keys[inside.matched]
    return inside.matched + 1 if fits else -1, f"{inside.path}.{inside.key}".lstrip(".")


def _text(string: bytes) -> str:
    try:
        return str(json.loads(string.decode("utf-8", "replace"), strict=False))
    except ValueError:
        return ""


def lists_below(head: bytes) -> tuple[list[str], list[str]]:
    """Of the object that a text begins with: its keys, and those of them that have lists of objects.

    Args:
        head: the text, or a part of it; what is cut off does not count.
    """
    window = _Window(lambda size: b"", len(head))
    window.bytes = head
    names, lists = list[str](), list[str]()
    if window.begin() != b"{":
        return names, lists
    window.at += 1
    name = None
    try:
        while (first := window.begin()) and first not in b"}]":
            if first in b":,":
                window.at += 1
                name = None if first == b"," else name
            elif first == b'"' and name is None:
                names.append(name := _text(window.take(window.skip_string)))
            else:
                begins = head[window.at : window.at + 64]
                if name is not None and re.match(rb"\[\s*\{", begins):
                    lists.append(name)
                window.value(first)()
    except _End:
        pass
    return names, lists
