"""Copies of benchmark items out of the corpus: cut from a text, or the text dropped.

Texts are compared as `sketch.canonical` has them (NFC, lower case, no spaces, no punctuation), so a
respaced, NFD or repunctuated copy is a copy; a paraphrase is not found. A text of an item is found where a
document has copied stretches of it that are evidence by themselves (see `benchmark_index`: 24 syllables or
48 letters of a long text, all of a short one) and make up SHARE of it together. So one quoted sentence of a
passage, or the statute in a long question, does no harm.

Method: seed and extend. Blocks of STRIDE canonical characters, and pairs of blocks, are looked up in a
Bloom filter of the index; only what passes is compared, character by character, and extended both ways. A
copied stretch of SEED + STRIDE - 1 characters holds a seed wherever the blocks fall, so nothing is missed
and hash collisions report nothing. The plain way (GPT-3, appendix C; datatrove, NeMo Curator) looks up each
n-gram of 8 to 13 words in a set: a hash and a look-up for each character here instead of two for eight, and
words, which Korean spaces at will.

Measured on one core (process time), an index of 50,000 items with five texts each: 200 MB/s of Korean
manuals, 140 of English ones, 105 where each document is a line; `canonical` is most of it. A document with
copies costs about half a millisecond more. What it finds: of KLUE-NLI's 600 items on film reviews, 591 in a
crawl of such reviews (62 MB), and no other item there. Of planted copies with one wrong character, 71 % of
those of 45 to 60 characters and 98 % of those of 60 to 80 (39 and 78 % for an `ngram` of 30), few shorter
ones. What it should not: of 39,000 lines of laws, manuals and chats taken for benchmarks, three stand in
other corpora (60 MB): two hold hardly more than the name of a law, one is mostly "하여야 한다. 다만,
대통령령으로 정하는 경우에는 그러하지 아니하다". With an `ngram` of 30 one is left.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import check_choice
from onnuri.corpus.stages.decontaminate.benchmark_index import SEED, STRIDE, Index, Int64s, seeded
from onnuri.corpus.stages.dedup import sketch
from onnuri.corpus.text.joined import Codes, code_points, join_strings

ACTIONS = ("cut", "drop")
SHARE = 0.5
"""Of a benchmark's text, that its copies must make up."""
KEPT_SHARE = 0.5
"""A text goes altogether if cutting leaves less of its letters and digits."""
MOST_BETWEEN = 100
"""Copies at most so many characters apart are cut with what is between: choices, answers, numbers."""
MOST_EXTENSION = 300
"""Where no sentence ends within so many characters, a word's end will do."""
SENTENCE_END = re.compile(r"\n+|[.!?…。！？]+[\"'”’)\]」』]*\s+")
SPACE = re.compile(r"\s+")


class Copies(NamedTuple):
    """Copied stretches that are evidence, [N] each, in the order of rows."""

    row: Int64s
    text: Int64s
    """Of the index."""
    start: Int64s
    """In the row's canonical text."""
    stop: Int64s
    position: Int64s
    """Where the copied stretch starts in `Index.points`."""


NO_COPIES = Copies(*(np.zeros(0, np.int64) for _ in Copies._fields))


