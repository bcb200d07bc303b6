"""Hashes of texts as they lie in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def text_hashes(prefixes: Sequence[pa.Array], texts: pa.Array, hex_digits: bool = False) -> list[Any]:
    """blake2b of 16 bytes over some strings, each after its length and a colon, and a large string."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    buffer = texts.buffers()[2]
    data = memoryview(buffer if buffer is not None else b"")
    heads = zip(*(column.to_pylist() for column in prefixes), strict=True) if prefixes else None
    positions = offsets.tolist()
    answers = []
    for row in range(len(texts)):
        digest = hashlib.blake2b(digest_size=16)
        if heads is not None:
            for value in next(heads):
                digest.update(f"{len(value)}:{value}".encode())
        digest.update(data[positions[row] : positions[row + 1]])
        answers.append(digest.hexdigest() if hex_digits else digest.digest())
    return answers
