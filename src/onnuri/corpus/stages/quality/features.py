"""Hashed character n-grams of a batch of texts, in NumPy over its code points.

Characters and not words: no tokenizer, no dictionary, the same for Korean and English, and a Korean ending
or particle is a few characters. A text is made comparable first: composed form (NFC), digits as one digit,
white space as single spaces. So dates, counts, indentation and hard-wrapped lines give no source away.

A long text is looked at in WINDOWS places, so its cost is bounded and it weighs no more than a short one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from onnuri.corpus.text.joined import SEPARATOR

ORDERS = (2, 3, 4)
"""Lengths of the n-grams in characters, ascending."""
BUCKET_BITS = 18
"""n-grams share 2 ** BUCKET_BITS weights; as float32 these are 1 MB and stay in a core's cache."""
WINDOWS = 4
SCRIPTS = ("korean", "latin", "other")
"""Texts are distinguished by script and judged against their own kind only: see train.py."""
KOREAN_SHARE = 0.2
LATIN_SHARE = 0.3
CHUNK_CHARACTERS = 1 << 16
"""So many are worked on at a time: the arrays for them fit the cache of a core, which doubles the speed."""

Codes = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Odd numbers with well-mixed bits, from xxHash: the base of the polynomial, and one multiplier an order.
_BASE = np.uint32(2654435761)
_MIXERS = {n: np.uint32(m) for n, m in ((2, 2246822519), (3, 3266489917), (4, 668265263), (5, 374761393))}
# Ranges of letters as (first, how many).
_SYLLABLES, _JAMO = (np.uint32(0xAC00), 11172), (np.uint32(0x3131), 94)
_ASCII, _LATIN, _MORE_LATIN = (np.uint32(ord("a")), 26), (np.uint32(0xC0), 400), (np.uint32(0x1E00), 256)
_SMALL = np.uint32(0x20)
# Above it Unicode has no letter (16.0).
_TABLE_END = 0x33480


@dataclass(frozen=True)
class Chunk:
    """Some texts as code points, ready to be hashed."""

    codes: Codes
    """(C,) characters of T texts, with a boundary (as a space) before, between and after them."""
    boundaries: Indices
    """(T + 1,) offsets of the boundaries."""

    @property
    def num_ngrams(self) -> Indices:
        """(T,) offsets in each text where n-grams of all ORDERS begin; the boundary before it is one."""
        return np.maximum(0, np.diff(self.boundaries) - (ORDERS[-1] - 2))


def chunks(texts: Iterable[str | None], characters: int) -> Iterator[Chunk]:
    """The texts, some at a time and in their order; of a long one `characters` from WINDOWS places."""
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(windows(text or "", characters))
        size += len(some[-1])
        if size >= CHUNK_CHARACTERS:
            yield chunk(some)
            some, size = [], 0
    if some:
        yield chunk(some)


def windows(text: str, characters: int) -> str:
    """The text, or WINDOWS parts of it spread evenly, with spaces between: at most `characters` in all."""
    if len(text) > characters:
        width = (characters - WINDOWS + 1) // WINDOWS
        step = (len(text) - width) // (WINDOWS - 1)
        text = " ".join(text[i * step : i * step + width] for i in range(WINDOWS))
    return text


def chunk(texts: Sequence[str]) -> Chunk:
    """All of these texts as one chunk."""
    joined = SEPARATOR.join(["", *texts, ""])
    if joined.count(SEPARATOR) != len(texts) + 1:
        joined = SEPARATOR.join(["", *(text.replace(SEPARATOR, "\ufffd") for text in texts), ""])
    joined = unicodedata.normalize("NFC", joined)
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    codes = _table()[np.minimum(codes, _TABLE_END)]
    spaces = codes == ord(" ")
    repeated = spaces[1:] & spaces[:-1]
    if repeated.any():
        codes = codes[np.concatenate(([True], ~repeated))]
    boundaries = np.flatnonzero(codes == ord(SEPARATOR))
    codes[boundaries] = ord(" ")
    return Chunk(codes, boundaries)


def buckets(part: Chunk) -> Iterator[Codes]:
    """For each of ORDERS the (C,) buckets of the n-grams that begin at each offset.

    Those that reach over the end of a text are no n-grams of it: see `clear_borders`.
    """
    longest, count = ORDERS[-1], len(part.codes)
    codes = np.concatenate((part.codes, np.zeros(longest - 1, dtype=np.uint32)))
    rolling = codes[:count].copy()
    for length in range(2, longest + 1):
        rolling *= _BASE
        rolling += codes[length - 1 : length - 1 + count]
        if length in ORDERS:
            hashed = rolling * _MIXERS[length]
            hashed >>= np.uint32(32 - BUCKET_BITS)
            yield hashed


def clear_borders(values: npt.NDArray[np.floating[Any]], part: Chunk) -> None:
    """Set the values of n-grams that reach over the end of a text to 0."""
    for back in range(1, ORDERS[-1] - 1):
        values[part.boundaries[1:] - back] = 0


def scripts(part: Chunk) -> Indices:
    """(T,) index into SCRIPTS of each text, by the share that Hangul and Latin letters have of what is no
    space: at least KOREAN_SHARE, else at least LATIN_SHARE."""
    codes, starts = part.codes, part.boundaries[:-1]
    if not len(starts):
        return np.zeros(0, dtype=np.int64)
    hangul = (codes - _SYLLABLES[0] < _SYLLABLES[1]) | (codes - _JAMO[0] < _JAMO[1])
    # One bit apart, capitals and small letters of ASCII are one range.
    latin = ((codes | _SMALL) - _ASCII[0] < _ASCII[1]) | (codes - _LATIN[0] < _LATIN[1])
    latin |= codes - _MORE_LATIN[0] < _MORE_LATIN[1]
    num_inked, num_hangul, num_latin = (
        np.add.reduceat(flags, starts, dtype=np.int64) for flags in (codes != ord(" "), hangul, latin)
    )
    is_latin = (num_latin > 0) & (num_latin >= LATIN_SHARE * num_inked)
    found = np.where(is_latin, SCRIPTS.index("latin"), SCRIPTS.index("other"))
    is_korean = (num_hangul > 0) & (num_hangul >= KOREAN_SHARE * num_inked)
    return np.where(is_korean, SCRIPTS.index("korean"), found)


@lru_cache(maxsize=1)
def _table() -> Codes:
    """(_TABLE_END + 1,) what a character counts as."""
    table = np.arange(_TABLE_END + 1, dtype=np.uint32)
    for number in range(_TABLE_END):
        char = chr(number)
        if char.isspace():
            table[number] = ord(" ")
        elif char.isdecimal():
            table[number] = ord("0")
    return table
