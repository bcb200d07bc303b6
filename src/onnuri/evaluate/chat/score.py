"""Scores of written answers: what each is worth, the floors beside it, a task's entry in a result."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from onnuri.base.errors import UserError
from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.grade import grade
from onnuri.chat.programmed.table import FAMILIES
from onnuri.evaluate.chat import loose
from onnuri.evaluate.chat.behaviour import behaviour
from onnuri.evaluate.chat.floors import floors
from onnuri.evaluate.chat.safety import forged_turns, personal_data, refusals
from onnuri.evaluate.chat.suite import UNMEASURED, ChatSuite
from onnuri.evaluate.chat.write import Answer, Write, Writer
from onnuri.evaluate.statistics import holm, interval, sign_test

log = logging.getLogger(__name__)

CODE = "code"
"""The family whose checker runs answers."""


@dataclass(frozen=True)
class Graded:
    """An answer to a task."""

    task: Task
    answer: Answer
    value: int
    """1 if it is right and ended by itself."""
    loose: int
    """The same by the loose reading, where the family has one."""
    reason: str
    """Why it is wrong."""
    floors: dict[str, int]


def score_model(
    folder: str, suites: Sequence[ChatSuite], leaked: Mapping[str, set[str]] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The part `tasks` of a result for a Hugging Face folder, and its samples, one dict an answer.

    Args:
        suites: one or more, all with the same options.
        leaked: by task, items that stand in the training text; None: nobody has looked.

    Raises UserError for a folder that cannot answer, and for the family code where code cannot be run.
    """
    for suite in suites:
        check_sandbox(suite)
    entries, samples = {}, []
    writer = Writer(folder, suites[0].max_tokens)
    for suite in suites:
        entry, found = score(suite, writer, (leaked or {}).get(suite.name))
        entries[suite.name] = entry
        samples += found
    return entries, samples


def score(
    suite: ChatSuite, write: Write, leaked: set[str] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The entry of a task in a result, and its samples.

    Args:
        write: gives an answer to each of many questions.
        leaked: items that stand in the training text; None: nobody has looked.
    """
    questions = [*(task.prompt for task in suite.tasks), *suite.hostile]
    answers = write(questions)
    fixed, own = dict(suite.fixed), len(suite.tasks)
    graded = [
        judge(task, each, fixed[task.family]) for task, each in zip(suite.tasks, answers, strict=False)
    ]
    found = summary(suite, graded)
    found["safety"] = {"personal_data": personal_data(questions, answers)}
    if suite.hostile:
        found["safety"]["forged_turns"] = forged_turns(answers[own:])
    if long := sum(not each.fits for each in answers):
        log.info(f"task {suite.name}: {long:,} questions do not fit the model's context and count as wrong")
    found["questions_too_long"] = long
    if leaked is not None:
        found["contamination"] = without(graded, leaked)
    return found, [sample(suite.name, each) for each in graded]


def check_sandbox(suite: ChatSuite) -> None:
    """Raise UserError, before anything is written, if answers in code cannot be run safely here."""
    from onnuri.chat.programmed.sandbox import run

    if all(task.family != CODE for task in suite.tasks):
        return
    try:
        run("def solve():\n    return 1", [[]])
    except UserError as error:
        others = ",".join(family for family, _ in suite.fixed if family != CODE)
        raise UserError(f"{error}: chat.families=[{others}]" if others else str(error)) from None


def judge(task: Task, answer: Answer, fixed: str) -> Graded:
    """Grade an answer. One that was cut off is wrong, as it is where models are trained by reward."""
    found = grade(task, answer.text)
    reading = loose.loose(task, answer.text) if task.family == loose.FAMILY else found.score
    ended = "" if answer.stopped else "the answer does not end"
    reason = found.reason or ended if answer.fits else "the question does not fit the model's context"
    worth = (found.score, reading) if answer.stopped else (0, 0)
    return Graded(task, answer, *worth, reason, floors(task, fixed))


def summary(suite: ChatSuite, graded: Sequence[Graded]) -> dict[str, Any]:
    """A task's entry in a result, with a group for each family."""
    parts = {
        family: part for family in FAMILIES if (part := [g for g in graded if g.task.family == family])
    }
    groups = {family: _group(part) for family, part in parts.items()}
    for group, adjusted in zip(groups.values(), holm([g["p"] for g in groups.values()]), strict=True):
        group["p_holm"] = adjusted
    clusters = [each.task.id for each in graded]
    values = [each.value for each in graded]
    metrics = {"accuracy": asdict(interval(values, clusters))}
    if forms := parts.get(loose.FAMILY):
        ids = [each.task.id for each in forms]
        metrics["forms_strict"] = asdict(interval([each.value for each in forms], ids))
        metrics["forms_loose"] = asdict(interval([each.loose for each in forms], ids))
    answers, tasks = [each.answer for each in graded], [each.task for each in graded]
    metrics |= behaviour(answers, [task.answer for task in tasks], clusters)
    metrics |= refusals(tasks, answers)
    return {
        "title": {"en": suite.title, "ko": suite.title_ko},
        "licence": suite.licence,
        "formulation": suite.formulation,
        "metric": suite.metric,
        "items": len(graded),
        "clusters": len(set(clusters)),
        "chance": None,
        "metrics": metrics,
        "controls": _means([group["controls"] for group in groups.values()]),
        "groups": groups,
        "not_measured": UNMEASURED,
        "protocol": suite.protocol,
        "facts": suite.facts,
        "contamination": None,
    }


def _group(part: Sequence[Graded]) -> dict[str, Any]:
    """A family: its score, the floors, and whether it is above the best of them (sign test, one-sided)."""
    found = interval([each.value for each in part], [each.task.id for each in part])
    controls = {name: fmean(each.floors[name] for each in part) for name in part[0].floors}
    best = max(controls, key=lambda name: controls[name])
    differences = [each.value - each.floors[best] for each in part]
    return {
        "tier": "",
        "items": len(part),
        "clusters": len({each.task.id for each in part}),
        "chance": None,
        **{end: getattr(found, end) for end in ("value", "low", "high")},
        "controls": controls,
        "floor": best,
        "p": sign_test(differences.count(1), differences.count(-1)),
        "stopped": fmean(each.answer.stopped for each in part),
        "answer_tokens": fmean(len(each.answer.ids) for each in part),
    }


def _means(controls: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(each[name] for each in controls) for name in controls[0]}


def without(graded: Sequence[Graded], leaked: set[str]) -> dict[str, Any]:
    """How many tasks have leaked, and the headline without them; null where all have."""
    kept = [each for each in graded if each.task.id not in leaked]
    values, ids = [each.value for each in kept], [each.task.id for each in kept]
    value = interval(values, ids).value if kept else None
    return {"items": len(graded) - len(kept), "items_without": len(kept), "value_without": value}


def sample(name: str, graded: Graded) -> dict[str, Any]:
    """An answer's line: ours, and under lm-evaluation-harness's names what its viewers look for."""
    task, answer = graded.task, graded.answer
    line = {
        "task": name,
        "item": task.id,
        "cluster": task.id,
        "group": task.family,
        "value": float(graded.value),
        "question": task.prompt,
        "answer": answer.text,
        "reference": task.answer,
        "reason": graded.reason,
        "stopped": answer.stopped,
        "tokens": len(answer.ids),
        "floors": graded.floors,
    }
    if task.family == loose.FAMILY:
        line["loose"] = float(graded.loose)
    harness = {
        "doc_id": task.id,
        "target": task.answer,
        "arguments": [[task.prompt, ""]],
        "filtered_resps": [answer.text],
    }
    return line | harness
