"""Where in a text personal data can stand at all: the few positions that are worth a regular expression.

Method: the text as one byte a character (Latin-1, all else one value), a few comparisons over all of it
that pick out digits, at-signs and opening brackets, and index arithmetic on those few per cent. About 2 ns
a character; a scan by regular expressions costs 3 ns for each of them. It is one-sided: what it leaves out,
no rule of personal_search could accept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onnuri.corpus.stages.pii.korean_numbers import RESIDENT_WEIGHTS
from onnuri.corpus.text.joined import SEPARATOR

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
    """First digits of what could be a mobile number, or a resident number by its check digit, with layout
    inside (see personal_layout)."""
    rows: list[int]
    """First digits of what could be another number behind or before a label."""
    odd: list[int]
    """Where digits stand that are not ASCII: circled, Hangul (공일공), or letters for digits (O1O)."""


def _table(members: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


_PAD = 8
_OTHER, _SNAIL = 0xFF, 0xFE
"""All beyond Latin-1, and what 골뱅이 (snail) and 앳, the at-sign, begin with. Latin-1 has ÿ and þ there:
no matter."""
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

HANGUL_DIGITS = "공일이삼사오육칠팔구영륙"
_HANGUL, _BESIDE = np.zeros(0x10000, np.bool_), np.zeros(0x10000, np.bool_)
_HANGUL[list(map(ord, HANGUL_DIGITS))] = True
# Letters for digits, zeros of Hangul, circled and other marked digits, the first half of mathematical ones,
# the frame of a keycap.
_BESIDE[list(map(ord, "OoIl공영\ud835\ud83c\ufe0f\u20e3"))] = True
_BESIDE[0x2460:0x2500] = _BESIDE[0x2776:0x2794] = True
_LOOKALIKE = _table(b"OoIl")
_NO_LETTER = ~_LETTER | _LOOKALIKE

LONGEST_JOINT = 4
"""Characters between two digits of one number: ') - ' and ' - ('."""
LONGEST_IPV4, LONGEST_IPV6, LONGEST_PLATE = 15, 39, 10
LONGEST_LAYOUT, LONGEST_TAGS = 8, 32
"""Characters between two digits of one number that layout splits."""
LONGEST_NUMBER = 80
"""Characters from the first to the eighth digit of such a number."""
LONGEST_ROW = 40
"""Digits of a row that can be a number and what follows it; longer ones are tables."""


def candidates(text: str, plain_units: Units) -> Candidates:
    """The positions of a plain text with its UTF-16 units (see personal_shapes.plain)."""
    units, points = _padded(text, plain_units)
    digits = np.flatnonzero((points - np.uint8(ord("0"))) < 10)
    gaps = np.diff(digits) - 1
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
    split, rows = _split(units, points, digits)
    second = np.flatnonzero(units == ord("권"))
    passports = [_positions_of(lower, b"passport"), second[units[second - 1] == ord("여")] - 1]
    odd = np.concatenate(
        (*_odd_alone(units, len(plain_units) > len(text)), *_odd_beside_digits(units, points, digits, gaps))
    )
    return Candidates(
        numbers=_numbers(points, digits, gaps),
        letters=_offsets(_letters_and_digits(points, digits)),
        at_signs=_offsets(ats[inside_a_word]),
        hidden=_offsets(*hidden),
        passports=_offsets(*passports),
        urls=_offsets(_positions_of(points, b"://"), _positions_of(points, b"www.")),
        split=_offsets(split),
        rows=_offsets(rows),
        odd=_offsets(odd),
    )


def _offsets(*positions: Positions) -> list[int]:
    """Positions in padded arrays as offsets in the text, in order."""
    return sorted({position - _PAD for found in positions for position in found.tolist()})


def _positions_of(points: Bytes, word: bytes) -> Positions:
    """Where the word stands: its middle first, since that is rare, and the rest only there."""
    middle = len(word) // 2
    found = np.flatnonzero((points[:-1] == word[middle - 1]) & (points[1:] == word[middle])) - middle + 1
    found = found[(found >= 0) & (found < len(points) - len(word))]
    for offset, byte in enumerate(word):
        found = found[points[found + offset] == byte]
    return found


def _padded(text: str, units: Units) -> tuple[Units, Bytes]:
    """The first unit of each character, and one byte for it: Latin-1, _SNAIL or _OTHER. Both are padded, so
    that no look ahead needs a check."""
    if len(units) != len(text):
        units = units[(units & 0xFC00) != 0xDC00]
    wide = np.zeros(len(units) + 3 * _PAD, np.uint16)
    wide[_PAD : -2 * _PAD] = units
    points = np.minimum(wide, _OTHER).astype(np.uint8)
    points[(wide == ord("골")) | (wide == ord("앳"))] = _SNAIL
    return wide, points


def _numbers(points: Bytes, digits: Positions, gaps: Positions) -> list[tuple[int, int]]:
    """Rows of digits that are long enough, and those that could be an IP address or a service number."""
    if len(digits) < 4:
        return []
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
    syllable = digits[:-1][((gaps == 1) & (after == _OTHER)) | (gaps == 2) | (gaps == 3)]
    syllable = syllable[_DIGIT[points[syllable - 1]]]
    inside = syllable + 1 + _BLANK[points[syllable + 1]]
    behind = inside + 1 + _BLANK[points[inside + 1]]
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


def _split(units: Units, points: Bytes, digits: Positions) -> tuple[Positions, Positions]:
    """First digits of what layout could have split: of mobile numbers and resident numbers with a right
    check digit; and of other resident numbers and whole rows."""
    # Prose has few positions where eight digits stand close together.
    close = digits[7:] - digits[:-7] <= LONGEST_NUMBER
    if not close.any():
        return digits[:0], digits[:0]
    kept = np.zeros(len(digits), np.bool_)
    for offset in range(8):
        kept[offset : offset + len(close)] |= close
    digits = digits[kept]
    gaps = np.diff(digits) - 1
    between = np.flatnonzero((gaps > 0) & (gaps <= LONGEST_TAGS))
    sizes, after = gaps[between], digits[between] + 1
    first, final = points[after], points[after + sizes - 1]
    wide = _WIDE[first] & _WIDE[final]
    long = np.flatnonzero(wide & (sizes > 2))
    for offset in range(1, LONGEST_LAYOUT):
        inside = sizes[long] > offset
        wide[long] &= ~inside | _WIDE[points[after[long] + offset]]
    wide[long] &= sizes[long] <= LONGEST_LAYOUT
    wide |= (first == ord("<")) & (final == ord(">"))
    joined = gaps == 0
    joined[between] = wide
    boundaries = np.flatnonzero(units == ord(SEPARATOR))
    joined[
        np.searchsorted(digits, boundaries[(boundaries > digits[0]) & (boundaries < digits[-1])]) - 1
    ] = False

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
    values = np.append(points[digits] - np.uint8(ord("0")), np.zeros(2 * _PAD, np.uint8))
    one, two, three, four = (values[starts + offset] for offset in range(4))
    abroad = (one == 8) & (two == 2) & ((three == 1) | ((three == 0) & (four == 1)))
    mobile = (count >= 10) & (abroad | ((one == 0) & (two == 1) & _MOBILE_HEAD[three]))
    month = three * 10 + four
    day = values[starts + 4] * 10 + values[starts + 5]
    born = (month - 1 < 12) & (day - 1 < 31) & (values[starts + 6] - 1 < 8) & (count >= 13)
    right = starts[born]
    digits_13 = values[right[:, None] + np.arange(13)].astype(np.int64)
    base = np.where(digits_13[:, 6] >= 5, 13, 11)
    right = right[(base - digits_13[:, :12] @ RESIDENT_WEIGHTS % 11) % 10 == digits_13[:, 12]]
    row = np.concatenate(([True], ~joined))[starts] & (count <= LONGEST_ROW)
    return digits[np.concatenate((starts[mobile], right))], digits[starts[(row | born) & ~mobile]]


def _odd_beside_digits(units: Units, points: Bytes, digits: Positions, gaps: Positions) -> list[Positions]:
    """Letters, circled and Hangul digits next to ASCII ones."""
    if not len(digits):
        return []
    apart = gaps > 0
    starts = digits[np.concatenate(([True], apart))]
    ends = digits[np.concatenate((apart, [True]))]
    before, after = starts[_BESIDE[units[starts - 1]]] - 1, ends[_BESIDE[units[ends + 1]]] + 1
    spelt = _LOOKALIKE[points[starts - 2]] & _LOOKALIKE[points[starts - 3]] & _LOOKALIKE[points[starts - 4]]
    inside = ends[:-1][gaps[apart] == 1] + 1
    found = np.concatenate(
        (
            before[_NO_LETTER[points[before - 1]]],
            after[_NO_LETTER[points[after + 1]]],
            # O1O of letters alone.
            starts[spelt & _JOINS[points[starts - 1]]] - 2,
            inside[_HANGUL[units[inside]]],
        )
    )
    # Most digits of such a number are ASCII ones; numbers of other digits are found without them.
    near = np.searchsorted(digits, found + LONGEST_NUMBER // 2) - np.searchsorted(
        digits, found - LONGEST_NUMBER // 2
    )
    return [found[near >= 5]]


def _odd_alone(units: Units, astral: bool) -> list[Positions]:
    """Three or more circled or Hangul digits in a row."""
    ringed = (units - 0x2460) < 0x334
    if astral:
        ringed |= (units == 0xD835) | (units == 0xD83C)
    found = np.flatnonzero(ringed[1:-1] & ringed[2:] & ringed[:-2]) + 1
    found = found[_BESIDE[units[found]]]
    if not ((units - 0xAC00) < 0x2BA4).any():
        return [found]
    hangul, same = np.zeros(len(units), np.bool_), np.empty(len(units), np.bool_)
    for char in HANGUL_DIGITS:
        hangul |= np.equal(units, ord(char), out=same)
    spaced = hangul[:-4] & hangul[2:-2]
    spaced &= hangul[4:]
    three = hangul[:-2] & hangul[1:-1]
    three &= hangul[2:]
    positions = np.flatnonzero(spaced)
    positions = positions[(units[positions + 1] == ord(" ")) & _HANGUL[units[positions + 6]]] + 2
    return [found, np.flatnonzero(three) + 1, positions]


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
    for dot in _positions_of(lower, b" dot ").tolist():
        before = lower[max(0, dot - 70) : dot].tobytes()
        at = before.rfind(b" at ")
        if at >= 0:
            found.append(dot - len(before) + at)
    return np.array(found, np.int64)
