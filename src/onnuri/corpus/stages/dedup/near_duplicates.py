"""Near-duplicate documents: candidate pairs by banding sketches, verified, joined to clusters.

Sketches are those of `sketch`: the share of bytes equal in two of them estimates the Jaccard similarity J.

Banding (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4). Eight bytes make a band, one
uint64; pairs with a band in common are candidates: 1 - (1 - J^8)^32 of them, 0.997 at J = 0.8 and 0.021 at
0.4. A candidate is joined only where its whole sketch agrees to `THRESHOLD`. The estimate's standard
deviation is at most sqrt(J (1 - J) / 256): 0.025 at 0.8, and 0.73 is 2.8 of them below, seven above 0.5.

Joined pairs form chains: a template filled in a hundred thousand ways hangs together though most of its
documents are unlike. So a cluster tells how often something was copied, not what may go: `kept_copies`
decides that.

Memory. About 80 bytes a document and 8 for each band that it shares with another, one column of bands at a
time: the sketches (256 bytes a document) may lie in a file, `verdicts.Sketches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages.dedup.sketch import (
    NUM_BANDS,
    NUM_BINS,
    Int64s,
    Sketches,
    Uint64s,
    band_hashes,
    canonical,
    sketches,
)

__all__ = [
    "NUM_BANDS",
    "NUM_BINS",
    "Clusters",
    "Sketches",
    "agree",
    "band_hashes",
    "bytes_needed",
    "canonical",
    "clusters",
    "id_order",
    "joined",
    "shared_bands",
    "sketches",
]

THRESHOLD = 0.73
HEADS_A_BUCKET = 16
PAIRS_AT_ONCE = 1 << 15  # bounds memory; the result does not depend on it

Bucketed = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""For each band the rows that share its value with another row, and the number of that bucket, rising."""


class Bands(Protocol):
    """[N, NUM_BANDS] uint64: an array, or what else gives a band `[:, band]` and rows `[indices]`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Clusters(NamedTuple):
    """For each of N documents: the row of its cluster's smallest id, and how many the cluster has."""

    representative: Int64s
    size: Int64s


def shared_bands(bands: Bands) -> Bucketed:
    """The buckets of each band with more than one document. Zeros, of texts without a letter, have none."""
    small = np.min_scalar_type(NUM_BANDS * max(bands.shape[0], 1))
    return [
        (members.astype(small), bucket.astype(small))
        for members, bucket in (_buckets(bands[:, number]) for number in range(NUM_BANDS))
    ]


def clusters(order: Int64s, bands: Bands, shared: Bucketed, threshold: float = THRESHOLD) -> Clusters:
    """Join the documents whose sketches agree: connected components of verified candidate pairs.

    `order` is `id_order` of N ids; `bands` is [N, NUM_BANDS] from `sketches`, in memory or not; `shared`
    is `shared_bands` of them. The outcome is the same for any order of the rows. In a bucket of equal bands
    all members are compared with the smallest id, those unlike it with the smallest of their own, up to
    HEADS_A_BUCKET times: work is linear in N even where boilerplate fills a bucket. Raises ValueError if
    the shapes do not match.
    """
    if bands.shape != (len(order), NUM_BANDS):
        raise ValueError(f"bands are {bands.shape}, but {len(order)} ids need {(len(order), NUM_BANDS)}")
    position, label = np.argsort(order), np.arange(len(order))
    for rows, numbers in shared:
        sort = np.lexsort((position[rows], numbers))
        members, bucket = position[rows[sort]], numbers[sort]
        for _ in range(HEADS_A_BUCKET):
            if not len(members):
                break
            head = _heads(members, bucket)
            unjoined = label[members] != label[head]
            alike = ~unjoined
            alike[unjoined] = agree(bands, order[members[unjoined]], order[head[unjoined]], threshold)
            label = _connect(label, members[alike & unjoined], head[alike & unjoined])
            members, bucket = _shared(members[~alike], bucket[~alike])
    return _named(order, label)


def joined(order: Int64s, found: Clusters, keeper: Int64s) -> Clusters:
    """The clusters once each document is in that of its keeper."""
    position = np.argsort(order)
    label = _connect(position[found.representative][order], np.arange(len(order)), position[keeper][order])
    return _named(order, label)


def id_order(ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> Int64s:
    """Rows in the order of ids. Raises ValueError if an id occurs twice."""
    array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    order = pc.sort_indices(array)
    ordered = array.take(order)
    if pc.any(again := pc.equal(ordered[1:], ordered[:-1])).as_py():
        raise ValueError(f"ids must be unique, but {ordered[pc.index(again, True).as_py()]} occurs twice")
    return np.asarray(order).astype(np.int64)


def _named(order: Int64s, label: Int64s) -> Clusters:
    """Clusters of rows from the labels of positions."""
    representative = np.empty_like(label)
    representative[order] = order[label]
    return Clusters(representative, np.bincount(representative, minlength=len(label))[representative])


def _buckets(column: Uint64s) -> tuple[Int64s, Int64s]:
    """Rows with an equal value in a column, and the number of the bucket of each."""
    members = np.argsort(column)
    values = column[members]
    changes = np.ones(len(values), bool)
    changes[1:] = values[1:] != values[:-1]
    has_text = values != 0
    return _shared(members[has_text], np.cumsum(changes)[has_text])


def _shared(members: Int64s, bucket: Int64s) -> tuple[Int64s, Int64s]:
    """The same without buckets of one."""
    same = bucket[1:] == bucket[:-1]
    more = np.zeros(len(bucket), bool)
    more[1:] |= same
    more[:-1] |= same
    return members[more], bucket[more]


def _heads(members: Int64s, bucket: Int64s) -> Int64s:
    """For each member the first one of its bucket."""
    starts = np.ones(len(bucket), bool)
    starts[1:] = bucket[1:] != bucket[:-1]
    return members[starts][np.cumsum(starts) - 1]


def agree(bands: Bands, left: Int64s, right: Int64s, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether two rows agree."""
    needed = bytes_needed(threshold)
    alike = np.empty(len(left), bool)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        piece = slice(start, start + PAIRS_AT_ONCE)
        equal = bands[left[piece]].view(np.uint8) == bands[right[piece]].view(np.uint8)
        alike[piece] = np.count_nonzero(equal, axis=1) >= needed
    return alike


def bytes_needed(threshold: float) -> float:
    """Of NUM_BINS: unequal minima have an equal byte in one of 256 cases."""
    return NUM_BINS * (threshold + (1 - threshold) / 256)


def _connect(label: Int64s, left: Int64s, right: Int64s) -> Int64s:
    """Labels after some pairs are joined: of a component, all have its smallest position."""
    while len(left):
        one, other = label[left], label[right]
        apart = one != other
        left, right, one, other = left[apart], right[apart], one[apart], other[apart]
        np.minimum.at(label, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(label, shorter := label[label]):
            label = shorter
    return label
