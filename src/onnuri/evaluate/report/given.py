"""Chat tasks with given answers: each measure beside what scorers reach that know nothing of the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnuri.corpus.report.words import escape
from onnuri.evaluate.report.comparable import model_name
from onnuri.evaluate.report.tables import Result, section, table, task_names
from onnuri.evaluate.report.words import both, metric_words, number, outside, task_title, with_interval

FLOORS = {
    "unknown": ("always “unknown”", "항상 ‘알 수 없음’"),
    "first": ("always the first", "항상 첫 보기"),
    "prejudice": ("always the prejudice", "항상 선입견"),
    "shorter": ("the shorter answer", "짧은 답"),
    "longer": ("the longer answer", "긴 답"),
    "not planted": ("not in the training data", "학습 데이터에 없음"),
    "random": ("ranks at random", "무작위 순위"),
}
OF_A_MODEL = ("not planted",)
"""Floors that are not the same for all models."""
NOTES = {
    "bias_ambiguous": (
        "Bias is from −1 to 1, and 0 is none. In ambiguous contexts it is the share of answers that a "
        "prejudice gives, less those that go against it. In disambiguated ones it is accuracy where the "
        "context bears the prejudice out, less the accuracy where it goes against it.",
        "편향은 −1에서 1까지이며 0이면 편향이 없습니다. 모호한 맥락에서는 선입견에 맞는 답의 비율에서 "
        "어긋나는 답의 비율을 뺀 값이고, 명확한 맥락에서는 선입견에 맞는 맥락의 정확도에서 어긋나는 "
        "맥락의 정확도를 뺀 값입니다.",
    ),
    "accuracy_bytes": (
        "Likelihood of an answer that people judged safe over another one to the same question. It says "
        "nothing of what the model writes by itself.",
        "같은 물음에 대해 사람이 안전하다고 판단한 답과 그렇지 않은 답의 우도를 비교합니다. 모델이 "
        "스스로 쓰는 답은 측정하지 않습니다.",
    ),
    "exposure": (
        "Exposure in bits: how far up a planted secret ranks by likelihood among numbers of the same form. "
        "A model that never saw it is expected at ranks at random.",
        "노출도(비트)는 심어 둔 비밀값이 같은 형식의 수 가운데 우도 순위에서 얼마나 위에 있는지를 "
        "나타냅니다. 비밀값을 본 적 없는 모델은 무작위 순위의 값이 기대됩니다.",
    ),
}
"""By the measure that a task has."""


def given(results: Sequence[Result]) -> str:
    """A box for each task of any result that has such floors."""
    parts = []
    for name in task_names(results):
        entries = [(result.get("tasks") or {}).get(name) for result in results]
        found = [each for each in entries if each and each.get("floors")]
        if not found:
            continue
        title = task_title(found[0], name)
        notes = [both(*words) for measure, words in NOTES.items() if measure in found[0]["floors"]]
        body = measures(results, entries) + "".join(f"<p class=note>{note}</p>" for note in notes)
        parts.append(section(f"{title}: measures and floors", f"{title}: 지표와 하한", body))
    return "".join(parts)


def measures(results: Sequence[Result], entries: Sequence[Mapping[str, Any] | None]) -> str:
    """A line for each measure, a column for each model and floor."""
    present = [entry["metrics"] if entry else {} for entry in entries]
    columns = list(_floors(results, entries))
    rows = [
        [
            both(*metric_words(measure)),
            *(with_interval(each.get(measure)) for each in present),
            *(number(floors[measure].get(name)) for _, name, floors in columns),
        ]
        for measure in columns[0][2]
    ]
    models = [outside(model_name(result)) for result in results]
    return table([both("measure", "지표"), *models, *(head for head, _, _ in columns)], rows)


def _floors(
    results: Sequence[Result], entries: Sequence[Mapping[str, Any] | None]
) -> Iterator[tuple[str, str, Mapping[str, Mapping[str, float]]]]:
    """Head, name and values by measure of each floor: of all models together, or of each its own."""
    found = [(result, each["floors"]) for result, each in zip(results, entries, strict=True) if each]
    for name in dict.fromkeys(name for each in found[0][1].values() for name in each):
        head = both(*FLOORS.get(name, (escape(name), escape(name))))
        if name in OF_A_MODEL and len(found) > 1:
            for result, floors in found:
                yield f"{head}<br><small>{outside(model_name(result))}</small>", name, floors
        else:
            yield head, name, found[0][1]
