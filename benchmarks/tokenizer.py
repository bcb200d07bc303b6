"""How fast are training and packing, beside their peers on the same text, in one interleaved run?

    python -m venv PEER
    PEER/bin/pip install torch==2.13.0
    PEER/bin/pip install tokenizers sentencepiece rustbpe kiwipiepy datasets litdata
    PEER/bin/pip install 'datatrove[io,processing]'
    python benchmarks/tokenizer.py --corpus CORPUS_DIR --peer PEER/bin/python --megabytes 100

Ours is timed as a whole command, start-up and writing included; a peer without reading its input (training)
or from its own files on (packing). Memory is the largest sum over all processes (PSS, sampled).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import pyarrow as pa

from onnuri.base import manifest
from onnuri.corpus.documents import corpus_parts, read_part
from onnuri.corpus.execution.store import SteadyWriter
from onnuri.tokenizer.huggingface import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("peers") / "tokenizer.py"
TRAINERS = ("hf", "hf_our_words", "sentencepiece", "rustbpe", "kiwipiepy")
PACKERS = ("datatrove", "datasets", "litdata")


class Cost(NamedTuple):
    """Wall seconds and peak memory in MiB of one run."""

    seconds: float
    memory: float


def cut_corpus(corpus: Path, folder: Path, megabytes: float, copies: int) -> float:
    """A corpus folder and FOLDER.jsonl/ of every n-th document, and MB of text in it."""
    parts = corpus_parts(corpus, "train")
    columns = ["id", "text", "source", "lang"]
    rows = pa.Table.from_batches([batch for part in parts for batch in read_part(part, columns)])
    sizes = pa.compute.binary_length(rows["text"]).to_numpy()
    step = max(1.0, sizes.sum() / (megabytes * 1e6))
    rows = rows.take([int(i * step) for i in range(int(len(rows) / step))]).combine_chunks()
    facts = manifest.read(corpus, "corpus")
    texts = folder.with_suffix(".jsonl")
    texts.mkdir()
    for shard in range(4):
        with (texts / f"{shard}.jsonl").open("w", encoding="utf-8") as stream:
            for text in rows["text"].to_pylist()[shard::4]:
                stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    with manifest.building(folder, "corpus") as partial:
        (partial / "documents").mkdir()
        for copy in range(copies):
            with SteadyWriter(partial / "documents" / f"train-{copy:05d}.parquet", rows.schema) as file:
                file.add(rows)
        for path in (corpus / "documents").glob("heldout-*.parquet"):
            os.link(path, partial / "documents" / path.name)
        manifest.seal(partial, "corpus", facts.settings, facts.inputs, facts.counts)
    return copies * float(pa.compute.sum(pa.compute.binary_length(rows["text"])).as_py()) / 1e6


def proportional_memory(process: psutil.Process) -> int:
    """PSS of a process and its children in bytes: shared pages count once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
            total += int(text.split("Pss:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            continue
    return total


def measure(command: Sequence[str]) -> Cost:
    """Run a command to its end; a peer's own seconds, where it prints them, instead of ours."""
    start = time.monotonic()
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            try:
                peak = max(peak, proportional_memory(psutil.Process(child.pid)))
            except psutil.Error:
                return

    thread = threading.Thread(target=watch)
    thread.start()
    out, errors = child.communicate()
    seconds = time.monotonic() - start
    done.set()
    thread.join()
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    for line in out.splitlines():
        if line.startswith("PEER "):
            seconds = json.loads(line[5:])["seconds"]
    return Cost(seconds, peak / 2**20)


def fertility(path: Path, texts: Sequence[str]) -> float:
    """Tokens per character of a tokenizer.json; 0 where there is none."""
    if not (path / "tokenizer.json").is_file():
        return 0.0
    encoded = load_tokenizer(path).encode_batch_fast(list(texts))
    return sum(len(e.ids) for e in encoded) / sum(map(len, texts))


def show(title: str, runs: dict[str, list[Cost]], megabytes: float, notes: Callable[[str], str]) -> None:
    """A table, fastest first."""
    print(f"\n{title}\n{'':24}{'seconds':>9}{'MB/s':>8}{'MiB':>8}")
    for name, costs in sorted(runs.items(), key=lambda item: median(c.seconds for c in item[1])):
        seconds = median(cost.seconds for cost in costs)
        memory = max(cost.memory for cost in costs)
        print(f"{name:24}{seconds:9.2f}{megabytes / seconds:8.1f}{memory:8.0f}  {notes(name)}")


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--peer", default=sys.executable, help="python with the peers installed")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--copies", type=int, default=1, help="of the text, to see memory stay flat")
    parser.add_argument("--vocab-size", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tasks", nargs="+", default=["train", "pack"])
    parser.add_argument("--skip", nargs="*", default=[], help="peers to leave out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        megabytes = cut_corpus(options.corpus, root / "corpus", options.megabytes, options.copies)
        texts = root / "all.jsonl"
        texts.write_text("".join(p.read_text() for p in sorted((root / "corpus.jsonl").glob("*"))))
        command = [sys.executable, str(ROOT / "scripts" / "tokenizer.py"), f"input={root / 'corpus'}"]
        vocab = f"vocab_size={options.vocab_size}"
        runs: dict[str, list[Cost]] = {}
        for number in range(options.rounds if "train" in options.tasks else 0):
            for algorithm in ("bpe", "superword"):
                out = [f"output={root / f'{algorithm}-{number}'}", f"algorithm={algorithm}"]
                cost = measure([*command, *out, vocab, "source_power=1", "language_shares={}"])
                runs.setdefault(f"onnuri {algorithm}", []).append(cost)
            for peer in TRAINERS:
                if peer in options.skip:
                    continue
                (root / peer).mkdir(exist_ok=True)
                python = sys.executable if peer == "hf_our_words" else options.peer
                words = ["train", peer, str(texts), str(root / peer / "tokenizer.json")]
                cost = measure([python, str(PEER), *words, str(options.vocab_size)])
                runs.setdefault(peer, []).append(cost)
        if runs:
            heldout = [
                text
                for part in corpus_parts(root / "corpus", "heldout")
                for batch in read_part(part, ["text"])
                for text in batch["text"].to_pylist()
            ]

            def describe(name: str) -> str:
                folder = root / (f"{name.split()[1]}-0" if " " in name else name)
                value = fertility(folder, heldout)
                return f"{value:.4f} tokens a character" if value else ""

            show(f"training, {megabytes:.0f} MB, {options.vocab_size:,} tokens", runs, megabytes, describe)
        if "pack" not in options.tasks:
            return
        runs = {}
        for algorithm in ("bpe", "superword"):
            subprocess.run(
                [*command, f"output={root / algorithm}", f"algorithm={algorithm}", vocab], check=True
            )
        peer_megabytes = megabytes / options.copies
        pack = [sys.executable, str(ROOT / "scripts" / "pack.py"), f"input={root / 'corpus'}"]
        for number in range(options.rounds):
            for algorithm in ("bpe", "superword"):
                for workers in (1, 2):
                    name = f"onnuri {algorithm}, {workers} core{'s' * (workers > 1)}"
                    words = [f"tokenizer={root / algorithm}", f"output={root / f'pack{number}{name}'}"]
                    # one core is one for every thread, those of the reader and the writer too
                    bound = ["taskset", "-c", ",".join(map(str, range(workers)))]
                    cost = measure([*bound, *pack, *words, f"workers={workers}"])
                    runs.setdefault(name, []).append(cost)
            for peer in PACKERS:
                if peer in options.skip:
                    continue
                place, file = root / f"{peer}-pack-{number}", root / "bpe" / "tokenizer.json"
                words = ["pack", peer, str(root / "corpus.jsonl"), str(place), str(file), "2"]
                cost = measure([options.peer, str(PEER), *words])
                scaled = Cost(cost.seconds * megabytes / peer_megabytes, cost.memory)
                runs.setdefault(f"{peer}, 2 cores", []).append(scaled)
        show(f"packing, {megabytes:.0f} MB", runs, megabytes, lambda _: "")


if __name__ == "__main__":
    main()
