"""Fit the law that `onnuri plan` expects scores by, on runs of benchmarks/recipe.py of several sizes.

    python benchmarks/law.py DIR... [--held-out 2] [--update]

DIR are folders with run directories in them, at any depth. The runs with the most FLOPs are held out of the
fit; how far the law is from them is printed. --update writes src/onnuri/plan/law.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from onnuri.model.config import ModelConfig
from onnuri.plan.law import LAW_FILE, Law, Point, fit
from onnuri.run.metrics_file import METRICS_FILE, read_metrics


def finished(folder: Path) -> dict[str, Any] | None:
    """Parameters, tokens and scores of a run that reached its last step."""
    config = json.loads((folder / "run.json").read_text())["config"]
    lines = [line for line in read_metrics(folder) if line["step"] == config["train"]["steps"]]
    scores = [line["bits_per_byte"] for line in lines if line.get("bits_per_byte")]
    if not scores:
        return None
    model = ModelConfig(**config["model"])
    step = config["train"]["global_batch_size"] * config["data"]["sequence_length"]
    run = {
        "parameters": model.num_parameters(),
        "width": model.hidden_size,
        "tokens": config["train"]["steps"] * step,
    }
    return run | {name: round(value, 4) for name, value in sorted(scores[-1].items())}


def points(runs: list[dict[str, Any]], language: str) -> list[Point]:
    """For one language."""
    return [Point(run["parameters"], run["tokens"], run[language]) for run in runs]


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--held-out", type=int, default=2)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    places = {path.parent for folder in options.folders for path in folder.rglob(METRICS_FILE)}
    runs = [run for place in sorted(places) if (run := finished(place))]
    runs.sort(key=lambda run: (run["parameters"] * run["tokens"], run["parameters"]))
    languages = [name for name in runs[0] if name not in ("parameters", "width", "tokens")] if runs else []
    fitted, held_out = runs[: -options.held_out or None], runs[len(runs) - options.held_out :]
    try:
        laws = {language: fit(points(fitted, language)) for language in languages}
    except ValueError as error:
        sys.exit(str(error))
    print("| parameters | tokens | " + " | ".join(f"{each} | law" for each in languages) + " |")
    print("| --: | --: |" + " --: | --: |" * len(languages))
    for run in runs:
        cells = [f"{run['parameters']:,}", f"{run['tokens']:,}"]
        for language in languages:
            expected = laws[language].bits_per_byte(run["parameters"], run["tokens"])
            cells += [f"{run[language]:.3f}", f"{expected / run[language] - 1:+.1%}"]
        print(f"| {' | '.join(cells)} |{' held out' if run in held_out else ''}")
    for language, law in laws.items():
        print(f"\n{language}: {describe(law)}")
    if options.update:
        stored = {"runs": fitted, "held_out": held_out, "laws": {k: v._asdict() for k, v in laws.items()}}
        LAW_FILE.write_text(json.dumps(stored, indent=1) + "\n")


def describe(law: Law) -> str:
    """The formula with its numbers."""
    return f"{law.floor:.3f} + {law.a:.4g} / N^{law.alpha:.2f} + {law.b:.4g} / D^{law.beta:.2f}"


main()
