"""Near-duplicate documents: candidate pairs by banding sketches, verified, joined to clusters.

Sketches are those of `sketch`: the share of bytes equal in two of them estimates the Jaccard similarity J.

Banding (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4). Eight bytes make a band, one
uint64; pairs with a band in common are candidates: 1 - (1 - J^8)^32 of them, 0.997 at J = 0.8 and 0.021 at
0.4. A candidate is joined only where its whole sketch agrees to `THRESHOLD`. The estimate's standard
deviation is at most sqrt(J (1 - J) / 256): 0.025 at 0.8, and 0.73 is 2.8 of them below, seven above 0.5.

Which copies go. Joined pairs form chains: a template filled in a hundred thousand ways hangs together
though most of its documents are unlike. So `keep` drops a document only for one that stays and agrees with
it; a cluster tells how often something was copied, not what may go.

Memory. `clusters` and `keep` take about 80 bytes a document and read one column of bands at a time, so the
sketches (256 bytes a document) may lie in a file: `verdicts.Sketches`. 10 million documents are 2.6 GB on
disk and 0.8 GB in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages.sketch import (
    NUM_BANDS,
    NUM_BINS,
    Int64s,
    Sketches,
    Uint64s,
    band_hashes,
    canonical,
    sketches,
    splitmix,
)

__all__ = [
    "NUM_BANDS",
    "NUM_BINS",
    "Clusters",
    "Sketches",
    "band_hashes",
    "canonical",
    "clusters",
    "keep",
    "sketches",
]

THRESHOLD = 0.73
HEADS_A_BUCKET = 16
KEPT_BY_COMPARISON = 64
PAIRS_AT_ONCE = 1 << 15  # bounds memory; the result does not depend on it


class Bands(Protocol):
    """[N, NUM_BANDS] uint64: an array, or what else gives a band `[:, band]` and rows `[indices]`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Clusters(NamedTuple):
    """For each of N documents: the row of its cluster's smallest id, and how many the cluster has."""

    representative: Int64s
    size: Int64s


def clusters(
    ids: Sequence[str] | pa.Array | pa.ChunkedArray, bands: Bands, threshold: float = THRESHOLD
) -> Clusters:
    """Join the documents whose sketches agree: connected components of the verified candidate pairs.

    `bands` is [N, NUM_BANDS] from `sketches`, in memory or not; row i belongs to `ids[i]`.
    The outcome is the same for any order of the rows. In a bucket of equal bands all members are
    compared with the smallest id, those unlike it with the smallest of their own, up to HEADS_A_BUCKET
    times: work is linear in N even where boilerplate fills a bucket. Raises ValueError if an id occurs
    twice or the shapes do not match.
    """
    order = _order(ids)
    if bands.shape != (len(order), NUM_BANDS):
        raise ValueError(f"bands are {bands.shape}, but {len(order)} ids need {(len(order), NUM_BANDS)}")
    label = np.arange(len(order))
    for number in range(NUM_BANDS):
        column = bands[:, number][order]
        members, bucket = _buckets(column)
        for _ in range(HEADS_A_BUCKET):
            if not len(members):
                break
            head = _heads(members, bucket)
            unjoined = label[members] != label[head]
            alike = ~unjoined
            alike[unjoined] = _alike(bands, order[members[unjoined]], order[head[unjoined]], threshold)
            label = _connect(label, members[alike & unjoined], head[alike & unjoined])
            members, bucket = _shared(members[~alike], bucket[~alike])
    representative = np.empty_like(label)
    representative[order] = order[label]
    return Clusters(representative, np.bincount(representative, minlength=len(label))[representative])


def keep(
    ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    bands: Bands,
    lengths: npt.ArrayLike,
    ranks: npt.ArrayLike | None,
    representative: Int64s,
    *,
    threshold: float = THRESHOLD,
) -> npt.NDArray[np.bool_]:
    """True for the documents that stay, whatever the order of the rows.

    Of a cluster stays the longest document, of equals the one with the lowest rank of its source, then the
    smallest id. Whatever agrees with it goes. Of the rest, which hung together by a chain only, the first
    stays by the same rule, and so on. A cluster that needs more than KEPT_BY_COMPARISON of them is a
    template filled in many ways: what is then left stays, but for equal sketches. So a document goes only
    if one that agrees with it stays. Give the lengths of the canonical texts: other lengths would prefer
    decomposed and spaced-out copies.
    """
    place = np.empty(len(representative), np.int64)
    place[_order(ids)] = np.arange(len(place))
    rank = np.zeros(len(place), np.int64) if ranks is None else np.asarray(ranks)
    members = np.lexsort((place, rank, -np.asarray(lengths, np.int64), representative))
    members, cluster = _shared(members, representative[members])
    stays = np.ones(len(representative), bool)
    digest = cluster.astype(np.uint64)
    for number in range(NUM_BANDS):
        digest = splitmix(digest ^ bands[:, number][members])
    first = np.sort(np.unique(digest, return_index=True)[1])
    stays[members] = False
    stays[members[first]] = True
    members, cluster = _shared(members[first], cluster[first])
    for _ in range(KEPT_BY_COMPARISON):
        if not len(members):
            break
        head = _heads(members, cluster)
        alike = _alike(bands, members, head, threshold)
        stays[members[alike & (members != head)]] = False
        members, cluster = _shared(members[~alike], cluster[~alike])
    return stays


def _order(ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> Int64s:
    """Rows in the order of ids. Raises ValueError if an id occurs twice."""
    array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    order = pc.sort_indices(array)
    ordered = array.take(order)
    if pc.any(again := pc.equal(ordered[1:], ordered[:-1])).as_py():
        raise ValueError(f"ids must be unique, but {ordered[pc.index(again, True).as_py()]} occurs twice")
    return np.asarray(order).astype(np.int64)


def _buckets(column: Uint64s) -> tuple[Int64s, Int64s]:
    """Places with an equal value in a column, smallest first, and the number of the bucket of each."""
    members = np.argsort(column, kind="stable")
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


def _alike(bands: Bands, left: Int64s, right: Int64s, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether two rows agree: unequal minima have an equal byte in one of 256 cases, hence the terms."""
    needed = NUM_BINS * (threshold + (1 - threshold) / 256)
    alike = np.empty(len(left), bool)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        piece = slice(start, start + PAIRS_AT_ONCE)
        equal = bands[left[piece]].view(np.uint8) == bands[right[piece]].view(np.uint8)
        alike[piece] = np.count_nonzero(equal, axis=1) >= needed
    return alike


def _connect(label: Int64s, left: Int64s, right: Int64s) -> Int64s:
    """Labels after some pairs are joined: of a component, all have its smallest place."""
    while len(left):
        one, other = label[left], label[right]
        apart = one != other
        left, right, one, other = left[apart], right[apart], one[apart], other[apart]
        np.minimum.at(label, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(label, shorter := label[label]):
            label = shorter
    return label
