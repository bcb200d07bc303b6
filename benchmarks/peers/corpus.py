"""datatrove on the same text, for benchmarks/corpus.py: run by a Python that has datatrove, not by ours.

Work is what FineWeb-2 does for Korean (its kor_Hang.yml): MinHash of 14 buckets x 8 hashes on 5-grams of
words end to end (signatures, buckets, clusters, filter), or Gopher repetition, FineWeb and Gopher quality
filters and PII. A word is a Kiwi morpheme (datatrove's assignment for Korean), or what datatrove's
WhitespaceTokenizer finds, or what `str.split` finds, which is not in datatrove but the cheapest there is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datatrove.utils.text
import datatrove.utils.word_tokenizers
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WhitespaceTokenizer, WordTokenizer

LANGUAGE = "kor_Hang"
STOP_WORDS = [*"의다이는에을한년하은를했고가있인월로되", "에서", "으로"]
TOP_NGRAMS = [(2, 0.282), (3, 0.228), (4, 0.185)]
DUPLICATE_NGRAMS = [(5, 0.201), (6, 0.184), (7, 0.168), (8, 0.154), (9, 0.140), (10, 0.127)]


class Split(WordTokenizer):
    """Words between white space."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        return text.split("\n")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return []


def run(steps: list[list[Any]], tasks: list[int], work: Path, workers: int) -> None:
    """Run pipelines one after the other, each in so many tasks."""
    for number, (pipeline, count) in enumerate(zip(steps, tasks, strict=True)):
        LocalPipelineExecutor(
            pipeline=pipeline,
            tasks=count,
            workers=workers,
            logging_dir=str(work / f"log{number}"),
            start_method="fork",
        ).run()


def minhash(source: str, work: Path, shards: int, workers: int) -> None:
    """Near duplicates, from JSON lines to JSON lines."""
    config = MinhashConfig(
        n_grams=5,
        num_buckets=14,
        hashes_per_bucket=8,
        hash_config=HashConfig(precision=64, hash_fc="xxhash"),
    )
    signatures, buckets, removed = (str(work / name) for name in ("signatures", "buckets", "removed"))
    steps = [
        [
            JsonlReader(source),
            MinhashDedupSignature(output_folder=signatures, config=config, language=LANGUAGE),
        ],
        [MinhashDedupBuckets(signatures, buckets, config=config)],
        [MinhashDedupCluster(buckets, removed, config=config)],
        [
            JsonlReader(source),
            MinhashDedupFilter(removed),
            JsonlWriter(str(work / "out"), compression=None),
        ],
    ]
    run(steps, [shards, config.num_buckets, 1, shards], work, workers)


def filters(source: str, work: Path, shards: int, workers: int) -> None:
    """FineWeb-2's Korean filters in its order, then personal data."""
    steps = [
        JsonlReader(source),
        GopherRepetitionFilter(
            language=LANGUAGE,
            dup_para_frac=0,
            dup_line_char_frac=0,
            dup_para_char_frac=0,
            dup_line_frac=0.374,
            top_n_grams=TOP_NGRAMS,
            dup_n_grams=DUPLICATE_NGRAMS,
        ),
        FineWebQualityFilter(
            language=LANGUAGE,
            short_line_thr=999,
            char_duplicates_ratio=0.1,
            line_punct_thr=0.062,
            new_line_ratio=0.196,
        ),
        GopherQualityFilter(
            language=LANGUAGE,
            min_avg_word_length=1,
            max_avg_word_length=6,
            max_non_alpha_words_ratio=0.791,
            min_stop_words=2,
            stop_words=STOP_WORDS,
        ),
        PIIFormatter(),
        JsonlWriter(str(work / "out"), compression=None),
    ]
    run([steps], [shards], work, workers)


WORK: dict[str, Callable[[str, Path, int, int], None]] = {"minhash": minhash, "filters": filters}


def main() -> None:
    """Run one kind of work and print what it took as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WORK)
    parser.add_argument("--input", required=True, help="folder of .jsonl files")
    parser.add_argument("--work", required=True, help="folder to write into")
    parser.add_argument("--words", choices=("kiwi", "whitespace", "split"), required=True)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.words != "kiwi":
        words = WhitespaceTokenizer() if arguments.words == "whitespace" else Split()
        for module in (datatrove.utils.text, datatrove.utils.word_tokenizers):
            module.load_word_tokenizer = lambda *a, **k: words
        import datatrove.pipeline.dedup.minhash as minhash_module

        minhash_module.load_word_tokenizer = lambda *a, **k: words
    work = Path(arguments.work)
    shutil.rmtree(work, ignore_errors=True)
    shards = len(list(Path(arguments.input).glob("*.jsonl")))
    start = time.monotonic()
    WORK[arguments.what](arguments.input, work, shards, arguments.workers)
    kept = sum(1 for path in (work / "out").glob("*") for _ in path.open(encoding="utf-8"))
    print(json.dumps({"seconds": time.monotonic() - start, "kept": kept}))


if __name__ == "__main__":
    main()
