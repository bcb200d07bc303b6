"""The score of an answer: the guards that hold for every family, then the family's own checker."""

from __future__ import annotations

from onnuri.chat.programmed.answers import copies_prompt, normalised
from onnuri.chat.programmed.family import Result, Task, wrong
from onnuri.chat.programmed.table import FAMILIES


def grade(task: Task, answer: str) -> Result:
    """1 for a right answer, 0 for anything else, with the reason."""
    answer = normalised(answer)
    if not answer.strip():
        return wrong("the answer is empty")
    if copies_prompt(task.prompt, answer):
        return wrong("the answer repeats the prompt")
    return FAMILIES[task.family].check(task, answer)