def decontaminate(
    texts: pa.Array, index: Index, action: str = "cut"
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Texts without copied items, why a text should go altogether ("" to keep it), and the items found.

    `texts` is a string array; the answers have its length: large strings, strings such as "contaminated:
    kmmlu item 17, 84 characters", and lists of int32 item numbers of the index, in order. "cut" takes out
    the sentences or lines that hold a copy, and rejects a text of which less than KEPT_SHARE is left;
    "drop" rejects every text with a copy. What was cut comes out in NFC; other texts, rejected ones among
    them, as they were. Doing it twice changes nothing more, and a text fares alone as in any batch. Nulls
    count as empty. Raises UserError for another action.
    """
    check_choice("decontaminate.action", action, ACTIONS)
    texts = pc.fill_null(pc.cast(texts, pa.large_string()), "")
    reasons = [""] * len(texts)
    hits: list[list[int]] = [[] for _ in reasons]
    copies = find(texts, index)
    if len(copies.row):
        values = []
        for row, here in _by_row(copies):
            text, reasons[row], hits[row] = _without_copies(texts[row].as_py(), here, index, action)
            values.append(text)
        changed = np.zeros(len(texts), np.bool_)
        changed[copies.row] = True
        texts = pc.replace_with_mask(texts, pa.array(changed), pa.array(values, pa.large_string()))
    return texts, pa.array(reasons, pa.string()), pa.array(hits, pa.list_(pa.int32()))


def summary(index: Index, hits: pa.Array | pa.ChunkedArray) -> dict[str, dict[str, int]]:
    """By benchmark: its items, those testable, those found, and the documents that hold one.

    `hits` are the lists of item numbers from `decontaminate`, for all documents; nulls count as none.
    """
    lengths = pc.fill_null(pc.list_value_length(hits), 0).to_numpy()
    items = pc.list_flatten(hits).to_numpy().astype(np.int64)
    documents = np.repeat(np.arange(len(lengths)), lengths)
    benchmark = np.searchsorted(index.first_item, items, "right") - 1
    answer = {}
    for number, name in enumerate(index.names):
        first, last = index.first_item[number : number + 2].tolist()
        here = benchmark == number
        answer[name] = {
            "items": last - first,
            "testable_items": int(index.testable[first:last].sum()),
            "items_found": len(np.unique(items[here])),
            "documents": len(np.unique(documents[here])),
        }
    return answer


def find(texts: pa.Array, index: Index) -> Copies:
    """All copies in some texts (a string array) that count as evidence."""
    found = [NO_COPIES]
    for first, points, boundaries in sketch._canonical_points(texts):
        at, position = seeded(points, index)
        if not len(at):
            continue
        copies = _extended(points, boundaries, index, *_promising(points, index, at, position))
        if len(copies.row):
            copies = _enough(copies, index)
            begin = np.concatenate([[0], boundaries + 1])[copies.row]
            start, stop = copies.start - begin, copies.stop - begin
            found.append(Copies(copies.row + first, copies.text, start, stop, copies.position))
    return Copies(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _by_row(copies: Copies) -> Iterator[tuple[int, Copies]]:
    rows, firsts = np.unique(copies.row, return_index=True)
    for row, first, last in zip(rows.tolist(), firsts, [*firsts[1:], len(copies.row)], strict=True):
        yield row, Copies(*(column[first:last] for column in copies))


def _promising(points: Codes, index: Index, at: Int64s, position: Int64s) -> tuple[Int64s, Int64s]:
    """The pairs whose neighbourhood agrees so far that they may belong to evidence."""
    before = _agreement(points, index, at, position, range(-1, -STRIDE - 1, -1))
    after = _agreement(points, index, at, position, range(SEED + STRIDE))
    may_go_on = (before == STRIDE) | (after == SEED + STRIDE)
    good = may_go_on | (index.evidence_end[position - before] <= position + after)
    return at[good], position[good]


def _agreement(points: Codes, index: Index, at: Int64s, position: Int64s, offsets: range) -> Int64s:
    """For each pair at how many offsets in a row the characters agree."""
    agree = np.ones(len(at), np.bool_)
    count = np.zeros(len(at), np.int64)
    for offset in offsets:
        # Beyond the ends of `points` something else is compared, which only lets more pairs through.
        agree &= points.take(at + offset, mode="clip") == index.points[position + offset]
        count += agree
    return count


def _extended(points: Codes, boundaries: Int64s, index: Index, at: Int64s, position: Int64s) -> Copies:
    """All maximal agreements that are evidence by themselves, for the texts and shifts of the pairs.

    They come in the order of row, text and position; `start` and `stop` are in `points`.
    """
    if not len(at):
        return NO_COPIES
    text = np.searchsorted(index.text_start, position, "right") - 1
    shift, text = np.unique(np.stack([at - position, text]), axis=1)
    start = np.maximum(0, index.text_start[text] + shift)
    length = np.minimum(len(points), index.text_start[text + 1] + shift) - start
    # The texts of the index in a row, each ends with its separator or with the boundary of `points`.
    begin = np.cumsum(length) - length
    here = np.arange(length.sum()) + np.repeat(start - begin, length)
    agree = points[here] == index.points[here - np.repeat(shift, length)]
    edges = np.flatnonzero(np.diff(agree, prepend=False, append=False)).reshape(-1, 2)
    pair = np.searchsorted(begin, edges[:, 0], "right") - 1
    run, run_stop = (edges + (start - begin)[pair, None]).T
    good = index.evidence_end[run - shift[pair]] <= run_stop - shift[pair]
    run, run_stop, pair = run[good], run_stop[good], pair[good]
    found = Copies(np.searchsorted(boundaries, run), text[pair], run, run_stop, run - shift[pair])
    order = np.lexsort((found.position, found.text, found.row))
    return Copies(*(column[order] for column in found))


def _enough(copies: Copies, index: Index) -> Copies:
    """The copies of texts of which a row holds SHARE. They come in the order of row, text and position."""
    groups = np.flatnonzero(np.diff(copies.row, prepend=-1) | np.diff(copies.text, prepend=-1))
    group = np.repeat(np.arange(len(groups)), np.diff(groups, append=len(copies.row)))
    stop = copies.position + copies.stop - copies.start
    # The positions of a group lie in one text and texts lie in a row: a running maximum within each group.
    apart = group * len(index.points)
    reached = np.maximum.accumulate(stop + apart) - apart
    before = np.where(np.arange(len(stop)) == groups[group], copies.position, np.roll(reached, 1))
    covered = np.bincount(group, np.maximum(0, reached - np.maximum(before, copies.position)))
    text = copies.text[groups]
    good = covered >= SHARE * (index.text_start[text + 1] - 1 - index.text_start[text])
    return Copies(*(column[good[group]] for column in copies))


def _without_copies(text: str, copies: Copies, index: Index, action: str) -> tuple[str, str, list[int]]:
    """A text that holds copies after cutting, why it should go, and the items found."""
    rest = text
    items: set[int] = set()
    reason, least = "", 0.0
    # Again until nothing is found, for what a cut brings together may be a copy.
    while len(copies.row):
        items |= set(_items(index, copies))
        reason = reason or _reason(index, copies)
        # `find` looked at the same, where the code point of boundaries is replaced.
        rest, left, whole = _cut(join_strings([unicodedata.normalize("NFC", rest)]), copies)
        least = least or KEPT_SHARE * whole
        if action == "drop" or left < least:
            return text, reason, sorted(items)
        copies = find(pa.array([rest], pa.large_string()), index)
    return rest, "", sorted(items)


def _items(index: Index, copies: Copies) -> list[int]:
    spans = [index.items[index.item_start[t] : index.item_start[t + 1]] for t in np.unique(copies.text)]
    return [int(item) for span in spans for item in span]


def _reason(index: Index, copies: Copies) -> str:
    """Names the text with the longest copy, by its first item."""
    text = int(copies.text[np.argmax(copies.stop - copies.start)])
    item = int(index.items[index.item_start[text]])
    benchmark = int(np.searchsorted(index.first_item, item, "right")) - 1
    characters = sum(
        stop - start
        for start, stop in _united(zip(copies.start.tolist(), copies.stop.tolist(), strict=True))
    )
    number = item - int(index.first_item[benchmark])
    return f"contaminated: {index.names[benchmark]} item {number}, {characters} characters"


def _united(stretches: Iterable[tuple[int, int]], between: int = 0) -> list[tuple[int, int]]:
    """Stretches in order, those joined that overlap or have at most `between` characters between them."""
    answer: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if answer and start <= answer[-1][1] + between:
            answer[-1] = (answer[-1][0], max(stop, answer[-1][1]))
        else:
            answer.append((start, stop))
    return answer


def _cut(text: str, copies: Copies) -> tuple[str, int, int]:
    """An NFC text without the sentences that hold copies; its canonical length after and before."""
    kept = np.flatnonzero(sketch._canonical_table().take(code_points(text)))
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    starts, stops = kept[copies.start], kept[copies.stop - 1] + 1
    bounds = np.array([0, *ends, len(text)])
    widened = [
        (_bound_before(text, bounds, start), _bound_after(text, bounds, stop))
        for start, stop in _united(zip(starts.tolist(), stops.tolist(), strict=True), MOST_BETWEEN)
    ]
    pieces, gone, position = [], 0, 0
    for start, stop in _united(widened):
        pieces.append(text[position:start])
        gone += int(np.searchsorted(kept, stop) - np.searchsorted(kept, start))
        position = stop
    rest = "".join([*pieces, text[position:]])
    return rest.rstrip() if position == len(text) else rest, len(kept) - gone, len(kept)


def _bound_before(text: str, bounds: Int64s, position: int) -> int:
    """Where the sentence that holds the character at `position` starts, or the word if that is far."""
    bound = int(bounds[np.searchsorted(bounds, position, "right") - 1])
    if position - bound <= MOST_EXTENSION:
        return bound
    return max((match.end() for match in SPACE.finditer(text, bound, position)), default=position)


def _bound_after(text: str, bounds: Int64s, position: int) -> int:
    """Where the sentence that holds the character before `position` ends, with the space behind it."""
    bound = int(bounds[np.searchsorted(bounds, position, "left")])
    if bound - position <= MOST_EXTENSION:
        return bound
    space = SPACE.search(text, position, bound)
    return space.end() if space else position
