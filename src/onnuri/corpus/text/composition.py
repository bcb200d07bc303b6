"""Normalization form C in linear time, with long runs of combining marks cut.

unicodedata.normalize sorts the marks on one letter by insertion: a million of them in a row, which a web
page may well send, take hours. Here a long run is sorted first, which changes nothing canonically, and is
then cut to the 30 marks that the Stream-Safe Text Format allows (UAX #15, section 13); no language comes
near. The outcome depends on NFC(text) only.

`compose` adds the quick check of UAX #15 for many texts at once, by one table look-up a character. Few
texts fail it, and only they are worth a closer look.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from onnuri.corpus.text.joined import SEPARATOR, Codes, code_points

MOST_MARKS = 30

# Above it no character has a combining class, and only some rare ideographs a decomposition (Unicode 16).
_LAST = 0x1FFFF

Mask = npt.NDArray[np.bool_]
Runs = list[tuple[int, int]]


def nfc(text: str) -> str:
    """NFC(text), with no more than MOST_MARKS combining marks in a row."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", _with_long_runs(text, _sorted))
    return _with_long_runs(text, _cut)


def _with_long_runs(text: str, change: Callable[[str], str]) -> str:
    """The text with each of its long runs of combining marks changed."""
    runs = _long_runs(text)
    if not runs:
        return text
    bounds = [0, *chain.from_iterable(runs), len(text)]
    parts = [text[start:end] for start, end in pairwise(bounds)]
    parts[1::2] = map(change, parts[1::2])
    return "".join(parts)


def _sorted(marks: str) -> str:
    return "".join(sorted(marks, key=unicodedata.combining))


def _cut(marks: str) -> str:
    return marks[:MOST_MARKS]


def compose(joined: str, codes: Codes) -> str:
    """`nfc` of every text of a string with boundaries, of which `codes` are the code points.

    Only the texts that NFC may change are gone through.
    """
    positions = np.flatnonzero(unsure().take(codes, mode="clip"))
    if not len(positions):
        return joined
    texts = joined.split(SEPARATOR)
    for index in np.unique(np.searchsorted(np.flatnonzero(codes == ord(SEPARATOR)), positions)).tolist():
        texts[index] = nfc(texts[index])
    return SEPARATOR.join(texts)


@cache
def unsure() -> Mask:
    """[_LAST + 2] characters that NFC may change or join to the one before; the last entry for all above.

    True for combining marks, for what NFC of the character alone changes, and for what is the last in some
    character's decomposition.
    """
    table = _marks().copy()
    table[-1] = True
    for character in map(chr, range(_LAST + 1)):
        decomposed = unicodedata.normalize("NFD", character)
        if decomposed != character:
            table[ord(character)] |= unicodedata.normalize("NFC", character) != character
            table[min(ord(decomposed[-1]), _LAST + 1)] |= len(decomposed) > 1
    return table


@cache
def _marks() -> Mask:
    """[_LAST + 2] True for combining marks; the last entry stands for all above."""
    return np.array([unicodedata.combining(chr(code)) > 0 for code in range(_LAST + 2)])


def _long_runs(text: str) -> Runs:
    """Where more than MOST_MARKS combining marks follow one another."""
    marks = _marks().take(code_points(text + " "), mode="clip")
    edges = np.flatnonzero(np.diff(marks, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts > MOST_MARKS
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))
