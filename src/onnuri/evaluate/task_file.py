"""Task files: a benchmark in ten lines of YAML. Which file, which columns, how a row becomes texts.

Templates and expressions are Jinja's, in its sandbox: a task file from elsewhere cannot run code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from onnuri.base.errors import UserError, check_choice, nearest
from onnuri.config.mapping import from_mapping

TASKS = Path(__file__).parent / "tasks"
METRICS = (
    *("accuracy", "accuracy_chars", "accuracy_bytes", "accuracy_pmi", "macro_f1", "bits_per_byte"),
    "exposure",
)


@dataclass
class TaskFile:
    """The keys of a task file."""

    title: str
    """Name in reports."""
    data: str
    """Data file or pattern: .jsonl, .json, .csv, .tsv or .parquet, also .gz; relative to `tasks_dir` for
    tasks that come with Onnuri, to the task file for others."""
    columns: list[str]
    """Columns that every row must have."""
    title_ko: str = ""
    """The same in Korean; empty: `title`."""
    choices: list[str] = field(default_factory=list)
    """Templates of the answers. A single one without a label is a text whose bits per byte are wanted."""
    choices_from: str = ""
    """Instead of `choices`: an expression that is a list of texts."""
    context: str = ""
    """Template of what stands before the answer; empty: the answer follows the separator token."""
    delimiter: str = " "
    """Between context and answer."""
    label: str = ""
    """Expression: the index of the right answer, or its text."""
    values: dict[str, str] = field(default_factory=dict)
    """Names for expressions, to use in the others."""
    where: str = ""
    """Expression: rows for which it is false do not belong to the task."""
    item: str = ""
    """Expression: an item's name; empty: file and row."""
    group: str = ""
    """Expression: the subject, scored by itself as well."""
    cluster: str = ""
    """Expression that is the same for items of one passage or template: no independent evidence."""
    chat: bool = False
    """The context is a user's turn and the answer the assistant's, as `onnuri chat` renders them."""
    repeat: int = 1
    """Items of each row, which expressions tell apart by `turn`, from 0: the choices in another order."""
    pair: str = ""
    """Expression that is the same for rows to set against each other, such as the question. `label` is then
    whether a row's answer is a better one. An item is a better and another answer, in the order of rows."""
    biased: str = ""
    """Expression: the index, or the text, of the answer that a prejudice gives."""
    unknown: str = ""
    """The same of the answer that nobody can know, which is the right one in ambiguous contexts."""
    shots: int = 0
    """Solved examples before each item: the first of `shots_data`, of its group if there are groups."""
    shots_data: str = ""
    """File or pattern of the examples."""
    shots_delimiter: str = "\n\n"
    """Between examples."""
    metric: str = "accuracy"
    """Headline: accuracy (likelihood as it is), accuracy_chars or accuracy_bytes (by length of the answer),
    accuracy_pmi (against the answer alone), macro_f1, bits_per_byte of the right answer, or exposure (bits
    by which its rank is better than the last one's; group `planted`, and others as the control)."""
    formulation: str = "cloze"
    """cloze: the answers' own texts; letter: a letter or number that stands for one."""
    licence: str = "not stated"
    """Of the data."""
    url: str = ""
    """Where the data is to be had."""
    note: str = ""
    """What readers of the score should know."""
    extends: str = ""
    """Task whose keys this one changes."""

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_choice("formulation", self.formulation, ("cloze", "letter"))
        if bool(self.choices) == bool(self.choices_from):
            raise UserError("a task has either choices or choices_from")
        if not self.label and (len(self.choices) != 1 or self.metric != "bits_per_byte"):
            raise UserError("label is missing (only a single choice with metric: bits_per_byte has none)")
        if bool(self.biased) != bool(self.unknown):
            raise UserError("biased and unknown go together")
        if self.pair and (self.biased or self.shots or self.metric == "exposure" or len(self.choices) != 1):
            raise UserError("pair goes with a single choice, and neither with biased, shots nor exposure")
        if not 1 <= self.repeat <= 100:
            raise UserError(f"repeat={self.repeat} must be from 1 to 100")
        if self.chat and (self.shots or self.metric == "accuracy_pmi"):
            raise UserError("chat goes neither with shots nor with accuracy_pmi")
        if self.shots < 0 or (self.shots > 0) != bool(self.shots_data):
            raise UserError("shots and shots_data go together")


@dataclass(frozen=True)
class Task:
    """A task file that was read."""

    name: str
    file: TaskFile
    folder: Path | None
    """What `data` is relative to; None: the command's `tasks_dir`."""


def names() -> list[str]:
    """The tasks that come with Onnuri."""
    return sorted(str(path.relative_to(TASKS).with_suffix("")) for path in TASKS.rglob("*.yaml"))


def load(name: str) -> Task:
    """A task by its name or the path of its file. Raises UserError if there is none, or it is not valid."""
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else TASKS / f"{name}.yaml"
    if not path.is_file():
        if own:
            raise UserError(f"tasks: {name} does not exist")
        if name.startswith("/") or Path(name).suffix:
            raise UserError(f"tasks: {name} is no task file; a task is named, or described in a .yaml file")
        known = ["kopairs", *names()]
        raise UserError(f"tasks: '{name}' is no task{nearest(name, known)}; see onnuri evaluate list")
    return Task(
        path.stem if own else name,
        from_mapping(TaskFile, _keys(path, ()), f"task {path}", {}),
        path.parent if own else None,
    )


def _keys(path: Path, through: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a file over those of the task it extends."""
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"task {path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(written, dict):
        raise UserError(f"task {path} must be a mapping")
    base = written.get("extends")
    if not base:
        return written
    if base in through or not isinstance(base, str) or base not in names():
        raise UserError(
            f"task {path}: extends: '{base}' is no task that comes with Onnuri{nearest(str(base), names())}"
        )
    keys = _keys(TASKS / f"{base}.yaml", (*through, base))
    if "choices" in written or "choices_from" in written:
        keys = {key: value for key, value in keys.items() if key not in ("choices", "choices_from")}
    return keys | written


KEYS = tuple(each.name for each in fields(TaskFile))
