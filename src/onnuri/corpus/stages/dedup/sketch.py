"""MinHash sketches of documents: what they share of their `canonical` text, in 256 bytes each.

What is compared. Two documents are compared by the sets of short windows ("shingles") of their `canonical`
text, which knows no case, no spaces and no punctuation, so that a respaced or NFD copy is the same document
and changed particles cost a few windows each. A window is 5 characters long, or 10 where it starts below
U+1100 (alphabets and digits): five letters say less than five syllables. On text of 400,000 characters two
unrelated English sources share 0.32 of their windows of 5 but 0.04 of 10; two Korean ones share 0.06 of 5.
Digits stay as they are: hiding them would make one document of every notice, price list or weather report
that a template produced. A changed number of d digits costs about d + 5 windows, so such documents stay
apart where a number of six digits changes every 40 characters; with fewer changes one of two goes.

Sketch. The share of bytes that are equal in two sketches of 256 bytes estimates the Jaccard similarity J of
the two window sets (Broder 1997; the low byte of each minimum only: Li and König 2010, b-bit minwise
hashing). Every window goes to one of 256 bins, for four rounds of new hashes or until each bin has its
minimum (Dahlgaard, Knudsen and Thorup 2017, fast similarity sketching). A bin that is open even then, as in
documents under some thousand windows, gets the minimum over all windows by a multiply-add of its own modulo
2^16. It sees one half of a window's hash, the other half being for the other 128 bins. So a long document
costs one hash a window and a short one the cheapest hash there is, and no bin borrows from another
(densification), which makes short documents noisy. For pairs of 10 to 3,000 windows and J = 0.8 the mean of
the estimates was J and their standard deviation 0.018 to 0.025; 256 independent hashes have 0.025. Texts of
one window are distinguished by 32 bits.

Cost: 100 to 170 MB/s of documents, and 30 MB/s or 300,000 a second where each is a line. Eight rounds and
then a 64-bit hash for each open bin and window do 55 and 5, Daft's native `minhash` of 256 values 25 of
either, without the canonical text. It was not taken because its permutations come from a generator that may
change between releases. Here everything is integer arithmetic written down below, on the frozen categories
of Unicode 3.2, so that sketches always stay comparable.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from onnuri.corpus.text.composition import compose
from onnuri.corpus.text.joined import SEPARATOR, Codes, code_points, join_strings, pieces, strings

# Sketches made with other values of these do not compare.
NUM_BANDS = 32
NUM_ROWS = 8  # of one byte each, so that a band is a uint64
NUM_BINS = NUM_BANDS * NUM_ROWS
NUM_FACTORS = NUM_BINS // 2  # for the open bins: one for each half of a window's hash
WINDOW = 5
FIRST_NARROW_CHARACTER = 0x1100  # Hangul Jamo; alphabets and digits, whose windows are broad, come before
NUM_ROUNDS = 4  # after which a hash of their own for open bins is cheaper than another round

# These bound memory and time; the result does not depend on them.
CHARACTERS_AT_ONCE = 1 << 17
SIZE_OF_SKETCH = 64  # in characters
MANY_WINDOWS = 2048
SMALL_DOCUMENT = 200
DOCUMENTS_AT_ONCE = 128
FACTORS_AT_ONCE = 16

EMPTY = np.uint32(2**32 - 1)  # a bin without a minimum yet
LAST_ASSIGNED = 0x2FA1D  # in Unicode 3.2, but for the tags
TAGS = range(0xE0000, 0xE0080)

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint32]
Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


class Sketches(NamedTuple):
    """For each of N texts: [N, NUM_BANDS] bands, of which each byte is a row, and its canonical length."""

    bands: Uint64s
    lengths: Int64s


def canonical(texts: pa.Array) -> pa.Array:
    """The letters, marks and digits of each text, in NFC and lower case, as a large string array.

    Spaces, punctuation, symbols, control and format characters go. Nulls count as empty.
    """
    values: list[str] = []
    for _, points, _ in _canonical_points(texts):
        values += points.tobytes().decode(f"utf-{8 * points.itemsize}-le").split(SEPARATOR)[:-1]
    return pa.array(values, pa.large_string())


def sketches(texts: pa.Array) -> Sketches:
    """The sketches of N texts and the lengths of their canonical texts, in code points.

    A text without a letter or digit has zeros for a sketch, which `clusters` never joins. Each row depends
    on its own text only.
    """
    found = np.zeros((len(texts), NUM_BINS), np.uint8)
    lengths = np.zeros(len(texts), np.int64)
    for first, points, boundaries in _canonical_points(texts):
        counts = np.diff(boundaries, prepend=-1)
        rows = slice(first, first + len(counts))
        lengths[rows] = counts - 1
        found[rows] = _sketch(_windows(points, boundaries), counts)
    found[lengths == 0] = 0
    return Sketches(found.view("<u8"), lengths)


def band_hashes(texts: pa.Array) -> Uint64s:
    """[N, NUM_BANDS] the sketches alone."""
    return sketches(texts).bands


@cache
def _canonical_table() -> npt.NDArray[np.uint32]:
    """[0x110000] what becomes of each code point; 0 means it goes. Lower case only where it is one."""
    table = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    for point in (*range(LAST_ASSIGNED + 1), *TAGS):
        category = unicodedata.ucd_3_2_0.category(chr(point))
        if category[0] in "PSZ" or category in ("Cc", "Cf"):
            table[point] = 0
        elif category in ("Lu", "Lt") and len(lower := chr(point).lower()) == 1:
            table[point] = ord(lower)
    return table


@cache
def _basic_table() -> npt.NDArray[np.uint16]:
    """[0x10000] the same for the basic plane, whose lower case letters are all in it."""
    return _canonical_table()[: 1 << 16].astype(np.uint16)


def _canonical_points(texts: pa.Array) -> Iterator[tuple[int, Codes, Int64s]]:
    """Canonical texts a few at a time, small enough for the processor's cache.

    The number of the first one, the code points of all with a separator after each, and where those
    are.
    """
    values = strings(texts)
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    for first, last in pieces(sizes + SIZE_OF_SKETCH, CHARACTERS_AT_ONCE):
        joined = join_strings([*values[first:last], ""])
        raw = code_points(joined)
        if (composed := compose(joined, raw)) is not joined:
            raw = code_points(composed)
        table = _basic_table() if raw.dtype == np.uint16 else _canonical_table()
        points = table.take(raw)
        points = points.take(np.flatnonzero(points != 0))
        yield first, points, np.flatnonzero(points == ord(SEPARATOR))


def splitmix(values: Uint64s) -> Uint64s:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _constants(first: int, count: int) -> npt.NDArray[np.uint32]:
    """High halves of `count` outputs of splitmix64 from state 0, from number `first` on."""
    states = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (splitmix(states) >> np.uint64(32)).astype(np.uint32)


PAIR, FOUR, FIVE, TEN = _constants(1, 4) | np.uint32(1)
ROUNDS = _constants(100, NUM_ROUNDS) | np.uint32(1)
BIN_FACTORS = (_constants(1000, NUM_FACTORS) | np.uint32(1)).astype(np.uint16)[:, None]
BIN_TERMS = _constants(2000, NUM_FACTORS).astype(np.uint16)[:, None]


def _window_hashes(points: Codes) -> Hashes:
    """[..., P] hash of the window that starts at each of [..., P] code points, zeros following the last.

    A window's hash is a polynomial in four odd constants modulo 2^32, mixed by MurmurHash3's finaliser.
    """
    size = points.shape[-1]
    padded = np.zeros((*points.shape[:-1], size + 2 * WINDOW - 1), np.uint32)
    padded[..., :size] = points
    pair = padded[..., :-1] * PAIR
    pair += padded[..., 1:]
    four = pair[..., :-2] * FOUR
    four += pair[..., 2:]
    five = four[..., :-1] * FIVE
    five += padded[..., 4:]
    ten = five[..., :-WINDOW] * TEN
    ten += five[..., WINDOW:]
    np.copyto(ten, five[..., :size], where=points >= FIRST_NARROW_CHARACTER)
    ten ^= ten >> np.uint32(16)
    ten *= np.uint32(0x85EBCA6B)
    ten ^= ten >> np.uint32(13)
    ten *= np.uint32(0xC2B2AE35)
    ten ^= ten >> np.uint32(16)
    return ten


def _windows(points: Codes, boundaries: Int64s) -> Hashes:
    """[P] hashes of the windows of texts with a boundary after each: of P positions those of one text.

    Where a window would reach past the end of its text, and at the boundary, stands the text's first window
    once more, which changes nothing in a set. A text shorter than its first window counts as one window,
    filled up with zeros.
    """
    hashes = _window_hashes(points)
    starts = np.concatenate(([0], boundaries[:-1] + 1))
    offsets = np.arange(2 * WINDOW)
    size = np.where(points[starts] < FIRST_NARROW_CHARACTER, 2 * WINDOW, WINDOW)
    short = np.flatnonzero(boundaries - starts < size)
    positions = starts[short, None] + offsets
    heads = points.take(positions, mode="clip") * (positions < boundaries[short, None])
    hashes[starts[short]] = _window_hashes(heads)[:, 0]
    positions = boundaries[:, None] - offsets
    wrong = (offsets < WINDOW) | (points.take(positions, mode="clip") < FIRST_NARROW_CHARACTER)
    wrong &= positions > starts[:, None]
    hashes[positions[wrong]] = np.repeat(hashes[starts], np.count_nonzero(wrong, axis=1))
    return hashes


def _sketch(windows: Hashes, counts: Int64s) -> npt.NDArray[np.uint8]:
    """[N, NUM_BINS] low bytes of the minima of N documents with `counts` windows each, one at least.

    A minimum carries the number of its round above its 24 bits, so that the earliest round wins.
    """
    minima = np.full((len(counts), NUM_BINS), EMPTY)
    rows = np.arange(len(counts))
    for number, factor in enumerate(ROUNDS):
        values = windows * factor
        values ^= values >> np.uint32(15)
        values *= np.uint32(0x9E3779B1)
        positions = (values >> np.uint32(24)).astype(np.intp)
        positions += np.repeat(rows * NUM_BINS, counts)
        values &= np.uint32(0xFFFFFF)
        values |= np.uint32(number << 24)
        np.minimum.at(minima.reshape(-1), positions, values)
        open_ = np.ones(len(rows), np.bool_)
        large = np.flatnonzero(counts > NUM_BINS)
        open_[large] = minima[rows[large]].max(axis=1) == EMPTY
        if not open_.all():
            windows, counts, rows = windows[np.repeat(open_, counts)], counts[open_], rows[open_]
        if not len(rows):
            return minima.astype(np.uint8)
        if number == 0:
            windows, counts = _distinct(windows, counts)
    return _with_open_bins_filled(minima, rows, windows, counts)


def _with_open_bins_filled(minima: Hashes, rows: Int64s, windows: Hashes, counts: Int64s) -> Bytes:
    """[N, NUM_BINS] bytes of the minima; an open bin gets that of a hash of its own over all windows of its
    document. rows: which of the N have open bins; windows, counts: theirs."""
    sketch = minima.astype(np.uint8)  # all ones where open
    closed = (minima != EMPTY).view(np.uint8) * np.uint8(0xFF)
    begins = np.cumsum(counts) - counts
    halves = windows.astype("<u4", copy=False).view("<u2").reshape(-1, 2)
    order = np.argsort(counts, kind="stable")
    num_small = int(np.searchsorted(counts[order], SMALL_DOCUMENT, side="right"))
    for start in range(0, num_small, DOCUMENTS_AT_ONCE):
        group = order[start : min(num_small, start + DOCUMENTS_AT_ONCE)]
        filled = _minima_of_all_bins(halves, begins[group], counts[group])
        sketch[rows[group]] &= filled | closed[rows[group]]
    for position in order[num_small:]:
        row = rows[position]
        bins = np.flatnonzero(closed[row] == 0)
        own = halves[begins[position] : begins[position] + counts[position]]
        values = own[:, bins // NUM_FACTORS].T * BIN_FACTORS[bins % NUM_FACTORS]
        values += BIN_TERMS[bins % NUM_FACTORS]
        sketch[row, bins] = _byte(values.min(axis=1))
    return sketch


def _byte(values: npt.NDArray[np.uint16]) -> Bytes:
    """Both halves of each value in one byte: the lower alone would know a lower half of a hash only."""
    return (values ^ (values >> np.uint16(8))).astype(np.uint8)


def _minima_of_all_bins(halves: npt.NDArray[np.uint16], begins: Int64s, counts: Int64s) -> Bytes:
    """[G, NUM_BINS] bytes of the minima of a hash of its own for each bin, for G documents in the order of
    their counts. The shorter ones repeat their last window."""
    steps = np.arange(counts[-1])[:, None]
    windows = halves[begins + np.minimum(steps, counts - 1)]
    lowest = np.empty((NUM_FACTORS, 2 * len(counts)), np.uint8)
    for first in range(0, NUM_FACTORS, FACTORS_AT_ONCE):
        some = slice(first, first + FACTORS_AT_ONCE)
        values = windows.reshape(-1) * BIN_FACTORS[some]
        values += BIN_TERMS[some]
        lowest[some] = _byte(values.reshape(FACTORS_AT_ONCE, len(steps), -1).min(axis=1))
    return lowest.reshape(NUM_FACTORS, -1, 2).transpose(1, 2, 0).reshape(-1, NUM_BINS)


def _distinct(windows: Hashes, counts: Int64s) -> tuple[Hashes, Int64s]:
    """Each window once where there are many: a document that still has open bins then repeats itself."""
    if counts.max() < MANY_WINDOWS:
        return windows, counts
    documents = np.split(windows, np.cumsum(counts)[:-1])
    documents = [np.unique(each) if len(each) >= MANY_WINDOWS else each for each in documents]
    return np.concatenate(documents), np.array([len(each) for each in documents])
