"""A batch of texts as one string, so that a regular expression runs once instead of once a document.

The border between two texts is U+FDD0, a code point that Unicode reserves for such uses and that no text
may hold (Unicode 16, section 23.7). Where one does, it becomes U+FFFD. No pattern may match the border.
"""

from __future__ import annotations

import pyarrow as pa

BORDER = "\ufdd0"


def join(texts: pa.Array) -> str:
    """All texts of a string array, with BORDER between neighbours. Nulls count as empty."""
    values = [value or "" for value in texts.to_pylist()]
    joined = BORDER.join(values)
    if joined.count(BORDER) != max(0, len(values) - 1):
        joined = BORDER.join(value.replace(BORDER, "\ufffd") for value in values)
    return joined


def split(joined: str, count: int) -> pa.Array:
    """The `count` texts back as a large string array.

    Raises ValueError if borders were lost or made up on the way.
    """
    values = joined.split(BORDER) if count else []
    if len(values) != count:
        raise ValueError(f"{len(values)} texts came back from {count}: a pattern touched a border")
    return pa.array(values, pa.large_string())
