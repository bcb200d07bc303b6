"""The texts of benchmark items, laid out so that copies of them in a corpus are found by seed and extend.

A text of an item (question, passage, choice; see `benchmarks`) is kept as `sketch.canonical` has
it. A character from U+1100 on weighs 2, alphabets and digits weigh 1, and `ngram` counts the first kind:
the default asks for 24 syllables or 48 letters. What a copied stretch must hold to be evidence is worked
out here, once, as `Index.evidence_end`:

- of a long text, `ngram` of it, all of whose windows of SEED characters stand at most MOST_POSITIONS times
  of the benchmarks (those of "...에 대한 설명으로 옳지 않은 것은 무엇인가" do not) and have
  MIN_SEED_DISTINCT different characters (those of "ㅋㅋㅋㅋ" have not);
- of a short text, under `ngram`, all of it, if it weighs MIN_WEIGHT, has MIN_DISTINCT different characters
  and is SHORT_SHARE of its item: the name of a law or an agency among the choices is less;
- of a text that more than MOST_POSITIONS items have, such as an instruction, nothing.

Items without such a text are not testable, and are counted.

MIN_WEIGHT is measured. KLUE-NLI has 200 of its premises from film reviews; of the 140 with 15 to 22
characters all stand whole in a crawl of such reviews (62 MB). Of 4,200 other texts of KLUE and KorNLI with
12 to 22 characters none stands there or in 60 MB of manuals, laws and comments; of 620 with 6 to 11, 13 do.

Seeds are hashes of two blocks of STRIDE characters in a row, or of one for the shortest texts. They start
at every character where evidence may need them, so that a corpus need only be looked up once every STRIDE
characters. Of a short text, which counts as a whole only, the first STRIDE starts will do. A seed keeps the
upper half of its hash, for what passes is compared character by character anyhow.

Cost: 50,000 items with 5 texts and 160 characters each take 4 s to build, 1.1 GB while building and 105 MB
afterwards: 24 bytes a seed or less. A set of Python integers for every n-gram would take ten times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import UserError
from onnuri.corpus.stages.decontaminate import benchmarks
from onnuri.corpus.stages.dedup import sketch
from onnuri.corpus.text.joined import Codes, code_points

DEFAULT_NGRAM = 24
STRIDE = 8
SEED = 2 * STRIDE
SHORTEST_NGRAM = SEED + STRIDE - 1
"""A shorter stretch need not hold a seed at a multiple of STRIDE."""
MIN_WEIGHT = 2 * (2 * STRIDE - 1)
"""A lighter text may be shorter than what holds a block at a multiple of STRIDE."""
MIN_DISTINCT = 8
MIN_SEED_DISTINCT = 6
MOST_POSITIONS = 16
SHORT_SHARE = 0.25

SEPARATOR = "\0"
"""Stands between texts of an index; canonical texts never have it."""
NEVER = np.iinfo(np.int32).max
BITS_A_SEED = 16
WINDOWS_AT_ONCE = 1 << 16
FIRST, SECOND, PAIR, SINGLE, MIX = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F],
    np.uint64,
)

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]
Uint64s = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Index:
    """T different texts of benchmark items, P code points with separators, S seeds."""

    ngram: int
    names: tuple[str, ...]
    """Of the benchmarks."""
    first_item: Int64s
    """[benchmarks + 1] number of each benchmark's first item, and of all items."""
    testable: Bools
    """[items] whether an item has a text that can be found."""
    points: Codes
    """[P] the canonical texts, with a separator after each and SEED + STRIDE of them at both ends."""
    text_start: Int64s
    """[T + 1] text t is points[text_start[t] : text_start[t + 1] - 1]."""
    evidence_end: Int32s
    """[P] a copied stretch that starts here is evidence if it goes that far; NEVER where none can be."""
    item_start: Int64s
    """[T + 1] text t belongs to items[item_start[t] : item_start[t + 1]]."""
    items: Int32s
    seeds: Uint32s
    """[S] upper halves of hashes, in order."""
    positions: Int32s
    """[S] where in `points` each seed starts."""
    bloom: Bytes
    """Two bits for each seed, of a power of two of bits."""

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))


def build_index(paths: Sequence[str], ngram: int = DEFAULT_NGRAM) -> Index:
    """The index of the benchmarks in some files or folders (see `benchmarks.read`).

    Items are numbered through all benchmarks, in the order of the paths. Raises UserError for an unreadable
    file, a path given twice and an `ngram` under SHORTEST_NGRAM.
    """
    if ngram < SHORTEST_NGRAM:
        raise UserError(
            f"decontaminate.ngram={ngram} is too short; give {SHORTEST_NGRAM} or more characters"
        )
    names = benchmarks.names(paths)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"decontaminate.benchmarks: two are called {twice}; give each once")
    texts: list[str] = []
    counts: list[int] = []
    first_item = [0]
    for path, name in zip(paths, names, strict=True):
        for item in benchmarks.read(path, name):
            texts += item.texts
            counts.append(len(item.texts))
        first_item.append(len(counts))
    canonical = sketch.canonical(pa.array(texts, pa.large_string()))
    item_of_text = np.repeat(np.arange(len(counts)), counts)
    return _index(ngram, tuple(names), np.array(first_item), canonical, item_of_text)


