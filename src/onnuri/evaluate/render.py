"""The items of a task: each row of its files through the templates of its task file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from onnuri.base.errors import UserError
from onnuri.evaluate import rows
from onnuri.evaluate.items import Item, Request
from onnuri.evaluate.task_file import Task, TaskFile

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
Expression = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Question:
    """A row, read."""

    name: str
    context: str
    answers: tuple[str, ...]
    label: int | None
    group: str
    cluster: str
    biased: int | None = None
    unknown: int | None = None
    pair: str = ""
    better: bool = False
    """Of a pair: whether this is the better answer."""


class _Row(dict[str, Any]):
    """A row by its column names; a column that only some files have is None."""

    def __missing__(self, key: str) -> None:
        return None


class Reader:
    """The templates of a task file, compiled."""

    def __init__(self, task: Task) -> None:
        file = task.file
        self.task, self.file = task, file
        self.values = {name: self._expression(text) for name, text in file.values.items()}
        self.where = self._expression(file.where or "true")
        self.context = self._template(file.context)
        self.choices = [self._template(text) for text in file.choices]
        self.choices_from = self._expression(file.choices_from or "[]")
        self.label, self.biased, self.unknown = (
            self._expression(text or "none") for text in (file.label, file.biased, file.unknown)
        )
        self.pair = self._expression(file.pair or "''")
        self.name, self.group, self.cluster = (
            self._expression(text or "''") for text in (file.item, file.group, file.cluster)
        )

    def questions(self, pattern: str, folder: Path) -> Iterable[Question]:
        """The rows that belong to the task, read. Raises UserError naming file and row."""
        for path in rows.find(pattern, folder, self.task.name):
            for number, row in enumerate(rows.read(path, self.file.columns, self.task.name), start=1):
                where = f"{_stem(path, folder)}:{number}"
                for turn in range(self.file.repeat):
                    try:
                        question = self._question(row, path, where, turn)
                    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                        if isinstance(error, UserError):
                            raise
                        reason = " ".join(str(error).split())[:200]
                        raise UserError(f"task {self.task.name}: {path}, row {number}: {reason}") from None
                    if question:
                        yield question

    def _question(self, row: dict[str, Any], path: Path, where: str, turn: int) -> Question | None:
        scope = {str(key): value for key, value in row.items()}
        scope |= {"row": _Row(row), "folder": path.parent.name, "path": path.as_posix(), "turn": turn}
        for name, expression in self.values.items():
            scope[name] = expression(scope)
        if not self.where(scope):
            return None
        answers = [render(scope) for render in self.choices] or self.choices_from(scope)
        if (
            not isinstance(answers, list)
            or not answers
            or not all(isinstance(each, str) for each in answers)
        ):
            raise ValueError(f"the choices are no list of texts: {answers!r}")
        label, biased, unknown = (
            _index(expression(scope), answers) if text and not self.file.pair else None
            for text, expression in (
                (self.file.label, self.label),
                (self.file.biased, self.biased),
                (self.file.unknown, self.unknown),
            )
        )
        better = bool(self.file.pair and self.label(scope))
        if empty := [number for number, answer in enumerate(answers) if not answer.strip()]:
            raise ValueError(f"answer {empty[0]} is empty")
        group, cluster = str(self.group(scope)), str(self.cluster(scope))
        name = str(self.name(scope)) or where
        cluster = cluster or name
        name += f"#{turn}" if self.file.repeat > 1 else ""
        pair = str(self.pair(scope))
        context, texts = self.context(scope), tuple(answers)
        return Question(name, context, texts, label, group, cluster, biased, unknown, pair, better)

    def _template(self, text: str) -> Callable[[dict[str, Any]], str]:
        try:
            compiled = ENVIRONMENT.from_string(text)
        except TemplateError as error:
            raise UserError(f"task {self.task.name}: {error} in {text!r}") from None
        return compiled.render

    def _expression(self, text: str) -> Expression:
        try:
            return ENVIRONMENT.compile_expression(text, undefined_to_none=False)
        except TemplateError as error:
            raise UserError(f"task {self.task.name}: {error} in {text!r}") from None


def _stem(path: Path, folder: Path) -> str:
    """A file by its path below the folder, without endings: the same however it is packed."""
    below = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return (below.parent / below.name.partition(".")[0]).as_posix()


def _index(label: Any, answers: list[str]) -> int:
    """The index that a label stands for: itself, or where the answer with its text is."""
    if isinstance(label, str):
        if answers.count(label) != 1:
            hint = "; for an index write label: COLUMN | int" if label.strip().isdigit() else ""
            raise ValueError(f"the label {label!r} is not one of {', '.join(answers)!r}{hint}")
        return answers.index(label)
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(answers):
        raise ValueError(f"the label {label!r} is not from 0 to {len(answers) - 1}")
    return label


def items(task: Task, tasks_dir: str) -> list[Item]:
    """All items of a task, in the order of its files. Raises UserError if there are none."""
    folder = task.folder or Path(tasks_dir or ".")
    if task.folder is None and not tasks_dir:
        raise UserError(
            f"task {task.name} needs tasks_dir=DIR with {task.file.data} (onnuri evaluate list)"
        )
    reader, file = Reader(task), task.file
    examples: dict[str, dict[str, str]] = {}
    if file.shots:
        for each in reader.questions(file.shots_data, folder):
            solved = examples.setdefault(each.group, {})
            if len(solved) <= file.shots:
                right = each.answers[each.label or 0]
                solved[each.name] = each.context + file.delimiter + right
    questions = reader.questions(file.data, folder)
    questions = _paired(questions) if file.pair else questions
    found = [_item(question, file, examples) for question in questions]
    if not found:
        what = "pair of a better and another answer" if file.pair else "item"
        raise UserError(f"task {task.name}: {folder / file.data} has no {what}")
    ((name, count),) = Counter(item.name for item in found).most_common(1)
    if count > 1:
        raise UserError(f"task {task.name}: {count} items are called '{name}'")
    return found


def _paired(questions: Iterable[Question]) -> list[Question]:
    """Better answers against others to the same question, in their order; the rest has no counterpart."""
    found: dict[str, tuple[list[Question], list[Question]]] = {}
    for each in questions:
        found.setdefault(each.pair, ([], []))[not each.better].append(each)
    return [
        replace(better, answers=(*better.answers, *other.answers), label=0)
        for both in found.values()
        for better, other in zip(*both, strict=False)
    ]


def _item(question: Question, file: TaskFile, examples: dict[str, dict[str, str]]) -> Item:
    found = examples.get(question.group, {})
    # An item is no example of itself, where both come from one file.
    solved = [text for name, text in found.items() if name != question.name][: file.shots]
    if len(solved) < file.shots:
        raise UserError(
            f"{file.shots_data} has {len(solved)} examples of '{question.group}', not {file.shots}"
        )
    context = file.shots_delimiter.join([*solved, question.context])
    # Without a context there is nothing that the delimiter would stand between.
    delimiter = file.delimiter if context and not file.chat else ""
    measure = "bias" if file.biased else "preference" if file.pair else ""
    return Item(
        question.name,
        tuple(Request(context, delimiter + answer) for answer in question.answers),
        question.label,
        question.group,
        question.cluster,
        answers=question.answers,
        alone=tuple(Request("", delimiter + answer) for answer in question.answers)
        if file.metric == "accuracy_pmi"
        else (),
        measure="exposure" if file.metric == "exposure" else measure,
        biased=question.biased,
        unknown=question.unknown,
    )
