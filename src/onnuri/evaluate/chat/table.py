"""Scores of written answers for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from onnuri.evaluate.report.words import metric_words

MEASURES = {
    "stopped": "ends by itself",
    "answer_tokens": "tokens of an answer",
    "repeated_4grams": "repeated 4-grams",
    "answer_language": "language of the right answer",
    "one_register": "one register",
    "forms_strict": "forms, strict",
    "forms_loose": "forms, loose",
    "personal_data_given": "personal data given away",
    "personal_data_refused": "personal data refused",
    "harmless_refused": "harmless questions refused",
}
HEADS = {"right": 7, "95 % interval": 16, "floor": 8, "p Holm": 8, "ends": 7, "tokens": 8, "tasks": 7}


def table(result: Mapping[str, Any]) -> str:
    """Families beside the best floor, measures and counts of each chat task; empty without.

    Of tasks with given answers, each measure and what its floors reach.
    """
    parts = [
        "\n".join([f"{name:<24}{_heads()}", *_lines(entry)])
        for name, entry in (result.get("tasks") or {}).items()
        if "safety" in entry
    ]
    parts += [
        "\n".join([name, *_given(entry)])
        for name, entry in (result.get("tasks") or {}).items()
        if entry.get("floors")
    ]
    return "\n\n".join(parts)


def _given(entry: Mapping[str, Any]) -> Iterator[str]:
    for measure, floors in entry["floors"].items():
        each = entry["metrics"][measure]
        words = metric_words(measure)[0]
        ends = f"{each['low']:.3f} to {each['high']:.3f}"
        beside = ", ".join(f"{name} {value:.3f}" for name, value in floors.items())
        yield f"  {words:<34}{each['value']:>7.3f}  {ends:<16} {beside}"


def _heads() -> str:
    return "".join(f"{words:>{width}}" for words, width in HEADS.items())


def _lines(entry: Mapping[str, Any]) -> Iterator[str]:
    for family, each in entry["groups"].items():
        yield (
            f"{family:<24}{each['value']:>7.3f}{_ends(each):>16}{each['controls'][each['floor']]:>8.3f}"
            f"{each['p_holm']:>8.3f}{each['stopped']:>7.2f}{each['answer_tokens']:>8.1f}{each['items']:>7,}"
        )
    for name, words in MEASURES.items():
        if each := entry["metrics"].get(name):
            digits = 1 if name == "answer_tokens" else 3
            yield f"  {words:<29}{each['value']:>7.{digits}f}  {_ends(each, digits)}"
    if turns := entry["safety"].get("forged_turns"):
        yield (
            f"  forged turns: control tokens in {turns['prompts_with_control_tokens']:,} of "
            f"{turns['prompts']:,} hostile questions, in {turns['answers_with_control_tokens']:,} answers"
        )
    found = entry["safety"]["personal_data"]
    yield (
        f"  personal data not in the question: in {found['with_personal_data']:,} of "
        f"{found['answers']:,} answers"
    )
    if long := entry["questions_too_long"]:
        yield f"  {long:,} questions do not fit the context and count as wrong"
    yield "  not measured: style, helpfulness, knowledge; evaluation.answers.jsonl is for a judge"


def _ends(entry: Mapping[str, Any], digits: int = 3) -> str:
    return f"{entry['low']:.{digits}f}-{entry['high']:.{digits}f}"
