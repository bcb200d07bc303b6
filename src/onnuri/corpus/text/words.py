"""A block of documents as arrays: characters by class, words between white space, hashes of any stretch.

Method: the code points of some documents as one NumPy array and one table look-up for their classes. Where
a word begins and ends follows from the classes; what a word holds is read off its first and last character,
and only the words without a letter at either end are gone through. Hashes are prefix sums of a polynomial
modulo 2**64, so that a word, a line or a whole document costs three look-ups; the powers are the same for
every block and computed once. Cost: about 6 ns a character, of which half is the hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from onnuri.corpus.text.joined import SEPARATOR, Codes, code_points, join_strings

Flags = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SPACE, NEWLINE, LETTER, HANGUL, WORDLIKE = 1, 2, 4, 8, 16
# Above it Unicode has no letter and no digit (16.0); the few assigned code points are tags and selectors.
TABLE_END = 0x33480
FIRST_SYLLABLE, SYLLABLES = 0xAC00, 11_172
LINE_FEED = ord("\n")

# Odd constants: the hash base and the multipliers of MurmurHash3's finaliser.
BASE = 0x9E3779B97F4A7C15
BASE_INVERSE = pow(BASE, -1, 1 << 64)
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@dataclass(frozen=True)
class Block:
    """Some documents as arrays. D documents, W words, C code points with a separator after each."""

    codes: Codes  # (C,)
    flags: Flags  # (C,) class bits
    boundaries: Indices  # (D,) where each document ends
    document_starts: Indices  # (D,)
    starts: Indices  # (W,) first code point of each word
    ends: Indices  # (W,) after its last code point
    classes: Flags  # (W,) LETTER or WORDLIKE if a word has one; NEWLINE if it is the last of its line
    documents: Indices  # (W,) which document a word is in
    first_word: Indices  # (D + 1,)
    num_words: Indices  # (D,)
    num_line_feeds: Indices  # (D,)

    def total(self, values: Indices | Mask) -> Indices:
        """(D,) sums of a word's values over each document; documents without a word give 0."""
        sums = np.zeros(len(self.boundaries), dtype=np.int64)
        occupied = np.flatnonzero(self.num_words)
        if len(occupied):
            numbers = values.view(np.uint8) if values.dtype == np.bool_ else values
            sums[occupied] = np.add.reduceat(numbers, self.first_word[occupied], dtype=np.int32)
        return sums

    def characters(self, code: int) -> Indices:
        """(D,) how often a code point occurs."""
        return _occurrences(self.codes, code, self.boundaries)


def parse(values: Sequence[str]) -> Block:
    """Texts, one at least, as a block."""
    codes = code_points(join_strings([*values, ""]))
    table = character_table()
    flags = table[: 1 << 16].take(codes) if codes.dtype == np.uint16 else table.take(codes, mode="clip")
    boundaries = np.flatnonzero(codes == ord(SEPARATOR))
    document_starts = np.concatenate(([0], boundaries[:-1] + 1))
    space = (flags & SPACE) != 0
    # A word lies between two edges; the boundary at the end closes the last one.
    edges = np.flatnonzero(space[1:] != space[:-1]) + 1
    if not space[0]:
        edges = np.concatenate(([0], edges))
    starts, ends = edges[0::2], edges[1::2]
    first_word = np.append(np.searchsorted(starts, document_starts), len(starts))
    num_words = np.diff(first_word)
    return Block(
        codes=codes,
        flags=flags,
        boundaries=boundaries,
        document_starts=document_starts,
        starts=starts,
        ends=ends,
        classes=_word_classes(flags, starts, ends),
        documents=np.repeat(np.arange(len(boundaries)), num_words),
        first_word=first_word,
        num_words=num_words,
        num_line_feeds=_occurrences(codes, LINE_FEED, boundaries),
    )


