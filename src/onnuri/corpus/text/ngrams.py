"""Shares of a document's characters in its most frequent n-gram, and in n-grams that occurred before.

Covered characters are counted once where n-grams overlap, and without spaces, as Gopher has it. (datatrove
steps over a found n-gram instead, which leaves out up to n - 1 words of a repeat.)

Method: a repeated n-gram starts with a repeated (n-1)-gram, so each order looks only at what the order
before may have found repeated. Counting keys shows that, in buckets of their hash, four buckets or more
for each key, in a tenth of the time of a sort. A key occurs at most as often as its bucket counts, so the
counts bound the shares from above, and only documents that may be over a threshold are sorted, for an exact
answer. Hashes are compared on 42 bits or more within a document then, so that about one pair of n-grams in
10**12 counts as equal without being so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from onnuri.corpus.text.words import (
    MIX_1,
    Block,
    Hashes,
    Indices,
    Mask,
    document_keys,
    mix,
    sorted_groups,
)

Shares = npt.NDArray[np.float64]
Limits = Mapping[int, float]
"""Largest share by n."""
Drop = Callable[[str, Shares, float], Mask]
"""Takes a rule's name, (D,) values and the largest that is allowed; says which (D,) documents stay."""

# A bound is compared with a little less than its threshold, as its last digit may be rounded otherwise.
ALMOST = 1 - 1e-9


def judge(block: Block, words: Hashes, kept: Mask, limits: tuple[Limits, Limits], drop: Drop) -> None:
    """Call `drop` for every n of the limits, the smallest first.

    words: (W,) hashes of the words. kept: (D,) documents to look at; the others may get any value. limits:
    those of the most frequent n-grams, and those of duplicate n-grams.
    """
    top, duplicate = limits
    num_documents = len(kept)
    before = np.concatenate(([0], np.cumsum(block.ends - block.starts)))
    num_characters = np.maximum(block.boundaries - block.document_starts, 1)
    last_words = np.repeat(block.first_word[1:] * kept, block.num_words)
    positions = np.flatnonzero(last_words)  # first words of n-grams, in rising order
    keys = words[positions] + np.repeat(document_keys(num_documents), block.num_words * kept)

    def covered(positions: Indices, n: int) -> Shares:
        ends = np.minimum(positions + n, np.append(positions[1:], len(words)))
        sizes = before[ends] - before[positions]
        return np.bincount(block.documents[positions], sizes, num_documents) / num_characters

    for n in range(2, max([*top, *duplicate], default=0) + 1):
        fits = np.flatnonzero(positions + n <= last_words[positions])
        positions = positions[fits]
        keys = mix(keys[fits] * MIX_1 + words[positions + (n - 1)])
        counts = _bucket_counts(keys)
        again = np.flatnonzero(counts > 1)
        if not len(again):
            return
        positions, keys, counts = positions[again], keys[again], counts[again]
        if n in top:
            owners = block.documents[positions]
            sizes = before[positions + n] - before[positions] + (n - 1)
            over = counts * sizes > (top[n] * ALMOST * num_characters)[owners]
            chosen = _members(owners[over], num_documents)[owners]
            best = _most_frequent(keys[chosen], owners[chosen], sizes[chosen], num_documents)
            kept = drop(f"top n-gram: {n} words", best / num_characters, top[n])
            still = np.flatnonzero(kept[owners])
            positions, keys = positions[still], keys[still]
        if n >= max(top, default=0):
            # Longer n-grams cover no more than shorter ones: who is below every threshold left is done.
            limit = min((limit for size, limit in duplicate.items() if size >= n), default=np.inf)
            chosen = (covered(positions, n) > limit * ALMOST)[block.documents[positions]]
            positions, keys = positions[chosen], keys[chosen]
        if n in duplicate:
            order, new = sorted_groups(keys)
            later = np.zeros(len(order), dtype=np.bool_)
            later[order[~new]] = True
            share = covered(positions[later], n)
            kept = drop(f"duplicate n-gram: {n} words", share, duplicate[n])
            still = np.flatnonzero(kept[block.documents[positions]])
            positions, keys = positions[still], keys[still]


def _bucket_counts(keys: Hashes) -> Indices:
    """(K,) how many keys fall in the bucket of each: as many as are equal to it, or more."""
    bits = len(keys).bit_length() + 2
    buckets = (keys >> np.uint64(64 - bits)).astype(np.intp)
    return np.bincount(buckets, minlength=1 << bits)[buckets]


def _members(documents: Indices, count: int) -> Mask:
    """(D,) True for some of D documents."""
    members = np.zeros(count, dtype=np.bool_)
    members[documents] = True
    return members


def _most_frequent(keys: Hashes, owners: Indices, sizes: Indices, count: int) -> Indices:
    """(D,) characters that the most frequent key of each document takes; of equals the longest; 0 for none
    that occurs twice."""
    order, new = sorted_groups(keys)
    group_starts = np.flatnonzero(new)
    occurrences = np.diff(group_starts, append=len(order))
    heads = order[group_starts[occurrences > 1]]
    # The count in the high half: the most frequent wins, the longest of equals.
    best = np.zeros(count, dtype=np.int64)
    np.maximum.at(best, owners[heads], occurrences[occurrences > 1] << 32 | sizes[heads])
    return (best >> 32) * (best & 0xFFFFFFFF)
