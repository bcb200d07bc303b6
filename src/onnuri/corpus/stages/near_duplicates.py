"""Near-duplicate documents: MinHash sketches, candidate pairs by banding, verified, joined to clusters.

What counts as a copy. Two documents are compared by the sets of short windows ("shingles") of their
`canonical` text, which knows no case, no spaces and no punctuation, so that a respaced or NFD copy is the
same document and changed particles cost a few windows each. A window is 5 characters long, or 10 where it
starts below U+1100 (alphabets and digits): five letters say less than five syllables. On text of 400,000
characters two unrelated English sources share 0.32 of their windows of 5 but 0.04 of 10; two Korean ones
share 0.06 of 5. Digits stay as they are: hiding them would make one document of every notice, price list
or weather report that a template produced. A changed number of d digits costs about d + 5 windows, so such
documents stay apart where a number changes every 40 characters or so; with fewer changes one of two goes.

Sketch. The share of bytes that are equal in two sketches of 256 bytes estimates the Jaccard similarity J of
the two window sets (Broder 1997; the low byte of each minimum only: Li and König 2010, b-bit minwise
hashing). Every window goes to one of 256 bins, round after round with new hashes until each bin has its
minimum (Dahlgaard, Knudsen and Thorup 2017, fast similarity sketching). That costs one hash a window for
long documents and some 256 ln 256 for short ones, instead of 256 a window, and needs no densification,
which makes short documents noisy. `canonical` and `band_hashes` together do 40 to 60 MB/s of Korean
articles on one core, but only 40,000 documents/s where each is a line. Daft's native `minhash` of 256
values does 25 MB/s of either, without the canonical text. It was not taken because its permutations come
from a generator that may change between releases. Here everything is integer arithmetic written down
below, on the frozen categories of Unicode 3.2, so that sketches stay comparable for good.

Banding (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4). Eight bytes make a band, one
uint64; pairs with a band in common are candidates: 1 - (1 - J^8)^32 of them, 0.997 at J = 0.8 and 0.021 at
0.4. A candidate is joined only where its whole sketch agrees to `THRESHOLD`. The estimate's standard
deviation is at most sqrt(J (1 - J) / 256): 0.025 at 0.8, and 0.73 is 2.8 of them below, seven above 0.5.

Which copies go. Joined pairs form chains: a template filled in a hundred thousand ways hangs together
though most of its documents are unlike. So `keep` drops a document only for one that stays and agrees with
it; a cluster tells how often something was copied, not what may go.

Memory. A document costs 256 bytes, its bands being its sketch, plus its id and length. `clusters` and
`keep` add about 80 bytes a document and read one column of bands at a time, so `bands` may be an
`np.memmap` of shape [N, 32]: 10 million documents are 2.6 GB on disk and 0.8 GB in memory. Beyond one
machine's disk, store the columns in Parquet, let Daft sort (band, id) one column at a time and pair
neighbours of equal band, join those pairs with the sketches to verify them, and give only the verified
ones to a union-find.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Sketches made with other values of these do not compare.
NUM_BANDS = 32
NUM_ROWS = 8  # of one byte each, so that a band is a uint64
NUM_BINS = NUM_BANDS * NUM_ROWS
WINDOW = 5
FIRST_NARROW_CHARACTER = 0x1100  # Hangul Jamo; alphabets and digits, whose windows are broad, come before
NUM_ROUNDS = 8  # after which a hash of their own for open bins is cheaper than another round

THRESHOLD = 0.73
HEADS_A_BUCKET = 16
KEPT_BY_COMPARISON = 64

# These bound memory and time; the result does not depend on them.
CHARACTERS_AT_ONCE = 1 << 16
HASHES_AT_ONCE = 1 << 15
PAIRS_AT_ONCE = 1 << 15
MANY_WINDOWS = 256

EMPTY = np.uint64(2**64 - 1)  # a bin without a minimum yet
GOLDEN_RATIO = 0x9E3779B97F4A7C15

Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


class Clusters(NamedTuple):
    """For each of N documents: the row of its cluster's smallest id, and how many the cluster has."""

    representative: Int64s
    size: Int64s


