"""What answers are worth that no model has to write: nothing, the question again, one fixed text."""

from __future__ import annotations

from collections import Counter

from onnuri.base.errors import UserError
from onnuri.chat.programmed.answers import final_line, final_value
from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.grade import grade
from onnuri.chat.programmed.make import tasks

TRAINING_TASKS = 300
"""Of a family, among whose answers the most frequent is looked for; fewer where it has fewer."""


def fixed_answer(family: str, difficulty: int, seed: int) -> str:
    """The text that is most often the right answer in the training split; the first of equals.

    Where a final line is asked for, answers with the same one count as one: what goes before is free.
    """
    counted: Counter[str] = Counter()
    try:
        for task in tasks(family, TRAINING_TASKS, "train", difficulty, seed):
            value = final_value(task.answer)
            counted[task.answer if value is None else final_line(value)] += 1
    except UserError:
        if not counted:
            raise
    return counted.most_common(1)[0][0]


def floors(task: Task, fixed: str) -> dict[str, int]:
    """The score of each on a task."""
    answers = {"empty": "", "echo": task.prompt, "fixed": fixed}
    return {name: grade(task, answer).score for name, answer in answers.items()}
