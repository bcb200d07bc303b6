"""A shuffled order without a list: a keyed permutation of [0, n) computed position by position.

A Feistel network over the smallest even number of bits that holds n, walked until it lands inside
[0, n) (cycle walking, Black and Rogaway, CT-RSA 2002). Constant memory, and any position costs the same.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 6


def _mix(values: np.ndarray, key: int) -> np.ndarray:
    """A 64-bit hash of each value and the key (the finaliser of SplitMix64)."""
    mixed = values + np.uint64((key * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def permute(indices: np.ndarray, n: int, key: int) -> np.ndarray:
    """Where the keyed permutation of [0, n) sends each index.

    Args:
        indices: integers in [0, n), any shape.
        n: size of the set, at least 1.
        key: any integer; different keys give unrelated permutations.

    Returns:
        int64, the shape of `indices`.
    """
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = [int(k) for k in np.random.SeedSequence(key % (1 << 128)).generate_state(ROUNDS, np.uint64)]

    def encrypt(values: np.ndarray) -> np.ndarray:
        left, right = values >> half, values & mask
        for round_key in keys:
            left, right = right, left ^ (_mix(right, round_key) & mask)
        return (left << half) | right

    with np.errstate(over="ignore"):
        out = encrypt(np.asarray(indices).astype(np.uint64))
        outside = out >= n
        while outside.any():
            out[outside] = encrypt(out[outside])
            outside = out >= n
    return out.astype(np.int64)
