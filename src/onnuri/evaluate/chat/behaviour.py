"""How answers are written: whether they end, repeat themselves, keep to one register and language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from onnuri.evaluate.chat.write import Answer
from onnuri.evaluate.statistics import interval, ratio_interval

REPEATED = 4
"""Length of the runs of tokens that count as repeated."""


def repeats(ids: Sequence[int]) -> tuple[int, int]:
    """Of the runs of four tokens in an answer, how many stand there before, and how many there are."""
    runs = [tuple(ids[start : start + REPEATED]) for start in range(len(ids) - REPEATED + 1)]
    return len(runs) - len(set(runs)), len(runs)


def behaviour(
    answers: Sequence[Answer], references: Sequence[str], clusters: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Measures with their intervals; those that no answer says anything about are left out.

    stopped: answers that ended by themselves. answer_tokens: their mean length. repeated_4grams: of the
    runs of four tokens, those that stand in the same answer before. answer_language: answers in the
    language of the right one. one_register: of the answers in which a register is found, those with one.
    """
    described, wanted = (_described(texts) for texts in ([each.text for each in answers], references))
    counts = [repeats(each.ids) for each in answers]
    registers = [each["register"] for each in described]
    kept = [float(found["lang"] == right["lang"]) for found, right in zip(described, wanted, strict=True)]
    lengths = [len(each.ids) for each in answers]
    longest = float(max(lengths, default=0)) or 1.0
    measures: dict[str, Any] = {
        "stopped": interval([float(each.stopped) for each in answers], clusters),
        "answer_tokens": interval(lengths, clusters, bounds=(0.0, longest)),
        "answer_language": interval(kept, clusters),
    }
    # Answers that say nothing are left out first: a draw of such answers alone would be 0 by 0.
    if runs := [(*count, cluster) for count, cluster in zip(counts, clusters, strict=True) if count[1]]:
        repeated, total, named = zip(*runs, strict=True)
        measures["repeated_4grams"] = ratio_interval(repeated, total, named, bounds=(0.0, 1.0))
    if judged := [
        (each != "mixed", c) for each, c in zip(registers, clusters, strict=True) if each != "none"
    ]:
        one, named = zip(*judged, strict=True)
        measures["one_register"] = interval([float(each) for each in one], named)
    return {name: asdict(value) for name, value in measures.items()}


def _described(texts: Sequence[str]) -> list[dict[str, Any]]:
    import pyarrow as pa

    from onnuri.corpus.stages.describe.measures import describe

    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    found: list[dict[str, Any]] = describe(
        pa.array(clean, pa.string()), pa.nulls(len(clean), pa.string())
    ).to_pylist()
    return found