def canonical(texts: pa.Array) -> pa.Array:
    """The letters, marks and digits of each text, in NFC and lower case, as a large string array.

    Spaces, punctuation, symbols, control and format characters go. Nulls count as empty.
    """
    values: list[str] = []
    for _, points, lengths in _canonical_points(texts):
        joined = points.tobytes().decode("utf-32-le")
        ends = np.cumsum(lengths).tolist()
        values += [joined[start:end] for start, end in pairwise([0, *ends])]
    return pa.array(values, pa.large_string())


def band_hashes(texts: pa.Array) -> Uint64s:
    """The sketches of N texts as [N, NUM_BANDS] uint64; the 8 bytes of a band are 8 rows of one.

    A text without a letter or digit has zeros, which `clusters` never joins. Each row depends on its
    own text only.
    """
    sketch = np.zeros((len(texts), NUM_BINS), np.uint8)
    for first, points, lengths in _canonical_points(texts):
        sketch[first : first + len(lengths)] = _sketch(*_windows(points, lengths))
    return sketch.view("<u8")


def clusters(
    ids: Sequence[str] | pa.Array | pa.ChunkedArray, bands: Uint64s, threshold: float = THRESHOLD
) -> Clusters:
    """Join the documents whose sketches agree: connected components of the verified candidate pairs.

    `bands` is [N, NUM_BANDS] from `band_hashes`, in memory or an `np.memmap`; row i belongs to `ids[i]`.
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
    bands: Uint64s,
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
        digest = _mixed(digest ^ bands[:, number][members])
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


@cache
def _canonical_table() -> npt.NDArray[np.uint32]:
    """[0x110000] what becomes of each code point; 0 means it goes. Lower case only where it is one."""
    table = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    for point in range(len(table)):
        category = unicodedata.ucd_3_2_0.category(chr(point))
        if category[0] in "PSZ" or category in ("Cc", "Cf"):
            table[point] = 0
        elif category in ("Lu", "Lt") and len(lower := chr(point).lower()) == 1:
            table[point] = ord(lower)
    return table


def _canonical_points(texts: pa.Array) -> Iterator[tuple[int, npt.NDArray[np.uint32], Int64s]]:
    """Canonical texts a few at a time, small enough for the processor's cache.

    The number of the first one, the code points of all in a row and the length of each.
    """
    values = [unicodedata.normalize("NFC", value or "") for value in texts.to_pylist()]
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    for first, last in _pieces(sizes + NUM_BINS, CHARACTERS_AT_ONCE):
        raw = np.frombuffer("".join(values[first:last]).encode("utf-32-le"), np.uint32)
        points = _canonical_table().take(raw)
        kept = points != 0
        kept_before = np.concatenate([[0], np.cumsum(kept)])
        lengths = np.diff(kept_before[np.cumsum(sizes[first:last])], prepend=0)
        yield first, points[kept], lengths


def _pieces(sizes: Int64s, budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of items whose sizes add up to the budget or, by the last of them, a little more."""
    piece = np.cumsum(sizes) // budget
    bounds = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
    yield from ((first, last) for first, last in pairwise(bounds) if first < last)


def _mixed(values: Uint64s) -> Uint64s:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _seeds(first: int, count: int) -> Uint64s:
    """`count` outputs of splitmix64 from state 0, from number `first` on."""
    return _mixed(np.arange(first, first + count, dtype=np.uint64) * np.uint64(GOLDEN_RATIO))


MULTIPLIERS = _seeds(1, WINDOW + 1) | np.uint64(1)
ROUND_SEEDS = _seeds(100, NUM_ROUNDS)
BIN_SEEDS = _seeds(1000, NUM_BINS)


