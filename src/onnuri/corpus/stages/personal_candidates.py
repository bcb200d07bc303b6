"""Where in a text personal data can stand at all: the few places that are worth a regular expression.

Method: the text as one byte a character (Latin-1, all else one value), a few comparisons over all of it
that pick out digits, at-signs and opening brackets, and index arithmetic on those few per cent. About 2 ns
a character; a scan by regular expressions costs 3 ns for each of them. It is one-sided: what it leaves out,
no rule of personal_search could accept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


class Candidates(NamedTuple):
    """Positions in a text, in characters."""

    numbers: list[tuple[int, int]]
    """[start, end) of rows of digits; a number of interest is inside."""
    letters: list[int]
    """First digits of what could be a passport number."""
    at_signs: list[int]
    hidden: list[int]
    """What could stand for an at-sign: '(at)', '골뱅이', ' @ ', ' at '."""
    urls: list[int]
    """Where '://' or 'www.' stands."""


def _table(members: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


_PAD = 8
_OTHER, _SNAIL = 0xFF, 0xFE
"""All beyond Latin-1, and the 골 of 골뱅이 (snail, the at-sign). Latin-1 has ÿ and þ there: no matter."""
_ALNUM = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER = _table(_ALNUM[10:])
_HEX = _table(_ALNUM[:16] + b"ABCDEF")
_CLOSES = _table(b")]}>")
_JOINS = _table(b" -.\xb7)(/_~")
_LOCAL_END = _table(_ALNUM + b"_+-")
_DOMAIN_START = _table(_ALNUM + bytes((_OTHER, _SNAIL)))

LONGEST_JOINT = 4
"""Characters between two digits of one number: ') - ' and ' - ('."""
LONGEST_IPV4, LONGEST_IPV6 = 15, 39


def candidates(text: str) -> Candidates:
    """The places of `text`, which is plain (see personal_shapes.plain)."""
    points = _bytes(text)
    digits = np.flatnonzero((points - np.uint8(ord("0"))) < 10)
    marks = np.flatnonzero(
        ((points | 0x20) == ord("{")) | (points == ord("(")) | (points == ord("<")) | (points == ord("@"))
    )
    ats = marks[points[marks] == ord("@")]
    before, after = points[ats - 1], points[ats + 1]
    inside_a_word = _LOCAL_END[before] & _DOMAIN_START[after]
    between_spaces = (before == ord(" ")) & (after == ord(" "))
    hidden = [
        _bracketed(points, marks[points[marks] != ord("@")]),
        ats[between_spaces],
        np.flatnonzero(points == _SNAIL),
        _spelt(points),
    ]
    return Candidates(
        numbers=_numbers(points, digits),
        letters=(np.unique(_letters_and_digits(points, digits)) - _PAD).tolist(),
        at_signs=(ats[inside_a_word] - _PAD).tolist(),
        hidden=(np.unique(np.concatenate(hidden)) - _PAD).tolist(),
        urls=(np.flatnonzero(_starts_with(points, b"://") | _starts_with(points, b"www.")) - _PAD).tolist(),
    )


def _starts_with(points: Bytes, word: bytes) -> npt.NDArray[np.bool_]:
    """Per position, True if the word stands there."""
    count = len(points) - _PAD
    found = points[:count] == word[0]
    for offset, byte in enumerate(word[1:], 1):
        found &= points[offset : count + offset] == byte
    return found


def _bytes(text: str) -> Bytes:
    """One byte a character: Latin-1, _SNAIL or _OTHER; padded, so that no look ahead needs a check."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    if len(units) != len(text):
        # One unit a character: the first half of a surrogate pair.
        units = units[(units & 0xFC00) != 0xDC00]
    points = np.zeros(len(units) + 3 * _PAD, np.uint8)
    inside = points[_PAD : -2 * _PAD]
    inside[:] = np.minimum(units, _OTHER)
    inside[units == ord("골")] = _SNAIL
    return points


def _numbers(points: Bytes, digits: Positions) -> list[tuple[int, int]]:
    """Rows of digits that are long enough, and those that could be an IP address or a service number."""
    if len(digits) < 4:
        return []
    gaps = np.diff(digits) - 1
    after = points[digits[:-1] + 1]
    short = (gaps <= LONGEST_JOINT) & _JOINS[after] & _JOINS[points[digits[1:] - 1]]
    breaks = np.concatenate(([-1], np.flatnonzero((gaps > 0) & ~short), [len(digits) - 1]))
    lengths = np.diff(breaks)
    starts, ends = digits[breaks[:-1] + 1], digits[breaks[1:]] + 1
    second = points[starts + 1]
    service = (points[starts] == ord("1")) & np.isin(second, (ord("5"), ord("6"), ord("8")))
    long = (lengths >= 9) | ((lengths == 8) & service)

    dots = digits[:-1][(gaps == 1) & (after == ord("."))]
    close = np.diff(dots) <= len("255.")
    quads = dots[:-2][close[:-1] & close[1:]] if len(dots) >= 3 else dots[:0]

    heads = digits[((points[digits] & 0xFE) == ord("2")) & (points[digits + 4] == ord(":"))]
    heads = heads[_HEX[points[heads + 1]] & _HEX[points[heads + 2]] & _HEX[points[heads + 3]]]

    first = np.concatenate([starts[long], quads - 2, heads])
    last = np.concatenate([ends[long], quads + LONGEST_IPV4, heads + LONGEST_IPV6])
    if not len(first):
        return []
    order = np.argsort(first, kind="stable")
    first, last = first[order], np.maximum.accumulate(last[order])
    apart = np.concatenate(([True], first[1:] > last[:-1]))
    last = last[np.concatenate((apart[1:], [True]))]
    return list(zip((first[apart] - _PAD).tolist(), (last - _PAD).tolist(), strict=True))


def _letters_and_digits(points: Bytes, digits: Positions) -> Positions:
    """Digits of passport numbers after a letter: seven in a row, or three, a letter and four."""
    if len(digits) < 7:
        return digits[:0]
    seven = digits[6:] - digits[:-6] == 6
    split = (digits[2:-4] - digits[:-6] == 2) & (digits[6:] - digits[3:-3] == 3)
    middle = digits[3:-3] - digits[2:-4]
    starts = digits[:-6][seven | (split & (middle >= 2) & (middle <= 4))]
    return starts[_LETTER[points[starts - 1]] | _LETTER[points[starts - 2]]]


def _bracketed(points: Bytes, opens: Positions) -> Positions:
    """Brackets such as '(at)', '[ a ]', '<@>' and '(앳)'."""
    inside = opens + 1 + (points[opens + 1] == ord(" "))
    first = points[inside]
    end = inside + 1 + ((points[inside + 1] | 0x20) == ord("t"))
    end += points[end] == ord(" ")
    return opens[
        (((first | 0x20) == ord("a")) | (first == ord("@")) | (first == _OTHER)) & _CLOSES[points[end]]
    ]


def _spelt(points: Bytes) -> Positions:
    """The ' at ' before a ' dot '."""
    found = []
    for dot in np.flatnonzero(_starts_with(points, b" dot ")).tolist():
        before = points[max(0, dot - 70) : dot].tobytes()
        at = before.rfind(b" at ")
        if at >= 0:
            found.append(dot - len(before) + at)
    return np.array(found, np.int64)
