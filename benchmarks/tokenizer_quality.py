"""Does a tokenizer that needs fewer tokens make a better model? Models trained alike, in bits per byte.

    python benchmarks/tokenizer_quality.py --corpus CORPUS_DIR --heldout ko.jsonl en.jsonl --output DIR

Every algorithm gets the same vocabulary size and the same model. "compute": the same number of tokens, so
the same FLOPs, in which shorter tokenizers read more text. "text": as many bytes of text as the first
algorithm reads in its tokens. Started again on the same output, it resumes where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from onnuri.base import manifest

ROOT = Path(__file__).resolve().parents[1]
ALGORITHMS = ("bpe", "superword", "morpheme", "morpheme_superword", "unigram")


class Run(NamedTuple):
    """One model to train."""

    algorithm: str
    budget: str
    seed: int
    steps: int


def command(name: str, *words: str) -> None:
    """Run scripts/NAME.py; stops everything if it fails."""
    launcher = ["-m", "torch.distributed.run", "--standalone"] if name == "pretrain" else []
    command = [sys.executable, *launcher, str(ROOT / "scripts" / f"{name}.py"), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")


def tokens_per_byte(tokens: Path) -> float:
    """Of the training documents of packed shards."""
    train = manifest.read(tokens, "tokens").counts["train"]
    return train["tokens"] / train["bytes"]


def train(run: Run, output: Path, heldout: list[Path], words: list[str]) -> dict[str, float]:
    """Train, export and score one model; bits per byte by held-out file."""
    place = output / f"{run.algorithm}-{run.budget}-{run.seed}"
    scores = {path: place / f"{path.stem}.json" for path in heldout}
    if not all(path.is_file() for path in scores.values()):
        command(
            "pretrain",
            "experiment=sample",
            f"data={output / run.algorithm / 'tokens'}",
            f"run_dir={place / 'run'}",
            f"data.seed={run.seed}",
            f"train.seed={run.seed}",
            f"train.steps={run.steps}",
            "train.validate_every=0",
            "train.checkpoint_every=0",
            "engine.stage=0",
            "engine.threads_per_rank=1",
            *words,
        )
        command("export", f"checkpoint={place / 'run'}", f"output={place / 'model'}")
        for path, score in scores.items():
            command("evaluate", f"model={place / 'model'}", f"data={path}", f"output={score}")
    results = {}
    for path, score in scores.items():
        languages = json.loads(score.read_text())["languages"].values()
        bits = sum(entry["bits_per_byte"] * entry["bytes"] for entry in languages)
        results[path.stem] = bits / sum(entry["bytes"] for entry in languages)
    return results


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--parallel", type=int, default=2, help="models trained at once, a core each")
    parser.add_argument("words", nargs="*", help="overrides for scripts/pretrain.py")
    options = parser.parse_args()
    first, *others = options.algorithms
    for algorithm in options.algorithms:
        place = options.output / algorithm
        size = f"vocab_size={options.vocab_size}"
        words = [f"input={options.corpus}", f"output={place / 'tokenizer'}", size]
        command("tokenizer", *words, f"algorithm={algorithm}")
        words = [
            f"input={options.corpus}",
            f"tokenizer={place / 'tokenizer'}",
            f"output={place / 'tokens'}",
        ]
        command("pack", *words)
    lengths = {name: tokens_per_byte(options.output / name / "tokens") for name in options.algorithms}
    runs = [
        Run(algorithm, budget, seed, round(options.steps * share))
        for seed in range(options.seeds)
        for budget in ("compute", "text")
        for algorithm in (options.algorithms if budget == "compute" else others)
        for share in (1.0 if budget == "compute" else lengths[algorithm] / lengths[first],)
    ]
    with ThreadPoolExecutor(options.parallel) as pool:
        scored = pool.map(lambda run: train(run, options.output, options.heldout, options.words), runs)
        results: dict[tuple[str, str], list[dict[str, float]]] = {}
        for run, score in zip(runs, scored, strict=True):
            print(run, score, flush=True)
            results.setdefault((run.budget, run.algorithm), []).append(score)
    names = [path.stem for path in options.heldout]
    print(f"\nbits per byte, mean of {options.seeds} seeds (deviation); {options.vocab_size:,} tokens")
    print(f"{'same':9}{'algorithm':20}{'tokens/byte':>12}" + "".join(f"{name:>18}" for name in names))
    for (budget, algorithm), scores in results.items():
        columns = ""
        for name in names:
            values = [score[name] for score in scores]
            spread = stdev(values) if len(values) > 1 else 0.0
            columns += f"{mean(values):10.4f} ({spread:.4f})"
        print(f"{budget:9}{algorithm:20}{lengths[algorithm]:12.4f}{columns}")


if __name__ == "__main__":
    main()
