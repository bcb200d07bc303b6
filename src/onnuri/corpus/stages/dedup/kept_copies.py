"""Which of the documents that agree stay: one after the other, in the order of preference.

Greedy selection. The document that comes first stays. Each later one goes if it agrees with one that
stays and with which it shares a band, or a small cluster. So no two that stay share a band and agree,
however many hang together, and a document goes only if one that agrees with it stays.

Cost. Only documents that share a band take part, a block at a time: it is compared with those that stay so
far and are in its buckets, then within itself. Three bits of each byte tell most pairs apart (all but some
0.16 of them at J = 0.67, fewer below); of the rest the whole sketches are compared. That makes some 60
million pairs a second: 1 s for 10,000 different documents with a band in common, 70 s for 100,000.
MOST_CANDIDATES keeps the work linear. A document with more of them is not compared and does not stay: what
fills a bucket so far is a template, and to keep it would keep copies unseen. `Kept.candidates` counts them.

Memory. 16 bytes for each band that a document shares, and 96 for each document that shares one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onnuri.corpus.stages.dedup.near_duplicates import (
    NUM_BINS,
    PAIRS_AT_ONCE,
    THRESHOLD,
    Bands,
    Bucketed,
    Clusters,
    agree,
    bytes_needed,
)
from onnuri.corpus.stages.dedup.sketch import Int64s, Uint64s

MOST_CANDIDATES = 1 << 17
LARGE_CLUSTER = 1 << 12
"""In smaller ones documents are compared without a band in common: a chain of copies has found them."""

# These bound memory and time.
DOCUMENTS_AT_ONCE = 256
CROWDED = 1 << 13  # pairs of a block in one bucket, from which on they are compared as a table
BITS = 3

Mask = npt.NDArray[np.bool_]


class Kept(NamedTuple):
    """For each of N documents."""

    keeper: Int64s
    """The row of the one that stays for it; its own where it stays, or was not compared."""
    candidates: Int64s
    """0, but for documents with too many: how many documents that stay share a band with it."""

    @property
    def stays(self) -> Mask:
        """Whether it is kept."""
        return (self.keeper == np.arange(len(self.keeper))) & (self.candidates == 0)


def keep(
    order: Int64s,
    bands: Bands,
    shared: Bucketed,
    found: Clusters,
    *,
    always: Mask | None = None,
    threshold: float = THRESHOLD,
) -> Kept:
    """Which documents stay, the same for any order of the rows.

    Args:
        order: rows in the order of preference.
        bands: [N, NUM_BANDS] from `sketches`, in memory or not.
        shared, found: `shared_bands` and `clusters` of them.
        always: documents that stay without being compared; they must come first.
    """
    keeper, candidates = np.arange(len(order)), np.zeros(len(order), np.int64)
    fixed = np.zeros(len(order), bool) if always is None else always
    in_small = np.flatnonzero((found.size > 1) & (found.size <= LARGE_CLUSTER))
    cluster = np.full(len(order), -1)
    cluster[in_small] = found.representative[in_small]
    index = _Index(order, [*shared, (in_small, cluster[in_small])])
    comparison = _Comparison(bands, index.rows, threshold)
    for first in range(0, len(index.rows), DOCUMENTS_AT_ONCE):
        rows = index.rows[first : first + DOCUMENTS_AT_ONCE]
        sketches = bands[rows]
        comparison.add(first, sketches)
        own, bucket = index.entries(first, len(rows))
        counts = index.num_kept[bucket]
        total = np.bincount(own, counts, len(rows)).astype(np.int64)
        too_many = (total > MOST_CANDIDATES) & ~fixed[rows]
        candidates[rows[too_many]] = total[too_many]
        gone_for = np.where(too_many, rows, -1)
        counts[(too_many | fixed[rows])[own]] = 0
        for pair in index.pairs(own, bucket, counts, gone_for):
            left, right = comparison.agreeing(first + pair[0], pair[1])
            gone_for[left - first] = index.rows[right]
        open_ = first + np.flatnonzero(gone_for < 0)
        left, right = (side - first for side in comparison.agreeing(open_[:, None], open_[None]))
        shares = ((sketches[left] == sketches[right]) & (sketches[left] != 0)).any(axis=1)
        shares |= (cluster[rows[left]] == cluster[rows[right]]) & (cluster[rows[left]] >= 0)
        shares &= (left < right) & ~fixed[rows[right]]
        left, right = left[shares], right[shares]
        for document in np.unique(left):
            if gone_for[document] < 0:
                others = right[left == document]
                gone_for[others[gone_for[others] < 0]] = rows[document]
        stays = gone_for < 0
        keeper[rows] = np.where(stays, rows, gone_for)
        index.add(first + own[stays[own]], bucket[stays[own]])
    return Kept(keeper, candidates)


class _Comparison:
    """Which of some rows agree, by their numbers."""

    def __init__(self, bands: Bands, rows: Int64s, threshold: float) -> None:
        self.bands, self.rows, self.threshold = bands, rows, threshold
        self.most_different = NUM_BINS - math.ceil(bytes_needed(threshold))
        self.bits = np.empty((NUM_BINS // 64, BITS, len(rows)), np.uint64)

    def add(self, first: int, sketches: Uint64s) -> None:
        """Take the lowest bits of each byte of sketches, those of number `first` and on."""
        values = np.ascontiguousarray(sketches).view(np.uint8)
        for bit in range(BITS):
            packed = np.packbits(values >> bit & 1, axis=1).view(np.uint64)
            self.bits[:, bit, first : first + len(sketches)] = packed.T

    def agreeing(self, left: Int64s, right: Int64s) -> tuple[Int64s, Int64s]:
        """The pairs of numbers that agree, of those that the two make when broadcast."""
        different = np.zeros(np.broadcast_shapes(left.shape, right.shape), np.uint16)
        for bits in self.bits:
            changed = bits[0][left] ^ bits[0][right]
            for bit in bits[1:]:
                changed |= bit[left] ^ bit[right]
            different += np.bitwise_count(changed)
        near = different <= self.most_different
        left, right = np.broadcast_to(left, near.shape)[near], np.broadcast_to(right, near.shape)[near]
        alike = agree(self.bands, self.rows[left], self.rows[right], self.threshold)
        return left[alike], right[alike]


class _Index:
    """Documents that share a bucket, numbered in the order of preference, and by bucket those that stay."""

    def __init__(self, order: Int64s, columns: Bucketed) -> None:
        position = np.argsort(order)
        small = np.min_scalar_type(max(len(order), sum(len(members) for members, _ in columns)))
        owners, buckets, num_buckets = [], [], 0
        for members, bucket in columns:
            _, number = np.unique(bucket, return_inverse=True)
            buckets.append((number + num_buckets).astype(small))
            owners.append(position[members].astype(small))
            num_buckets += int(number.max(initial=-1)) + 1
        owner, bucket = np.concatenate(owners), np.concatenate(buckets)
        positions, counts = np.unique(owner, return_counts=True)
        self.rows = order[positions]
        self._ends = np.cumsum(counts)
        self._buckets = bucket[np.argsort(owner, kind="stable")]
        sizes = np.bincount(bucket, minlength=num_buckets)
        self._starts = np.cumsum(sizes) - sizes
        self._kept = np.empty(len(bucket), small)
        self.num_kept = np.zeros(num_buckets, np.int64)

    def entries(self, first: int, count: int) -> tuple[Int64s, Int64s]:
        """For each bucket of each of some documents: which of them it is, and the bucket."""
        ends = self._ends[first : first + count]
        start = int(self._ends[first - 1]) if first else 0
        own = np.repeat(np.arange(count), np.diff(ends, prepend=start))
        return own, self._buckets[start : int(ends[-1])].astype(np.int64)

    def pairs(
        self, own: Int64s, bucket: Int64s, counts: Int64s, gone_for: Int64s
    ) -> Iterator[tuple[Int64s, Int64s]]:
        """Each entry's document, while that is below 0 in `gone_for`, with the `counts` that stay in its
        bucket, a few pairs at a time; for a crowded bucket as a column and a row."""
        numbers, which = np.unique(bucket, return_inverse=True)
        for position in np.flatnonzero(np.bincount(which, counts) >= CROWDED):
            here = np.flatnonzero((which == position) & (counts > 0))
            counts[here] = 0
            start, size = self._starts[numbers[position]], self.num_kept[numbers[position]]
            step = max(1, PAIRS_AT_ONCE // len(here))
            for at in range(start, start + size, step):
                left = own[here][gone_for[own[here]] < 0]
                yield left[:, None], self._kept[None, at : min(at + step, start + size)].astype(np.int64)
        ends = np.cumsum(counts)
        for first in range(0, int(ends[-1]), PAIRS_AT_ONCE):
            last = min(first + PAIRS_AT_ONCE, int(ends[-1]))
            some = slice(np.searchsorted(ends, first, "right"), np.searchsorted(ends, last) + 1)
            begins = ends[some] - counts[some]
            sizes = np.minimum(ends[some], last) - np.maximum(begins, first)
            left = np.repeat(own[some], sizes)
            positions = np.arange(first, last) + np.repeat(self._starts[bucket[some]] - begins, sizes)
            undecided = gone_for[left] < 0
            yield left[undecided], self._kept[positions[undecided]].astype(np.int64)

    def add(self, documents: Int64s, bucket: Int64s) -> None:
        """List documents that stay in their buckets."""
        sort = np.argsort(bucket, kind="stable")
        found, first, counts = np.unique(bucket[sort], return_index=True, return_counts=True)
        at = np.arange(len(sort)) - np.repeat(first - self._starts[found] - self.num_kept[found], counts)
        self._kept[at] = documents[sort]
        self.num_kept[found] += counts