def save(index: Index, path: Path) -> None:
    """Write an index for other processes to `load`."""
    np.savez(path, allow_pickle=False, **vars(index))


def load(path: Path) -> Index:
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    ngram, names = int(arrays.pop("ngram")), tuple(arrays.pop("names").tolist())
    return Index(ngram=ngram, names=names, **arrays)


def seeded(points: Codes, index: Index) -> tuple[Int64s, Int64s]:
    """Where in `points`, at multiples of STRIDE, seeds of the index may start, and their positions: all
    pairs.

    `points` are code points of canonical texts in a row. Unlike characters with equal hashes may be among
    the pairs.
    """
    whole = points[: len(points) // STRIDE * STRIDE].astype("<u2", copy=False).view("<u8")
    block = _block(whole[::2], whole[1::2])
    pairs = [_known(hashes, index) for hashes in (_of_two(block[:-1], block[1:]), _of_one(block))]
    return np.concatenate([at for at, _ in pairs]) * STRIDE, np.concatenate(
        [position for _, position in pairs]
    )


def _known(hashes: Uint64s, index: Index) -> tuple[Int64s, Int64s]:
    """The indices of hashes that are seeds, and the positions of those, for every pair."""
    first, second = _bits(hashes, 8 * len(index.bloom))
    at = np.flatnonzero(_is_set(index.bloom, first))
    at = at[_is_set(index.bloom, second[at])]
    value = _upper(hashes[at])
    begin = np.searchsorted(index.seeds, value, "left")
    count = np.searchsorted(index.seeds, value, "right") - begin
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(at, count), index.positions[np.repeat(begin, count) + number].astype(np.int64)


def _index(
    ngram: int, names: tuple[str, ...], first_item: Int64s, canonical: pa.Array, item_of_text: Int64s
) -> Index:
    """The index of texts, each of which belongs to an item."""
    encoded = canonical.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    text = encoded.indices.to_numpy().astype(np.int64)
    margin = SEPARATOR * (SEED + STRIDE)
    points = code_points(margin + "".join(value + SEPARATOR for value in values) + margin)
    if len(points) >= NEVER:
        raise UserError(f"decontaminate.benchmarks: {len(points)} characters are too many for one index")
    text_start = np.cumsum([len(margin), *(len(value) + 1 for value in values)])
    weight = np.concatenate([[0], np.cumsum(1 + (points >= sketch.FIRST_NARROW_CHARACTER))])
    is_short = weight[text_start[1:] - 1] - weight[text_start[:-1]] < 2 * ngram

    # A short text counts only for the items of which it is a good part.
    length = pc.utf8_length(canonical).to_numpy()
    whole = np.bincount(item_of_text, length, minlength=first_item[-1])
    counts = ~is_short[text] | (length >= SHORT_SHARE * whole[item_of_text])
    text_of_pair, items = np.unique(np.stack([text[counts], item_of_text[counts]]), axis=1)
    num_items = np.bincount(text_of_pair, minlength=len(values))
    usable = (num_items > 0) & (num_items <= MOST_POSITIONS)

    long_end = _evidence_of_long(points, text_start, weight, 2 * ngram, usable & ~is_short)
    shorts = _testable_shorts(points, text_start, weight, usable & is_short)
    end = long_end.copy()
    end[text_start[shorts]] = text_start[shorts + 1] - 1
    seeds, positions, bloom = _seeds(points, long_end, text_start[shorts], end[text_start[shorts]])
    found_by = np.minimum.accumulate(end[::-1])[::-1]
    has_evidence = found_by[text_start[:-1]] < text_start[1:]
    testable = np.zeros(first_item[-1], np.bool_)
    testable[items[has_evidence[text_of_pair]]] = True
    item_start = np.concatenate([[0], np.cumsum(num_items)])
    return Index(
        ngram=ngram,
        names=names,
        first_item=first_item,
        testable=testable,
        points=points,
        text_start=text_start,
        evidence_end=found_by.astype(np.int32),
        item_start=item_start,
        items=items.astype(np.int32),
        seeds=seeds,
        positions=positions,
        bloom=bloom,
    )


def _evidence_of_long(
    points: Codes, text_start: Int64s, weight: Int64s, needed: int, usable: Bools
) -> Int64s:
    """[P] where the shortest evidence ends that starts at each character of a long text, or NEVER."""
    begins, stops = text_start[:-1][usable], text_start[1:][usable] - 1
    sizes = stops - begins
    start = np.arange(sizes.sum()) + np.repeat(begins - np.cumsum(sizes) + sizes, sizes)
    stop = np.repeat(stops, sizes)
    end = np.searchsorted(weight, weight[start] + needed)
    start, end = start[end <= stop], end[end <= stop]
    bad = _is_common(points, text_start) | _is_monotonous(points)
    bad_before = np.concatenate([[0], np.cumsum(bad)])
    good = bad_before[end - SEED + 1] == bad_before[start]
    answer = np.full(len(points), NEVER, np.int64)
    answer[start[good]] = end[good]
    return answer


def _testable_shorts(points: Codes, text_start: Int64s, weight: Int64s, usable: Bools) -> Int64s:
    """The indices of short texts that are heavy and various enough."""
    begins, stops = text_start[:-1], text_start[1:] - 1
    shorts = np.flatnonzero(usable & (weight[stops] - weight[begins] >= MIN_WEIGHT))
    distinct = [len(set(points[begins[short] : stops[short]].tolist())) for short in shorts]
    return shorts[np.array(distinct, np.int64) >= MIN_DISTINCT]


def _is_common(points: Codes, text_start: Int64s) -> Bools:
    """[P] whether the window of SEED characters from each one on stands more than MOST_POSITIONS times."""
    common = np.zeros(len(points), np.bool_)
    stops = np.repeat(text_start[1:] - 1, np.diff(text_start))
    inside = text_start[0] + np.flatnonzero(np.arange(len(stops)) + text_start[0] + SEED <= stops)
    block = _block_from_each(points)
    hashes = _of_two(block[inside], block[inside + STRIDE])
    _, kind, count = np.unique(hashes, return_inverse=True, return_counts=True)
    common[inside] = count[kind] > MOST_POSITIONS
    return common


def _is_monotonous(points: Codes) -> Bools:
    """[P] whether the window of SEED characters from each one on has too few different ones."""
    answer = np.zeros(len(points), np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(points, SEED)
    for first in range(0, len(windows), WINDOWS_AT_ONCE):
        ordered = np.sort(windows[first : first + WINDOWS_AT_ONCE], axis=1)
        changes = np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
        answer[first : first + len(ordered)] = 1 + changes < MIN_SEED_DISTINCT
    return answer


def _seeds(
    points: Codes, long_end: Int64s, short_start: Int64s, short_end: Int64s
) -> tuple[Uint32s, Int32s, Bytes]:
    """Seeds that evidence may need: upper halves of hashes in order, their positions, the Bloom filter."""
    size = len(points) + 1
    long = np.flatnonzero(long_end < NEVER)
    opened = np.bincount(long, minlength=size) - np.bincount(long_end[long] - SEED + 1, minlength=size)
    starts = short_start[:, None] + np.arange(STRIDE)
    has_pairs = short_end - short_start >= SHORTEST_NGRAM
    pairs = np.concatenate([np.flatnonzero(np.cumsum(opened)), starts[has_pairs].reshape(-1)])
    singles = starts[~has_pairs].reshape(-1)
    block = _block_from_each(points)
    hashes = np.concatenate([_of_two(block[pairs], block[pairs + STRIDE]), _of_one(block[singles])])
    num_bits = max(64, 1 << (BITS_A_SEED * len(hashes)).bit_length())
    bits = np.zeros(num_bits, np.bool_)
    for indices in _bits(hashes, num_bits):
        bits[indices] = True
    order = np.argsort(hashes)
    positions = np.concatenate([pairs, singles])[order].astype(np.int32)
    return _upper(hashes[order]), positions, np.packbits(bits, bitorder="little")


def _block_from_each(points: Codes) -> Uint64s:
    """[P] what `_block` gives for the block that starts at each character, zeros following the last."""
    padded = np.zeros(len(points) + STRIDE, np.uint64)
    padded[: len(points)] = points & 0xFFFF
    two = padded[:-1] | padded[1:] << np.uint64(16)
    four = two[:-2] | two[2:] << np.uint64(32)
    return _block(four[: len(points)], four[STRIDE // 2 : STRIDE // 2 + len(points)])


def _block(first: Uint64s, second: Uint64s) -> Uint64s:
    """A sum for STRIDE characters; of each half the lower 16 bits of four characters in a row."""
    return first * FIRST + second * SECOND


def _of_one(block: Uint64s) -> Uint64s:
    """The hash of a block as a seed."""
    return _mixed(block ^ SINGLE)


def _of_two(block: Uint64s, following: Uint64s) -> Uint64s:
    """The hash of two blocks in a row as a seed."""
    return _mixed(block * PAIR + following)


def _mixed(hashes: Uint64s) -> Uint64s:
    """In position: all bits depend on all bits."""
    hashes ^= hashes >> np.uint64(32)
    hashes *= MIX
    hashes ^= hashes >> np.uint64(29)
    return hashes


def _upper(hashes: Uint64s) -> Uint32s:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _bits(hashes: Uint64s, num_bits: int) -> tuple[Uint64s, Uint64s]:
    """The indices of two bits for each hash, out of a power of two: its first ones and its last ones."""
    return hashes >> np.uint64(65 - num_bits.bit_length()), hashes & np.uint64(num_bits - 1)


def _is_set(bloom: Bytes, bits: Uint64s) -> Bools:
    byte = bloom.take((bits >> np.uint64(3)).view(np.int64))
    return (byte >> (bits & np.uint64(7)).astype(np.uint8) & np.uint8(1)).view(np.bool_)
