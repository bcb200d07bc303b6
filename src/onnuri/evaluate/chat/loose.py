"""IFEval's loose reading: an answer also passes without its first or last line, or without emphasis.

Zhou et al. 2023 (arXiv 2311.07911), section 3: three changes and their combinations, eight readings in all.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.grade import grade

FAMILY = "forms"
"""The family that is read so: its tasks are Korean instructions that a program can verify."""


def readings(answer: str) -> Iterator[str]:
    """The answer, then without first line, last line, both; then each without marks of emphasis."""
    lines = answer.strip().split("\n")
    cuts = [lines, lines[1:], lines[:-1], lines[1:-1]]
    for text in ("\n".join(cut).strip() for cut in cuts):
        yield text
        yield text.replace("*", "").replace("__", "")


def loose(task: Task, answer: str) -> int:
    """1 if any reading is right."""
    return max(grade(task, reading).score for reading in readings(answer))
