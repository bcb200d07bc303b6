"""Which recipe learns most: candidates trained alike at several sizes, in bits per byte of held-out text.

    python benchmarks/recipe.py --data TOKENS_DIR --output DIR --only adamw muon --sizes small --seeds 3

A candidate is a name in benchmarks/recipe.yaml with overrides of scripts/pretrain.py. Every run of a size
has the same model and tokens, so the same FLOPs; with --equal time a candidate gets as many steps as it can
take in the time of the first candidate, by the step times of the runs at equal FLOPs, which come first.
The candidates of a seed run one after another on the same machine, in an order that changes from seed to
seed; --parallel of them at once, a core each. Differences are paired by seed, against the first candidate.
Started again on the same output, it resumes: runs where they stopped, finished ones are read; other words
make other runs.

Sizes small (5.2M parameters) and large (18.9M) are for CPUs; sample is the run of `make pretrain` (its
shards, --tokens-per-parameter 0.4); 100m and 300m, presets of those names, are for one GPU (--parallel 1).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import numpy as np
import yaml

from onnuri.run.metrics_file import read_metrics

ROOT = Path(__file__).resolve().parents[1]


def shape(hidden: int, layers: int, heads: int, inner: int) -> list[str]:
    """A model of heads of 64 with two queries for a key."""
    sizes = {
        "hidden_size": hidden,
        "num_layers": layers,
        "num_heads": heads,
        "num_kv_heads": max(1, heads // 2),
        "head_dim": 64,
        "intermediate_size": inner,
    }
    return [f"model.{name}={size}" for name, size in sizes.items()]


class Size(NamedTuple):
    """A model, and how it is fed."""

    parameters: float
    words: list[str]


CPU = [
    "data.sequence_length=256",
    "train.global_batch_size=16",
    "engine.stage=0",
    "engine.threads_per_rank=1",
]
GPU = ["data.sequence_length=1024", "train.global_batch_size=64", "engine.stage=1"]
SAMPLE = [
    "experiment=sample",
    "data.sequence_length=256",
    "train.global_batch_size=4",
    "evaluation.tasks=[]",
    "engine.stage=0",
    "engine.threads_per_rank=1",
]
SIZES = {
    "sample": Size(3.1e6, SAMPLE),
    "width64": Size(7.2e5, [*shape(64, 4, 1, 192), *CPU]),
    "width128": Size(1.8e6, [*shape(128, 4, 2, 384), *CPU]),
    "small": Size(5.2e6, [*shape(256, 4, 4, 768), *CPU]),
    "large": Size(18.9e6, [*shape(512, 5, 8, 1408), *CPU]),
    "width768": Size(3.5e7, [*shape(768, 4, 12, 2048), *CPU]),
    "100m": Size(1e8, ["model=100m", *GPU]),
    "300m": Size(3e8, ["model=300m", *GPU]),
}


class Run(NamedTuple):
    """One model to train."""

    size: str
    candidate: str
    seed: int
    steps: int
    equal: str


class Score(NamedTuple):
    """What came of it."""

    bits_per_byte: dict[str, float]
    """By language."""
    step_seconds: float
    """Median."""


def train(run: Run, words: list[str], options: argparse.Namespace) -> Score:
    """Train a model, or read what came of it."""
    chosen = [*SIZES[run.size].words, *words, *options.words, f"data={options.data}"]
    digest = hashlib.sha256(" ".join(chosen).encode()).hexdigest()[:8]
    place = options.output / run.size / run.candidate / f"{run.equal}-{run.steps}-seed{run.seed}-{digest}"
    if not (score := scored(place, run.steps)):
        place.parent.mkdir(parents=True, exist_ok=True)
        log_file = place.with_name(f"{place.name}.log")
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            str(ROOT / "scripts" / "pretrain.py"),
            f"run_dir={place}",
            f"data.seed={run.seed}",
            f"train.seed={run.seed}",
            f"train.steps={run.steps}",
            "train.validate_every=0",
            f"train.validation_tokens={options.validation_tokens}",
            f"train.checkpoint_every={options.checkpoint_every}",
            "train.keep_checkpoints=1",
            *chosen,
        ]
        with log_file.open("a") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            result = subprocess.run(command, stdout=log, stderr=log, check=False, env=environment)
        score = scored(place, run.steps)
        if result.returncode or not score:
            sys.exit(f"{' '.join(command)} failed: see {log_file}")
        for folder in [] if options.keep else list((place / "checkpoints").glob("step-*")):
            shutil.rmtree(folder)
    print(f"{run.size} {run.candidate} {run.equal} seed {run.seed}: {describe(score)}", flush=True)
    return score


def scored(place: Path, steps: int) -> Score | None:
    """The scores of a run that has reached its last step."""
    lines = read_metrics(place)
    found = [line["bits_per_byte"] for line in lines if line["step"] == steps and "bits_per_byte" in line]
    seconds = [line["seconds"] for line in lines if "seconds" in line]
    return Score(found[-1], median(seconds)) if found else None


def describe(score: Score) -> str:
    """One line."""
    bits = ", ".join(f"{name} {value:.4f}" for name, value in score.bits_per_byte.items())
    return f"{bits} bits per byte, {1000 * score.step_seconds:.0f} ms a step"


def p_value(differences: list[float]) -> float:
    """Of Student's paired t-test, two-sided. nan for fewer than two pairs."""
    n = len(differences)
    if n < 2 or not stdev(differences):
        return math.nan
    t = abs(mean(differences)) / (stdev(differences) / n**0.5)
    x = np.linspace(0, t, 20001)
    scale = math.gamma(n / 2) / math.gamma((n - 1) / 2) / ((n - 1) * math.pi) ** 0.5
    return 1 - 2 * float(np.trapezoid(scale * (1 + x * x / (n - 1)) ** (-n / 2), x))


