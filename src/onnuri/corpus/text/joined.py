"""A batch of texts as one string, so that a regular expression runs once instead of once a document.

The separator between two texts is U+FDD0, a code point that Unicode reserves for such uses and that no text
may hold (Unicode 16, section 23.7). Where one does, it becomes U+FFFD. No pattern may match the separator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SEPARATOR = "\ufdd0"

Codes = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def strings(texts: pa.Array) -> list[str]:
    """The values of a string array, nulls as empty texts."""
    values: list[str] = texts.to_pylist()
    return [value or "" for value in values] if texts.null_count else values


def join(texts: pa.Array) -> str:
    """All texts of a string array, with SEPARATOR between neighbours. Nulls count as empty."""
    return join_strings(strings(texts))


def join_strings(values: Sequence[str]) -> str:
    """The same of strings."""
    joined = SEPARATOR.join(values)
    if joined.count(SEPARATOR) != max(0, len(values) - 1):
        joined = SEPARATOR.join([value.replace(SEPARATOR, "\ufffd") for value in values])
    return joined


def code_points(text: str) -> Codes:
    """(C,) code points: uint16 where all are in the basic plane, which halves the memory to go through."""
    units = np.frombuffer(text.encode("utf-16-le"), "<u2")
    return units if len(units) == len(text) else np.frombuffer(text.encode("utf-32-le"), "<u4")


def pieces(sizes: npt.NDArray[np.int64], budget: int) -> list[tuple[int, int]]:
    """Ranges of neighbours whose sizes add up to the budget or, by the last of them, a little more.

    Arrays that take a text of some 100,000 characters stay in the processor's cache, and their memory is
    used again; larger ones cost a page fault every 4 KiB.
    """
    piece = np.cumsum(sizes) // budget
    bounds = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
    return [(first, last) for first, last in pairwise(bounds) if first < last]
