"""How fast is the corpus pipeline, beside datatrove on the same Korean text, in one interleaved run?

    python -m venv PEER
    PEER/bin/pip install 'datatrove[processing]==0.10.1' spacy==3.8.18 kiwipiepy==0.20.4
    python benchmarks/corpus.py --input 'texts/*.parquet' --peer PEER/bin/python

Prints MB of UTF-8 text a second and core: bytes of text over processor seconds of all processes (user and
system, start-up included), and over wall seconds times workers. Kiwi gets a smaller part of the text: on
all of it, it would run for hours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pyarrow.parquet as pq

from onnuri.corpus.reading import discovery

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("peers") / "corpus.py"
OURS = {
    "MinHash end to end": ["dedup"],
    "filters and personal data": ["filter", "pii"],
    "all stages": ["normalise", "describe", "filter", "pii", "dedup"],
}
THEIRS = {"MinHash end to end": "minhash", "filters and personal data": "filters"}


class Cost(NamedTuple):
    """MB/s and core."""

    by_processor: float
    by_wall: float


def texts(pattern: str) -> Iterator[str]:
    """The column `text` of all Parquet files."""
    for file in discovery.find(pattern).files:
        for batch in pq.ParquetFile(file.path).iter_batches(512, columns=["text"]):
            yield from batch["text"].to_pylist()


def write_sample(pattern: str, folder: Path, megabytes: float, shards: int, longest: int) -> float:
    """Write texts, cut to `longest` characters, as JSON lines in shards of like size; MB of text."""
    folder.mkdir(parents=True)
    sizes = [0] * shards
    streams = [(folder / f"{number:02d}.jsonl").open("w", encoding="utf-8") for number in range(shards)]
    for number, text in enumerate(texts(pattern)):
        if sum(sizes) >= megabytes * 1e6:
            break
        for start in range(0, len(text), longest):
            piece = text[start : start + longest]
            shard = sizes.index(min(sizes))
            record = {"id": f"{number}.{start}", "text": piece, "lang": "ko"}
            streams[shard].write(json.dumps(record, ensure_ascii=False) + "\n")
            sizes[shard] += len(piece.encode())
    for stream in streams:
        stream.close()
    return sum(sizes) / 1e6


def measure(command: Sequence[str], megabytes: float, workers: int) -> Cost:
    """Run a command to its end and see what it and all its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    wall = time.monotonic() - start
    if result.returncode:
        sys.exit(f"{' '.join(command)}: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(megabytes / processor, megabytes / wall / workers)


def main() -> None:
    """Measure ours and theirs in turn, several rounds, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", required=True, help="Parquet files with a column text (quoted glob)")
    parser.add_argument("--peer", help="a Python that has datatrove; without it only ours is measured")
    parser.add_argument(
        "--megabytes", type=float, default=60, help="text for us and for words between spaces"
    )
    parser.add_argument("--kiwi-megabytes", type=float, default=1.5, help="text for Kiwi's morphemes")
    parser.add_argument("--longest", type=int, default=20_000, help="characters a document")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-corpus-"))
    try:
        sizes = {
            name: write_sample(arguments.input, work / name, size, arguments.workers, arguments.longest)
            for name, size in (("large", arguments.megabytes), ("small", arguments.kiwi_megabytes))
        }
        costs: dict[tuple[str, str], list[Cost]] = {}
        for number in range(arguments.rounds):
            for what, stages in OURS.items():
                output = work / "ours"
                shutil.rmtree(output, ignore_errors=True)
                command = [sys.executable, str(ROOT / "scripts" / "corpus.py"), "recipe=local"]
                command += [f"input={work / 'large'}", f"output={output}", f"stages=[{','.join(stages)}]"]
                command += [f"engine.workers={arguments.workers}"]
                cost = measure(command, sizes["large"], arguments.workers)
                costs.setdefault((what, "onnuri"), []).append(cost)
                if not arguments.peer or what not in THEIRS:
                    continue
                for words, sample in (("split", "large"), ("whitespace", "large"), ("kiwi", "small")):
                    if words == "kiwi" and number:
                        continue  # minutes a round; its noise does not matter at ratios of 100
                    command = [arguments.peer, str(PEER), THEIRS[what], "--words", words]
                    command += ["--input", str(work / sample), "--work", str(work / "theirs")]
                    command += ["--workers", str(arguments.workers)]
                    cost = measure(command, sizes[sample], arguments.workers)
                    costs.setdefault((what, f"datatrove, {words}"), []).append(cost)
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
        print(f"{sizes['large']:.1f} MB ({sizes['small']:.1f} MB for Kiwi), {arguments.workers} workers")
        print(f"{'work':28} {'who':20} {'MB/s/core':>10} {'by wall':>8} {'ours is':>9}")
        for (what, who), each in costs.items():
            rate, wall = (median(values) for values in zip(*each, strict=True))
            ours = median(cost.by_processor for cost in costs[what, "onnuri"])
            ratio = "" if who == "onnuri" else f"{ours / rate:8.1f}x"
            print(f"{what:28} {who:20} {rate:10.3f} {wall:8.3f} {ratio:>9}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
