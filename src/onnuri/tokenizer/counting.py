"""Counting the words and phrases of a corpus, on all cores and in bounded memory.

Every worker thread has counters of its own, in compiled code that holds no lock, and now and then adds
them to those that all share; sums do not depend on who counted what. Word counts that outgrow the memory
go to disk in parts, by hash, and each part is added up alone. Phrases that outgrow it are sampled by hash.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.documents import Part, corpus_parts, read_part, text_bytes
from onnuri.tokenizer.mixture import Kind
from onnuri.tokenizer.native import Counter, Words

log = logging.getLogger(__name__)

PARTS = 16
"""By hash, of the counts that workers share."""
BYTES_PER_PIECE = 40
"""Memory that a counter takes for a piece, beside its text."""
LONG_WORD = 64
"""Bytes; longer words are rulers, or base64 and the like, in which there is nothing to learn."""
LONG_WORDS_MEMORY, LONG_WORDS_SHARE = 1 << 17, 16
"""Long words may take so many bytes, and one in so many of what the others take."""
Result = TypeVar("Result")


def usable_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def each_part(
    parts: Sequence[Part],
    columns: Sequence[str],
    work: Callable[[Iterator[Any]], Result],
    workers: int,
    label: str,
) -> list[Result]:
    """Run `work` in every worker thread over an iterator of record batches that they share out.

    An error in one thread stops the others and is raised here.
    """
    from tqdm import tqdm

    lock, stopped, waiting = threading.Lock(), threading.Event(), iter(parts)
    bar = tqdm(total=sum(part.rows for part in parts), desc=label, unit="document", disable=None)

    def batches() -> Iterator[Any]:
        while not stopped.is_set():
            with lock:
                part = next(waiting, None)
            if part is None:
                return
            for batch in read_part(part, columns):
                yield batch
                with lock:
                    bar.update(batch.num_rows)
                if stopped.is_set():
                    return

    def run() -> Result:
        try:
            return work(batches())
        except BaseException:
            stopped.set()
            raise

    with bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run) for _ in range(workers)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stopped.set()
            raise


def corpus_sizes(folder: str | Path, workers: int) -> dict[Kind, int]:
    """Bytes of training text by (source, language)."""

    def measure(batches: Iterator[Any]) -> dict[Kind, int]:
        sizes: dict[Kind, int] = {}
        for batch in batches:
            table = pa.table(
                {"source": batch["source"], "lang": batch["lang"], "bytes": pc.binary_length(batch["text"])}
            )
            sums = table.group_by(["source", "lang"]).aggregate([("bytes", "sum")])
            for source, language, size in zip(*(sums[i].to_pylist() for i in range(3)), strict=True):
                sizes[source, language] = sizes.get((source, language), 0) + size
        return sizes

    total: dict[Kind, int] = {}
    parts = corpus_parts(folder, "train")
    for sizes in each_part(parts, ("text", "source", "lang"), measure, workers, "measuring"):
        for kind, size in sizes.items():
            total[kind] = total.get(kind, 0) + size
    return dict(sorted(total.items()))


def batch_weights(batch: Any, weights: Mapping[Kind, int]) -> np.ndarray:
    """The weight of each document of a batch, int64."""
    kinds = zip(batch["source"].to_pylist(), batch["lang"].to_pylist(), strict=True)
    return np.array([weights.get(kind, 0) for kind in kinds], dtype=np.int64)


def count_corpus(
    folder: str | Path,
    weights: Mapping[Kind, int],
    *,
    mark_prefix: bool,
    phrases: bool,
    split_digits: bool = False,
    memory_bytes: int,
    workers: int,
) -> tuple[Words, Words | None, int]:
    """Words of the training documents, their phrases if `phrases`, and one in how many of those is kept.

    With `split_digits`, numbers of more than one digit are left out, so nothing merges digits.

    Training takes `memory_bytes` in all, about. Where the distinct words do not fit into an eighth of that,
    the rarest are left out; where the phrases do not, a sample of them is taken. Text without a space
    (`Counter.add_text`) and long words (`without_rare_long`) are bounded too.
    """
    share = memory_bytes // 8
    with SharedCounter(share) as words, SharedCounter(share, sample=True) as spans:

        def count(batches: Iterator[Any]) -> int:
            left_out = 0
            own = [(words, Counter(), False), (spans, Counter(), True)][: 1 + phrases]
            for batch in batches:
                text, offsets = text_bytes(batch["text"])
                documents = batch_weights(batch, weights)
                for number, (shared, counter, by_phrase) in enumerate(own):
                    here = counter.add_text(text, offsets, documents, mark_prefix, by_phrase)
                    left_out += 0 if by_phrase else here
                    if memory_of(counter) > share // (2 * workers):
                        shared.put(counter)
                        own[number] = shared, Counter(), by_phrase
            for shared, counter, _ in own:
                shared.put(counter)
            return left_out

        parts = corpus_parts(folder, "train")
        left_out = sum(each_part(parts, ("text", "source", "lang"), count, workers, "counting"))
        if left_out:
            log.info(
                f"left out of training: {left_out:,} bytes, after the first 128 KB of text without a space"
            )
        leave_out = without_numbers if split_digits else lambda words: words
        kept = leave_out(without_rare_long(words.sum_up()[0]))
        if not phrases:
            return kept, None, 1
        counted, sampled = spans.sum_up()
        return kept, leave_out(counted), sampled


def memory_of(counter: Counter) -> int:
    """Bytes that the pieces of a counter take, about."""
    return counter.num_bytes + BYTES_PER_PIECE * len(counter)


class SharedCounter:
    """The counts of all workers, in parts by hash, within about `most_bytes` of memory.

    What outgrows that goes to disk, or is sampled if `sample`. Either way the result depends on what was
    put in alone, not on order or portions. Use it in a `with` block.
    """

    def __init__(self, most_bytes: int, sample: bool = False) -> None:
        self.most_bytes, self.sample = most_bytes, sample
        self._parts = [self._new() for _ in range(PARTS)]
        self._locks = [threading.Lock() for _ in range(PARTS)]
        self._spilled = [0] * PARTS

    def __enter__(self) -> SharedCounter:
        self._folder = tempfile.TemporaryDirectory(prefix="onnuri-words-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put(self, counter: Counter) -> None:
        """Add all that a counter holds; from any thread."""
        for part in range(PARTS):
            words = counter.words(part, PARTS)
            with self._locks[part]:
                self._parts[part].add(words)
                if not self.sample and memory_of(self._parts[part]) > self.most_bytes // PARTS:
                    self._spill(part)

    def sum_up(self) -> tuple[Words, int]:
        """All pieces with their counts, and one in how many was kept. Leaves nothing behind."""
        if self.sample:
            total = Counter(self.most_bytes)
            while self._parts:
                total.merge(self._parts.pop())
            return total.words(), total.sampled
        words, limit = None, 0
        for part in range(PARTS):
            counter, self._parts[part] = self._parts[part], self._new()
            for number in range(self._spilled[part]):
                with self._file(part, number).open("rb") as stream:
                    text, offsets, counts = (np.load(stream, allow_pickle=False) for _ in range(3))
                counter.add((text, offsets, counts))
            here = select_above(counter.words(), limit)
            words, limit = fit(here if words is None else join([words, here]), limit, self.most_bytes)
        assert words is not None
        return words, 1

    def _new(self) -> Counter:
        return Counter(self.most_bytes // PARTS if self.sample else 0)

    def _spill(self, part: int) -> None:
        with self._file(part, self._spilled[part]).open("wb") as stream:
            for array in self._parts[part].words():
                np.save(stream, array)
        self._spilled[part] += 1
        self._parts[part] = self._new()

    def _file(self, part: int, number: int) -> Path:
        return Path(self._folder.name) / f"{part}-{number}.npy"


def fit(words: Words, limit: int, most_bytes: int) -> tuple[Words, int]:
    """The words that occur more than n times, n the least from `limit` on that the memory allows; and n."""
    text, offsets, counts = words
    sizes = np.diff(offsets)
    if len(text) + BYTES_PER_PIECE * len(counts) <= most_bytes:
        return words, limit
    order = np.argsort(-counts, kind="stable")
    used = np.cumsum(sizes[order] + BYTES_PER_PIECE)
    limit = int(counts[order[int(np.searchsorted(used, most_bytes, side="right"))]])
    return select_above(words, limit), limit


def without_rare_long(words: Words) -> Words:
    """The words without the rarest long ones, where these take more than their share.

    Megabytes without a space, in one line or in many, would take most of the time of training; a ruler of
    dashes, which is frequent, stays. Of those equally rare a sample by hash stays. It is logged.
    """
    sizes = np.diff(words[1])
    is_long = sizes > LONG_WORD
    most = LONG_WORDS_MEMORY + int((sizes[~is_long] + BYTES_PER_PIECE).sum()) // LONG_WORDS_SHARE
    long_words = select(words, is_long)
    kept, limit = fit(long_words, 0, most)
    if not limit:
        return words
    sample = Counter(max(1, most - int((np.diff(kept[1]) + BYTES_PER_PIECE).sum())))
    sample.add(select(long_words, long_words[2] == limit))
    kept = join([kept, sample.words()])
    left_out, size = len(long_words[2]) - len(kept[2]), int(long_words[1][-1] - kept[1][-1])
    log.info(
        f"left out of training: {left_out:,} rare words or parts of words over {LONG_WORD} bytes, "
        f"{size:,} bytes in all (base64 and the like)"
    )
    return join([select(words, ~is_long), kept])


def without_numbers(words: Words) -> Words:
    """The words without those of several characters with a digit 0 to 9 among them."""
    text, offsets, _ = words
    digits = np.concatenate([[0], np.cumsum((text >= ord("0")) & (text <= ord("9")))])
    return select(words, (digits[offsets[1:]] == digits[offsets[:-1]]) | (np.diff(offsets) == 1))


def select_above(words: Words, limit: int) -> Words:
    """The pieces that occur more than `limit` times."""
    return select(words, words[2] > limit) if limit else words


def select(words: Words, chosen: np.ndarray) -> Words:
    """The pieces where `chosen` (bool, one a piece) is true."""
    text, offsets, counts = words
    sizes = np.diff(offsets)
    kept = text[: offsets[-1]][np.repeat(chosen, sizes)]
    return kept, np.cumsum([0, *sizes[chosen]], dtype=np.int64), counts[chosen]


def join(words: Sequence[Words]) -> Words:
    """Several lists of pieces as one."""
    sizes = np.concatenate([np.diff(offsets) for _, offsets, _ in words])
    return (
        np.concatenate([text for text, _, _ in words]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([counts for _, _, counts in words]),
    )