def _windows(points: npt.NDArray[np.uint32], lengths: Int64s) -> tuple[Uint64s, Int64s]:
    """A hash for each window of some documents in a row, and how many [N] windows each has.

    The hash is the sum of the code points times odd constants, modulo 2^64. A text shorter than its
    first window counts as one window, filled up with zeros.
    """
    pad = 2 * WINDOW - 1
    text_ends = np.cumsum(lengths)
    shift = np.arange(len(lengths)) * pad
    place = np.arange(len(points)) + np.repeat(shift, lengths)
    padded = np.zeros(len(points) + len(lengths) * pad, np.uint64)
    padded[place] = points
    narrow = padded[: len(padded) - WINDOW + 1] * MULTIPLIERS[0]
    for offset in range(1, WINDOW):
        narrow += padded[offset : len(padded) - WINDOW + 1 + offset] * MULTIPLIERS[offset]
    broad = narrow[WINDOW:] * MULTIPLIERS[WINDOW]
    broad += narrow[:-WINDOW]
    starts_broad = points < FIRST_NARROW_CHARACTER
    hashes = np.where(starts_broad, broad[place], narrow[place])
    left = np.repeat(text_ends, lengths) - np.arange(len(points))
    whole = left >= np.where(starts_broad, 2 * WINDOW, WINDOW)
    whole[(text_ends - lengths)[lengths > 0]] = True
    before = np.concatenate([[0], np.cumsum(whole)])
    return hashes[whole], np.diff(before[text_ends], prepend=0)


def _sketch(windows: Uint64s, counts: Int64s) -> npt.NDArray[np.uint8]:
    """[N, NUM_BINS] low bytes of the minima of N documents with `counts` windows each."""
    minima = np.full((len(counts), NUM_BINS), EMPTY)
    rows = np.flatnonzero(counts)
    counts = counts[rows]
    for number, seed in enumerate(ROUND_SEEDS):
        values = _mixed(windows + seed)
        place = (values >> np.uint64(56)).astype(np.int64)
        place += np.repeat(np.arange(0, len(rows) * NUM_BINS, NUM_BINS), counts)
        found = np.full((len(rows), NUM_BINS), EMPTY)
        np.minimum.at(found.reshape(-1), place, values)
        if number:
            found = np.where(minima[rows] == EMPTY, found, minima[rows])
        minima[rows] = found
        open_ = (found == EMPTY).any(1)
        windows, counts, rows = windows[np.repeat(open_, counts)], counts[open_], rows[open_]
        if not len(rows):
            break
    else:
        _fill(minima, rows, *_distinct(windows, counts))
    return minima.astype(np.uint8) * (minima != EMPTY)


def _distinct(windows: Uint64s, counts: Int64s) -> tuple[Uint64s, Int64s]:
    """Each window once where there are many: a document that still has open bins then repeats itself."""
    documents = np.split(windows, np.cumsum(counts)[:-1])
    documents = [np.unique(each) if len(each) >= MANY_WINDOWS else each for each in documents]
    return np.concatenate(documents), np.array([len(each) for each in documents])


def _fill(minima: Uint64s, rows: Int64s, windows: Uint64s, counts: Int64s) -> None:
    """Give each bin still open the minimum over all windows of its document, by a hash of its own."""
    where, bins = np.nonzero(minima[rows] == EMPTY)
    begins = np.cumsum(counts) - counts
    sizes = counts[where]
    for first, last in _pieces(sizes, HASHES_AT_ONCE):
        size = sizes[first:last]
        starts = np.cumsum(size) - size
        index = np.arange(size.sum()) + np.repeat(begins[where[first:last]] - starts, size)
        values = _mixed(windows[index] + np.repeat(BIN_SEEDS[bins[first:last]], size))
        minima[rows[where[first:last]], bins[first:last]] = np.minimum.reduceat(values, starts)


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


def _alike(bands: Uint64s, left: Int64s, right: Int64s, threshold: float) -> npt.NDArray[np.bool_]:
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
