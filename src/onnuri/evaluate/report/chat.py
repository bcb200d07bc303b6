"""Written answers: families beside their floors, how answers are written, safety, wrong ones to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from onnuri.corpus.report.words import escape
from onnuri.evaluate.report.comparable import model_name
from onnuri.evaluate.report.reasons import in_korean
from onnuri.evaluate.report.tables import Result, section, table, task_names
from onnuri.evaluate.report.words import (
    WRITTEN_FLOORS,
    both,
    metric_words,
    number,
    outside,
    p_value,
    task_title,
    with_interval,
)

NUM_WRONG = 20
NOTE = (
    "Floors are what the empty answer, the question again and the answer most often right in the training "
    "split score. p is of a one-sided sign test against the best floor, adjusted over the families (Holm). "
    "An answer that does not end by itself is wrong.",
    "하한은 빈 답, 물음 반복, 학습 분할에서 가장 자주 정답인 답의 점수입니다. p는 가장 높은 하한에 대한 "
    "단측 부호 검정의 값이며 계열 수에 맞게 보정합니다(Holm). 스스로 끝나지 않은 답은 오답입니다.",
)
UNMEASURED = (
    "Not measured: style, helpfulness, knowledge. They need a judge; <code>evaluation.answers.jsonl</code> "
    "has all questions and answers for one.",
    "측정하지 않은 것: 문체, 유용성, 지식. 심사자가 있어야 하며, <code>evaluation.answers.jsonl</code>에 "
    "모든 물음과 답이 있습니다.",
)


def chat(results: Sequence[Result], samples: Sequence[Mapping[str, Any]]) -> str:
    """A box for each chat task of any result."""
    parts = []
    for name in task_names(results):
        entries = [(result.get("tasks") or {}).get(name) for result in results]
        found = [each for each in entries if each and "safety" in each]
        if not found:
            continue
        counted = [
            f"{outside(model_name(result))}: {line}" if len(results) > 1 else line
            for result, entry in zip(results, entries, strict=True)
            if entry and "safety" in entry
            for line in safety(entry)
        ]
        lines = "".join(f"<li>{line}</li>" for line in [*counted, both(*UNMEASURED)])
        body = (
            families(results, entries)
            + measures(results, entries)
            + f"<p class=note>{both(*NOTE)}</p><ul>{lines}</ul>"
            + wrong([each for each in samples if each["task"] == name])
        )
        title = task_title(found[0], name)
        parts.append(section(f"{title}: written answers", f"{title}: 쓴 답", body))
    return "".join(parts)


def families(results: Sequence[Result], entries: Sequence[Mapping[str, Any] | None]) -> str:
    """A line for each family and model."""
    rows = []
    several = len(results) > 1
    for family in dict.fromkeys(name for entry in entries if entry for name in entry["groups"]):
        for result, entry in zip(results, entries, strict=True):
            group = (entry or {}).get("groups", {}).get(family)
            if group is None:
                continue
            rows.append(
                [
                    outside(family),
                    *([outside(model_name(result))] if several else []),
                    with_interval(group),
                    *(number(group["controls"][name]) for name in WRITTEN_FLOORS),
                    p_value(group["p_holm"]),
                    number(group["stopped"]),
                    f"{group['answer_tokens']:.1f}",
                    f"{group['items']:,}",
                ]
            )
    heads = [
        both("family", "계열"),
        *([both("model", "모델")] if several else []),
        both("right, 95 % interval", "정답률과 95 % 구간"),
        *(both(*words) for words in WRITTEN_FLOORS.values()),
        both("p, Holm", "p(Holm)"),
        both("ends by itself", "스스로 끝남"),
        both("tokens", "토큰"),
        both("tasks", "과제"),
    ]
    return table(heads, rows, left=2 if several else 1)


def measures(results: Sequence[Result], entries: Sequence[Mapping[str, Any] | None]) -> str:
    """How answers are written: a line for each measure, a column for each model."""
    present = [entry["metrics"] if entry else {} for entry in entries]
    rows = [
        [both(*metric_words(name)), *(with_interval(each.get(name)) for each in present)]
        for name in dict.fromkeys(name for each in present for name in each)
        if not name.startswith("accuracy")
    ]
    models = [outside(model_name(result)) for result in results]
    return table([both("of the answers", "답의 성질"), *models], rows)


def safety(entry: Mapping[str, Any]) -> Iterator[str]:
    """What was counted, as lines."""
    if turns := entry["safety"].get("forged_turns"):
        asked, forged = turns["prompts"], turns["prompts_with_control_tokens"]
        written = turns["answers_with_control_tokens"]
        yield both(
            f"Of {asked:,} questions that try to forge turns, {forged:,} became control tokens; "
            f"{written:,} answers hold one.",
            f"대화 차례를 위조하려는 물음 {asked:,}개 가운데 {forged:,}개가 제어 토큰이 되었고, 답 "
            f"{written:,}개에 제어 토큰이 있습니다.",
        )
    found = entry["safety"]["personal_data"]
    kinds = ", ".join(f"{name} {count:,}" for name, count in found["kinds"].items())
    shown = f" ({escape(kinds)})" if kinds else ""
    yield both(
        f"Personal data that is not in the question: in {found['with_personal_data']:,} of "
        f"{found['answers']:,} answers{shown}.",
        f"물음에 없는 개인정보: 답 {found['answers']:,}개 가운데 {found['with_personal_data']:,}개{shown}.",
    )


def wrong(samples: Sequence[Mapping[str, Any]]) -> str:
    """Wrong answers, those of one family after those of another, at most 20."""
    by_family: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        if sample["value"] < 1:
            by_family.setdefault(sample["group"], []).append(sample)
    ranked = [each for row in zip_longest(*by_family.values()) for each in row if each is not None]
    if not ranked:
        return ""
    shown = "".join(map(_answer, ranked[:NUM_WRONG]))
    count = both(
        f"{min(NUM_WRONG, len(ranked))} of {len(ranked):,}",
        f"{len(ranked):,}개 중 {min(NUM_WRONG, len(ranked))}개",
    )
    return (
        f'<details class="task"><summary>{both("Wrong answers", "오답")} <small>{count}</small></summary>'
        f"{shown}</details>"
    )


def _reason(reason: str) -> str:
    korean = in_korean(reason)
    return outside(reason) if korean == reason else both(outside(reason), outside(korean))


def _answer(sample: Mapping[str, Any]) -> str:
    texts = (
        (both("question", "물음"), sample["question"]),
        (both("a right answer", "정답의 예"), sample["reference"]),
        (both("answer", "답"), sample["answer"]),
    )
    rows = [[label, f'<div class="text" dir="auto">{escape(words)}</div>'] for label, words in texts]
    return (
        f'<div class="item"><b>{outside(sample["group"])}</b><small> · {_reason(sample["reason"])} · '
        f"{outside(sample['item'])}</small>{table(['', ''], rows, left=2, style='options')}</div>"
    )
