"""A JSON stream in which nothing but its structure can end the reading.

ijson stops at a byte that is no UTF-8 and at half of a surrogate pair, and all records behind it are lost.
Here both become MARK before ijson sees them, and afterwards U+FFFD in the record that they belong to.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, BinaryIO, Protocol

import numpy as np

MARK = "\ufdd0"
"""A noncharacter, which no text may hold."""
_MARK = MARK.encode()
_HALF = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_OTHER_HALF = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES = re.compile(rb"\\\\|%b%b|(%b|%b)" % (_HALF, _OTHER_HALF, _HALF, _OTHER_HALF))
"""A backslash, a pair, or half of one, which is the group."""
_LENGTH = 6
"""Of an escape."""
_BETWEEN = (b'"', b" ", b"\n", b",")
"""Neither escapes nor characters of UTF-8 have these in them, so `read` ends behind one."""
FEW_BYTES = 1 << 20
FEW_SYLLABLES = 4


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return MARK, error.end


codecs.register_error("onnuri.mark", _mark)


class Readable(Protocol):
    """What can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Mended:
    """UTF-8 that ijson reads to its end; `read` may give a little more or less than it is asked for.

    Args:
        most_bad: marks for each byte; with more, or for CP949, `read` raises ValueError.
    """

    def __init__(self, stream: Readable | BinaryIO, most_bad: float) -> None:
        self._stream, self._most_bad = stream, most_bad
        self._kept = b""
        self._bytes = 0
        self.marks = 0
        """So far, of what was read; ijson reads ahead of the record that it gives."""

    def read(self, size: int = -1) -> bytes:
        """See the class."""
        while size:
            raw = self._stream.read(size)
            end = 1 + max(raw.rfind(each) for each in _BETWEEN)
            if raw and not end:
                self._kept += raw
                continue
            part, self._kept = self._kept + raw[:end], raw[end:]
            self._bytes += len(part)
            part = self._mended(part)
            if self.marks > self._most_bad * max(self._bytes, FEW_BYTES):
                raise ValueError(f"{self.marks:,} bad characters in {self._bytes:,} bytes of UTF-8")
            if part or not raw:
                return part
        return b""

    def _mended(self, part: bytes) -> bytes:
        try:
            part.decode()
        except UnicodeDecodeError:
            if is_cp949(part):
                raise ValueError("it goes on in CP949, not in UTF-8; state encoding: cp949") from None
            part = part.decode("utf-8", "onnuri.mark").encode()
        if _may_have_a_half(part):
            part = _ESCAPES.sub(lambda found: _MARK if found[1] else found[0], part)
        self.marks += part.count(_MARK)
        return part


def is_cp949(part: bytes) -> bool:
    """Whether bytes that are no UTF-8 are Korean in CP949 from beginning to end.

    UTF-8 with damage is not: its own Korean is no CP949, and a few stray bytes are not much Hangul.
    """
    try:
        text = codecs.getincrementaldecoder("cp949")().decode(part)
    except UnicodeDecodeError:
        return False
    beyond_ascii = [character for character in text if character > "\x7f"]
    hangul = sum("가" <= character <= "힣" for character in beyond_ascii)
    return hangul >= FEW_SYLLABLES and hangul > 0.9 * len(beyond_ascii)


def _may_have_a_half(part: bytes) -> bool:
    """Whether an escape of half of a pair may stand alone, or have a backslash before it."""
    if b"\\u" not in part:
        return False
    units = np.frombuffer(part, np.uint8)
    starts = np.flatnonzero(units[: 1 - _LENGTH] == ord("\\"))
    kind = units[starts + 3] | 32
    is_half = (units[starts + 1] == ord("u")) & (units[starts + 2] | 32 == ord("d")) & (kind >= ord("8"))
    starts, is_first = starts[is_half], kind[is_half] < ord("c")
    if not len(starts):
        return False
    pairs = starts[0::2], starts[1::2]
    return bool(
        len(starts) % 2
        or (pairs[1] - pairs[0] != _LENGTH).any()
        or not is_first[0::2].all()
        or is_first[1::2].any()
        or (units[pairs[0] - 1] == ord("\\")).any()
    )


def unmarked(value: Any) -> tuple[Any, int]:
    """A value of JSON with U+FFFD for each mark, and how many there were."""
    if isinstance(value, str):
        return value.replace(MARK, "\ufffd"), value.count(MARK)
    if isinstance(value, dict):
        pairs = [(unmarked(name), unmarked(each)) for name, each in value.items()]
        return {name: each for (name, _), (each, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
    if isinstance(value, list):
        items = [unmarked(each) for each in value]
        return [each for each, _ in items], sum(count for _, count in items)
    return value, 0


def note_of(marks: int) -> str:
    """The note on a record, as `encoding.decode_most` has it."""
    return f"bad characters: {marks}" if marks else ""
