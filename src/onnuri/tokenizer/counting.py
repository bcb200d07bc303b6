"""Counting the words and phrases of a corpus, on all cores and in bounded memory.

Every worker thread has counters of its own, in compiled code that holds no lock; sums do not depend on
who counted what. Word counts that outgrow the memory go to disk in parts, by hash, and each part is added
up alone. Phrases that outgrow it are sampled by hash.
"""

from __future__ import annotations

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

SPILL_PARTS = 16
BYTES_PER_PIECE = 40
"""Memory that a counter takes for a piece, beside its text."""
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
    memory_bytes: int,
    workers: int,
) -> tuple[Words, Words | None, int]:
    """Words of the training documents, their phrases if `phrases`, and one in how many of those is kept.

    Memory for both stays within about `memory_bytes`. Where all distinct words do not fit into a quarter of
    that, the rarest are left out.
    """
    share = memory_bytes // 4
    with _Spill() as spill:

        def count(batches: Iterator[Any]) -> tuple[Counter, Counter | None]:
            words, spans = Counter(), Counter(share) if phrases else None
            for batch in batches:
                text, offsets = text_bytes(batch["text"])
                documents = batch_weights(batch, weights)
                words.add_text(text, offsets, documents, mark_prefix, phrases=False)
                if spans is not None:
                    spans.add_text(text, offsets, documents, mark_prefix=False, phrases=True)
                if words.num_bytes + BYTES_PER_PIECE * len(words) > share // workers:
                    spill.put(words)
                    words = Counter()
            return words, spans

        parts = corpus_parts(folder, "train")
        counted = each_part(parts, ("text", "source", "lang"), count, workers, "counting")
        merged, _ = counted[0]
        spans = counted[0][1]
        for words, others in counted[1:]:
            merged.merge(words)
            if spans is not None and others is not None:
                spans.merge(others)
        del counted
        total = spill.sum_up(merged, share) if spill.used else merged.words()
    kept = fit(total, share)
    if spans is None:
        return kept, None, 1
    return kept, spans.words(), spans.sampled


def fit(words: Words, most_bytes: int) -> Words:
    """The words that occur more than n times, n as small as the memory allows."""
    text, offsets, counts = words
    sizes = np.diff(offsets)
    if len(text) + BYTES_PER_PIECE * len(counts) <= most_bytes:
        return words
    order = np.argsort(-counts, kind="stable")
    used = np.cumsum(sizes[order] + BYTES_PER_PIECE)
    limit = counts[order[int(np.searchsorted(used, most_bytes, side="right"))]]
    return select(words, counts > limit)


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


class _Spill:
    """Word counts on disk, in parts by hash."""

    def __init__(self) -> None:
        self.used = 0
        self._lock = threading.Lock()

    def __enter__(self) -> _Spill:
        self._folder = tempfile.TemporaryDirectory(prefix="onnuri-words-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put(self, counter: Counter) -> None:
        """Write everything that a counter holds."""
        with self._lock:
            self.used += 1
            number = self.used
        for part in range(SPILL_PARTS):
            text, offsets, counts = counter.words(part, SPILL_PARTS)
            with self._file(part, number).open("wb") as stream:
                for array in (text, offsets, counts):
                    np.save(stream, array)

    def sum_up(self, rest: Counter, most_bytes: int) -> Words:
        """All counts added up. Rare words are left out as soon as it is sure that they will not fit."""
        self.put(rest)
        total: Words | None = None
        for part in range(SPILL_PARTS):
            counter = Counter()
            for number in range(1, self.used + 1):
                with self._file(part, number).open("rb") as stream:
                    text, offsets, counts = (np.load(stream, allow_pickle=False) for _ in range(3))
                    counter.add((text, offsets, counts))
            words = counter.words()
            total = words if total is None else join([total, words])
            total = fit(total, most_bytes)
        assert total is not None
        return total

    def _file(self, part: int, number: int) -> Path:
        return Path(self._folder.name) / f"{part}-{number}.npy"