def table(
    size: str, equal: str, scores: dict[str, dict[int, Score]], shares: dict[str, float]
) -> list[str]:
    """Rows of a Markdown table: each candidate beside the first."""
    base = next(iter(scores.values()))
    languages = sorted(next(iter(base.values())).bits_per_byte)
    lines = [
        f"\n{size}, equal {equal}\n",
        "| candidate | steps | seeds | "
        + " | ".join(f"{each} | to first | p" for each in languages)
        + " | step time |",
        "| --- | --: | --: |" + " --: |" * (3 * len(languages) + 1),
    ]
    for name, by_seed in scores.items():
        seeds = [seed for seed in by_seed if seed in base]
        cells = []
        for language in languages:
            values = [by_seed[seed].bits_per_byte[language] for seed in seeds]
            pairs = [
                value - base[seed].bits_per_byte[language]
                for seed, value in zip(seeds, values, strict=True)
            ]
            spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
            relative = mean(pairs) / mean(base[seed].bits_per_byte[language] for seed in seeds)
            chance = p_value(pairs)
            cells += [
                f"{mean(values):.4f}{spread}",
                f"{relative:+.2%}" if pairs and name != next(iter(scores)) else "",
                "" if math.isnan(chance) else f"{chance:.3f}",
            ]
        times = [by_seed[seed].step_seconds / base[seed].step_seconds for seed in seeds]
        lines.append(
            f"| {name} | {shares[name]:.2f} | {len(seeds)} | {' | '.join(cells)} | {median(times):.2f} |"
        )
    return lines


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="token shards with a held-out split")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--candidates", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument(
        "--only", nargs="+", required=True, help="the first is what others are compared with"
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tokens-per-parameter", type=float, default=4.0)
    parser.add_argument("--equal", choices=("flops", "time"), default="flops")
    parser.add_argument("--parallel", type=int, default=2, help="models trained at once, a core each")
    parser.add_argument("--validation-tokens", type=int, default=1 << 18, help="per language")
    parser.add_argument("--checkpoint-every", type=int, default=500, help="0: a run cut short starts anew")
    parser.add_argument("--keep", action="store_true", help="keep the last checkpoint of each run")
    parser.add_argument("words", nargs="*", help="overrides for all runs")
    options = parser.parse_args()
    known: dict[str, Any] = yaml.safe_load(options.candidates.read_text())
    if missing := [name for name in options.only if name not in known]:
        sys.exit(f"{options.candidates} has no candidate {missing[0]}; it has {', '.join(known)}")
    words = {name: [str(word) for word in known[name].get("words", [])] for name in options.only}
    shares = {name: float(known[name].get("steps", 1.0)) for name in options.only}
    results: dict[str, Any] = {}
    with ThreadPoolExecutor(options.parallel) as pool:
        for size in options.sizes:
            settings = dict(
                word.split("=", 1) for word in [*SIZES[size].words, *options.words] if "=" in word
            )
            tokens = int(settings["data.sequence_length"]) * int(settings["train.global_batch_size"])
            steps = round(SIZES[size].parameters * options.tokens_per_parameter / tokens)

            def run_all(size: str, equal: str, lengths: dict[str, int]) -> dict[str, dict[int, Score]]:
                runs = []
                for seed in range(options.seeds):
                    names = (
                        options.only[seed % len(options.only) :] + options.only[: seed % len(options.only)]
                    )
                    runs += [Run(size, name, seed, lengths[name], equal) for name in names]
                found = list(pool.map(lambda run: train(run, words[run.candidate], options), runs))
                return {
                    name: {
                        run.seed: score
                        for run, score in zip(runs, found, strict=True)
                        if run.candidate == name
                    }
                    for name in options.only
                }

            scores = run_all(size, "flops", {name: round(steps * shares[name]) for name in options.only})
            if options.equal == "time":
                print("\n".join(table(size, "flops", scores, shares)), flush=True)
                base = median(each.step_seconds for each in scores[options.only[0]].values())
                shares = {
                    name: base / median(each.step_seconds for each in scores[name].values())
                    for name in options.only
                }
                scores = run_all(size, "time", {name: round(steps * shares[name]) for name in options.only})
            results[size] = {
                name: {seed: score._asdict() for seed, score in by_seed.items()}
                for name, by_seed in scores.items()
            }
            print("\n".join(table(size, options.equal, scores, shares)), flush=True)
    (options.output / "recipe.json").write_text(json.dumps(results, indent=1))


main()