def _occurrences(codes: Codes, code: int, boundaries: Indices) -> Indices:
    """(D,) how often a code point occurs before each boundary and after the one before."""
    positions = np.flatnonzero(codes == code)
    return np.diff(np.searchsorted(positions, boundaries), prepend=0)


def _word_classes(flags: Flags, starts: Indices, ends: Indices) -> Flags:
    """(W,) see `Block.classes`. Most words show at an end what they hold, most gaps are one character."""
    classes = flags[starts] | flags[ends - 1] | flags[ends]
    unclear = np.flatnonzero((classes & LETTER) == 0)
    classes[unclear] |= _any_between(flags, starts[unclear], ends[unclear])
    next_starts = np.append(starts[1:], len(flags))
    unclear = np.flatnonzero(((classes & NEWLINE) == 0) & (next_starts > ends + 1))
    classes[unclear] |= _any_between(flags, ends[unclear], next_starts[unclear])
    return classes


def _any_between(flags: Flags, starts: Indices, ends: Indices) -> Flags:
    """(S,) the bits that occur in each of some stretches that follow one another."""
    bounds = np.column_stack((starts, ends)).reshape(-1)
    if len(bounds) and bounds[-1] == len(flags):
        bounds = bounds[:-1]
    return np.bitwise_or.reduceat(flags, bounds)[::2] if len(bounds) else flags[:0]


@cache
def character_table() -> Flags:
    """Class bits of every code point up to TABLE_END, which stands for all above it."""
    table = np.zeros(TABLE_END + 1, dtype=np.uint8)
    for code in range(TABLE_END):
        character = chr(code)
        if character.isspace():
            table[code] = SPACE
        elif character.isalpha():
            table[code] = LETTER | WORDLIKE
        elif character.isalnum():
            table[code] = WORDLIKE
    # [ㄱ-힣] would take in every CJK ideograph: jamo, compatibility jamo and syllables one by one.
    for first, last in ((0x1100, 0x11FF), (0x3131, 0x318E), (FIRST_SYLLABLE, 0xD7A3)):
        table[first : last + 1] |= HANGUL
    table[LINE_FEED] |= NEWLINE
    table[ord(SEPARATOR)] = SPACE | NEWLINE
    return table


def mix(hashes: Hashes) -> Hashes:
    """Spreads every bit over the whole word, for keys that are compared on their high bits only."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * MIX_2
    hashes ^= hashes >> np.uint64(29)
    return hashes


def document_keys(count: int) -> Hashes:
    """A different number for each document, added to a hash to keep documents apart."""
    return mix(np.arange(1, count + 1, dtype=np.uint64) * MIX_1)


class Polynomial:
    """Hashes of any stretch of a code point array in O(1), from prefix sums modulo 2**64."""

    def __init__(self, codes: Codes) -> None:
        powers, self.inverses = _powers(max(16, (len(codes) - 1).bit_length()))
        self.sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum(codes * powers[: len(codes)], out=self.sums[1:])

    def of(self, starts: Indices, ends: Indices) -> Hashes:
        return mix((self.sums[ends] - self.sums[starts]) * self.inverses[starts])


@lru_cache(maxsize=2)
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """(2**bits,) powers of BASE from the zeroth on, and their inverses."""
    powers, inverses = (np.full(1 << bits, base, dtype=np.uint64) for base in (BASE, BASE_INVERSE))
    powers[0] = inverses[0] = 1
    return np.multiply.accumulate(powers, out=powers), np.multiply.accumulate(inverses, out=inverses)


def sorted_groups(keys: Hashes) -> tuple[Indices, Mask]:
    """Indices that bring equal keys together (earlier first), and where in that order a new key begins.

    The index rides in the low bits of its key: one plain sort is half the time of an argsort.
    """
    width = np.uint64(max(1, len(keys) - 1).bit_length())
    low = (np.uint64(1) << width) - np.uint64(1)
    packed = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    high = packed >> width
    new = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(high[1:], high[:-1], out=new[1:])
    return (packed & low).astype(np.int64), new
