"""The files of an evaluation: the result, its samples and its page, side by side."""

from __future__ import annotations

from pathlib import Path

RESULT = "evaluation.json"
SAMPLES, ANSWERS, PAGE = ".samples.jsonl", ".answers.jsonl", ".html"


def samples_path(result: Path) -> Path:
    """`evaluation.samples.jsonl` beside `evaluation.json`."""
    return result.with_name(result.name.removesuffix(".json") + SAMPLES)


def answers_path(result: Path) -> Path:
    """`evaluation.answers.jsonl` beside `evaluation.json`."""
    return result.with_name(result.name.removesuffix(".json") + ANSWERS)


def page_path(result: Path) -> Path:
    """`evaluation.html` beside `evaluation.json`."""
    return result.with_name(result.name.removesuffix(".json") + PAGE)
