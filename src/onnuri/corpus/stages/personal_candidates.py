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

from onnuri.corpus.stages.joined import BORDER

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Units = npt.NDArray[np.uint16]


class Candidates(NamedTuple):
    """Positions in a text, in characters."""

    numbers: list[tuple[int, int]]
    """[start, end) of rows of digits; a number of interest is inside."""
    letters: list[int]
    """First digits of what could be a passport number."""
    at_signs: list[int]
    hidden: list[int]
    """What could stand for an at-sign: '(at)', '골뱅이', ' @ ', ' at '."""
    passports: list[int]
    """Where the word passport stands, in Korean or English."""
    urls: list[int]
    """Where '://' or 'www.' stands."""
    split: list[int]
    """First digits of what could be a mobile or resident number with layout inside (see personal_layout)."""
    rows: list[int]
    """First digits of what, behind a label, could be another number with layout inside."""
    odd: list[int]
    """Where digits stand that are not ASCII: circled, Hangul (공일공), or letters for digits (O1O)."""


def _table(members: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


_PAD = 8
_OTHER, _SNAIL = 0xFF, 0xFE
"""All beyond Latin-1, and what 골뱅이 (snail) and 앳, the at-sign, begin with. Latin-1 has ÿ and þ there: no
matter."""
_ALNUM = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGIT = _table(_ALNUM[:10])
_LETTER = _table(_ALNUM[10:])
_HEX = _table(_ALNUM[:16] + b"ABCDEF")
_CLOSES = _table(b")]}>")
_JOINS = _table(b" -.\xb7)(/_~")
_WIDE = _table(b" \n\t|-._~*/,:;'\"=()<>\xb7" + bytes((_OTHER,)))
_MOBILE_HEAD = _table(b"\0\1\6\7\10\11")
_LOCAL_END = _table(_ALNUM + b"_+-")
_BLANK = _table(b" \t\n")
_DOMAIN_START = _table(_ALNUM + bytes((_OTHER, _SNAIL)))

_ASCII, _HANGUL, _RINGED, _LOOKALIKE = 1, 2, 4, 8
_KIND_OF_DIGIT = np.zeros(0x10000, np.uint8)
for _chars, _kind in (
    ("0123456789", _ASCII),
    ("일이삼사오육륙칠팔구", _HANGUL),
    ("공영", _HANGUL | _LOOKALIKE),
    ("OoIl", _LOOKALIKE),
    # Circled and other marked digits, the first halves of mathematical ones, and the frame of a keycap.
    ("".join(map(chr, (*range(0x2460, 0x2500), *range(0x2776, 0x2794)))) + "\ud835\ud83c\u20e3", _RINGED),
):
    _KIND_OF_DIGIT[list(map(ord, _chars))] = _kind

LONGEST_JOINT = 4
"""Characters between two digits of one number: ') - ' and ' - ('."""
LONGEST_IPV4, LONGEST_IPV6, LONGEST_PLATE = 15, 39, 10
LONGEST_LAYOUT, LONGEST_TAGS = 8, 32
"""Characters between two digits of one number that layout splits."""


def candidates(text: str) -> Candidates:
    """The places of `text`, which is plain (see personal_shapes.plain)."""
    units = _units(text)
    points = _bytes(units)
    digits = np.flatnonzero((points - np.uint8(ord("0"))) < 10)
    lower = points | np.uint8(0x20)
    marks = np.flatnonzero(
        (lower == ord("{")) | (points == ord("(")) | (points == ord("<")) | (points == ord("@"))
    )
    ats = marks[points[marks] == ord("@")]
    before, after = points[ats - 1], points[ats + 1]
    inside_a_word = _LOCAL_END[before] & _DOMAIN_START[after]
    hidden = [
        _bracketed(points, marks[points[marks] != ord("@")]),
        ats[(_LOCAL_END | _BLANK)[before] & (_DOMAIN_START | _BLANK)[after]],
        np.flatnonzero(points == _SNAIL),
        _spelt(lower),
    ]
    split, rows = _split(points, digits, np.flatnonzero(units == ord(BORDER)) + _PAD)
    return Candidates(
        numbers=_numbers(points, digits),
        letters=(np.unique(_letters_and_digits(points, digits)) - _PAD).tolist(),
        at_signs=(ats[inside_a_word] - _PAD).tolist(),
        hidden=(np.unique(np.concatenate(hidden)) - _PAD).tolist(),
        passports=np.union1d(
            np.flatnonzero((units[:-1] == ord("여")) & (units[1:] == ord("권"))),
            np.flatnonzero(_starts_with(lower, b"sspo")) - _PAD,
        ).tolist(),
        urls=(np.flatnonzero(_starts_with(points, b"://") | _starts_with(points, b"www.")) - _PAD).tolist(),
        split=(split - _PAD).tolist(),
        rows=(rows - _PAD).tolist(),
        odd=_odd(units),
    )


def _starts_with(points: Bytes, word: bytes) -> npt.NDArray[np.bool_]:
    """Per position, True if the word stands there."""
    count = len(points) - _PAD
    found = points[:count] == word[0]
    for offset, byte in enumerate(word[1:], 1):
        found &= points[offset : count + offset] == byte
    return found


def _units(text: str) -> Units:
    """The first UTF-16 unit of each character."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    # One unit a character: the first half of a surrogate pair.
    return units if len(units) == len(text) else units[(units & 0xFC00) != 0xDC00]


def _bytes(units: Units) -> Bytes:
    """One byte a character: Latin-1, _SNAIL or _OTHER; padded, so that no look ahead needs a check."""
    points = np.zeros(len(units) + 3 * _PAD, np.uint8)
    inside = points[_PAD : -2 * _PAD]
    inside[:] = np.minimum(units, _OTHER)
    inside[(units == ord("골")) | (units == ord("앳"))] = _SNAIL
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

    # 12가3456: a syllable, with a blank on either side or none, between two or three digits and four.
    syllable = digits[:-1][(gaps > 0) & (gaps <= 3)]
    syllable = syllable[_DIGIT[points[syllable - 1]]]
    inside = syllable + 1 + (points[syllable + 1] == ord(" "))
    behind = inside + 1 + (points[inside + 1] == ord(" "))
    plates = (points[inside] == _OTHER) & _DIGIT[points[behind]] & _DIGIT[points[behind + 3]]
    plates = syllable[plates] - 2
    plates += ~_DIGIT[points[plates]]

    first = np.concatenate([starts[long], quads - 2, heads, plates])
    last = np.concatenate([ends[long], quads + LONGEST_IPV4, heads + LONGEST_IPV6, plates + LONGEST_PLATE])
    if not len(first):
        return []
    order = np.argsort(first, kind="stable")
    first, last = first[order], np.maximum.accumulate(last[order])
    apart = np.concatenate(([True], first[1:] > last[:-1]))
    last = last[np.concatenate((apart[1:], [True]))]
    return list(zip((first[apart] - _PAD).tolist(), (last - _PAD).tolist(), strict=True))


def _split(points: Bytes, digits: Positions, borders: Positions) -> tuple[Positions, Positions]:
    """First digits of what layout could have split: of mobile and resident numbers, and of whole rows."""
    if len(digits) < 8:
        return digits[:0], digits[:0]
    gaps = np.diff(digits) - 1
    between = np.flatnonzero((gaps > 0) & (gaps <= LONGEST_TAGS))
    sizes, after = gaps[between], digits[between] + 1
    wide = sizes <= LONGEST_LAYOUT
    for offset in range(LONGEST_LAYOUT):
        wide &= (sizes <= offset) | _WIDE[points[after + offset]]
    wide |= (points[after] == ord("<")) & (points[after + sizes - 1] == ord(">"))
    joined = gaps == 0
    joined[between] = wide
    joined[np.searchsorted(digits, borders[(borders > digits[0]) & (borders < digits[-1])]) - 1] = False

    first, final = points[after], points[after + sizes - 1]
    usual = (sizes == 1) & ((first == ord(" ")) | (first == ord("-")))
    usual |= (sizes == 3) & (first == ord(" ")) & (final == ord(" ")) & (points[after + 1] == ord("-"))
    odd = gaps > 0
    odd[between[usual]] = False
    # Digits that stand one by one.
    odd[:-2] |= (gaps[:-2] > 0) & (gaps[1:-1] > 0) & (gaps[2:] > 0)
    num_odd = np.concatenate(([0], np.cumsum(odd)))

    starts = np.concatenate(([0], np.flatnonzero(gaps > 0) + 1))
    breaks = np.append(np.flatnonzero(~joined), len(digits) - 1)
    last = breaks[np.searchsorted(breaks, starts)]
    far = np.minimum(last, starts + 18)
    known = (last - starts >= 7) & (num_odd[far] > num_odd[starts])
    starts, last = starts[known], last[known]
    if not len(starts):
        return starts, starts
    count = last - starts + 1
    values = np.append(points[digits] - np.uint8(ord("0")), np.zeros(_PAD, np.uint8))
    one, two, three, four = (values[starts + offset] for offset in range(4))
    abroad = (one == 8) & (two == 2) & ((three == 1) | ((three == 0) & (four == 1)))
    mobile = (count >= 10) & (abroad | ((one == 0) & (two == 1) & _MOBILE_HEAD[three]))
    month = three * 10 + four
    day = values[starts + 4] * 10 + values[starts + 5]
    born = (month - 1 < 12) & (day - 1 < 31) & (values[starts + 6] - 1 < 8) & (count >= 13)
    row_starts = np.concatenate(([True], ~joined))[starts]
    return digits[starts[mobile | born]], digits[starts[row_starts & ~mobile & ~born]]


def _odd(units: Units) -> list[int]:
    """Where digits stand that are not ASCII, and more of them or ASCII ones beside them."""
    kinds = _KIND_OF_DIGIT.take(units, mode="wrap")
    ascii_digit, hangul, ringed = kinds & _ASCII, (kinds & _HANGUL) >> 1, (kinds & _RINGED) >> 2
    lookalike = (kinds & _LOOKALIKE) >> 3 | ringed
    pairs = (lookalike[1:] & (ascii_digit | ringed)[:-1]) | (lookalike[:-1] & ascii_digit[1:])
    spaced = hangul[:-4] & hangul[2:-2] & hangul[4:]
    found = [
        np.flatnonzero(pairs),
        np.flatnonzero((hangul[1:-1] & hangul[2:] & hangul[:-2]) | (ascii_digit[:-2] & hangul[1:-1] & ascii_digit[2:])),
        # O1O of letters alone, before ASCII digits.
        2 + np.flatnonzero(lookalike[:-4] & lookalike[1:-3] & lookalike[2:-2] & ascii_digit[4:]),
        np.flatnonzero(spaced & (units[1:-3] == ord(" "))) if spaced.any() else units[:0],
    ]
    return np.unique(np.concatenate(found)).tolist()


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
    """Brackets such as '(at)', '[ a ]', '<@>' and '(앳)'; '(골뱅이)' is found by its 골."""
    inside = opens + 1 + (points[opens + 1] == ord(" "))
    first = points[inside]
    end = inside + 1 + ((points[inside + 1] | 0x20) == ord("t"))
    end += points[end] == ord(" ")
    return opens[
        (((first | 0x20) == ord("a")) | (first == ord("@")) | (first == _OTHER)) & _CLOSES[points[end]]
    ]


def _spelt(lower: Bytes) -> Positions:
    """The ' at ' before a ' dot '."""
    found = []
    for dot in np.flatnonzero(_starts_with(lower, b" dot ")).tolist():
        before = lower[max(0, dot - 70) : dot].tobytes()
        at = before.rfind(b" at ")
        if at >= 0:
            found.append(dot - len(before) + at)
    return np.array(found, np.int64)
