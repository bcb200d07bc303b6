"""The tables: headline scores, comparisons, bits per byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.evaluate.report.comparable import model_name
from onnuri.evaluate.report.words import (
    FORMULATIONS,
    both,
    lower_is_better,
    metric_words,
    number,
    outside,
    p_value,
    task_title,
    with_interval,
)

Result = Mapping[str, Any]


def section(english: str, korean: str, body: str) -> str:
    """A box of the page, nothing if it is empty."""
    return f"<section><h2>{both(english, korean)}</h2>{body}</section>" if body else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, style: str = "") -> str:
    """HTML cells in a box that scrolls sideways; columns after the first `left` stand right."""
    if not rows:
        return ""
    sides = ["" if column < left else " class=n" for column in range(len(heads))]
    top = "".join(f"<th{side}>{head}</th>" for side, head in zip(sides, heads, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{side}>{cell}</td>' for side, cell in zip(sides, row, strict=True))}</tr>"
        for row in rows
    )
    return scroll(f'<table class="{style}"><thead><tr>{top}</tr></thead>{body}</table>')


def scroll(content: str, style: str = "") -> str:
    """A box that scrolls sideways on a narrow screen, with the keyboard too."""
    label = "Table or picture · 표나 그림"
    return f'<div class="scroll {style}" tabindex="0" role="group" aria-label="{label}">{content}</div>'


def task_names(results: Sequence[Result]) -> list[str]:
    """All tasks, this model's first."""
    return list(dict.fromkeys(name for result in results for name in result.get("tasks") or {}))


def headline(results: Sequence[Result]) -> str:
    """A line for each task and model."""
    rows = []
    for name in task_names(results):
        for result in results:
            entry = (result.get("tasks") or {}).get(name)
            if entry is None:
                continue
            value = with_interval(entry["metrics"][entry["metric"]])
            rows.append(
                [
                    f"{task_title(entry, name)}<br><small>{_formulation(entry)}</small>",
                    *([outside(model_name(result))] if len(results) > 1 else []),
                    both(*metric_words(entry["metric"])),
                    value,
                    with_interval(entry.get("centred")),
                    number(entry.get("chance")),
                    f"{entry['items']:,}<br><small>{entry['clusters']:,} "
                    f"{both('clusters', '군집')}</small>",
                    f'<code title="{entry["protocol"]}">{entry["protocol"][:12]}</code>',
                    contamination(entry.get("contamination")),
                ]
            )
    heads = [
        both("task", "과제"),
        *([both("model", "모델")] if len(results) > 1 else []),
        both("metric", "지표"),
        both("value, 95 % interval", "값과 95 % 구간"),
        both("centred on chance", "우연 보정"),
        both("chance", "우연 수준"),
        both("items", "문항"),
        both("protocol", "프로토콜"),
        both("seen in training", "학습 데이터 오염"),
    ]
    return section("Scores", "점수", table(heads, rows, left=3 if len(results) > 1 else 2))


def _formulation(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("formulation") or "")
    return both(*FORMULATIONS[name]) if name in FORMULATIONS else outside(name)


def contamination(found: Mapping[str, Any] | None) -> str:
    """What a search of the training text for the items gave."""
    if found is None:
        return both("not checked", "확인하지 않음")
    return (
        f"{found['items']:,} {both('items', '문항')}<br><small>{both('without them', '제외하면')} "
        f"{number(found['value_without'])} (n = {found['items_without']:,})</small>"
    )


def comparisons(result: Result) -> str:
    """Differences from other models; a better one is named only where the interval leaves 0 out."""
    rows = []
    for each in result.get("comparisons") or []:
        entry = (result.get("tasks") or {}).get(each["task"], {})
        rows.append(
            [
                task_title(entry, each["task"]),
                outside(each["other"]),
                both(*metric_words(each["metric"])),
                with_interval({**each, "value": each["difference"]}),
                verdict(each),
                p_value(each.get("p")),
                p_value(each.get("p_holm")),
                number(each.get("smallest_effect")),
                f"{each['items']:,}<br><small>{each['clusters']:,} {both('clusters', '군집')}</small>",
            ]
        )
    heads = [
        both("task", "과제"),
        both("other model", "비교 모델"),
        both("metric", "지표"),
        both("difference, 95 % interval", "차이와 95 % 구간"),
        both("better", "더 나은 쪽"),
        "p",
        both("p, Holm", "p(Holm)"),
        both("smallest effect", "최소 차이"),
        both("items", "문항"),
    ]
    note = both(
        "This model minus the other, on the same items. A true difference as large as the smallest effect "
        "is found in 80 % of cases; a smaller one may be there unseen.",
        "같은 문항에서 이 모델의 점수에서 비교 모델의 점수를 뺀 값입니다. 최소 차이만 한 실제 차이는 "
        "80 %의 확률로 발견되며, 그보다 작은 차이는 있어도 보이지 않을 수 있습니다.",
    )
    body = table(heads, rows, left=3)
    return section("Comparisons", "비교", body and f"{body}<p class=note>{note}</p>")


def verdict(comparison: Mapping[str, Any]) -> str:
    """Which model is better. Not shown where the interval contains 0 or Holm's p is above 0.05."""
    low, high = comparison["low"], comparison["high"]
    if low <= 0 <= high or (comparison.get("p_holm") or 0.0) > 0.05:
        return both("not shown", "알 수 없음")
    if (low > 0) != lower_is_better(comparison["metric"]):
        return f"▲ {both('this model', '이 모델')}"
    return f"▽ {outside(comparison['other'])}"


def bits_per_byte(results: Sequence[Result]) -> str:
    """Held-out text by language and source, and the right answers of tasks."""
    kinds = {"languages": both("language", "언어"), "sources": both("source", "출처"), "total": ""}
    rows = []
    for kind, label in kinds.items():
        for name in dict.fromkeys(name for result in results for name in result.get(kind) or {}):
            entries = [(result.get(kind) or {}).get(name) for result in results]
            entry = next(each for each in entries if each)
            rows.append(
                [
                    f"{outside(name)} <small>{label}</small>",
                    f"{entry['documents']:,}",
                    f"{entry['bytes']:,}",
                    *(_bits(each) for each in entries),
                    number(entry.get("xz_bits_per_byte")),
                    number(entry.get("tokens_per_character")),
                ]
            )
    models = [outside(model_name(result)) for result in results]
    heads = [
        both("held-out text", "평가용 글"),
        both("documents", "문서"),
        both("bytes", "바이트"),
        *(models if len(models) > 1 else [both("bits per byte", "바이트당 비트")]),
        "xz -9e",
        both("tokens per character", "글자당 토큰"),
    ]
    texts = table(heads, rows)
    answers = []
    for name in task_names(results):
        entries = [(result.get("tasks") or {}).get(name) for result in results]
        if not any(each and "bits_per_byte" in each["metrics"] for each in entries):
            continue
        entry = next(each for each in entries if each)
        cells = [with_interval(each["metrics"].get("bits_per_byte") if each else None) for each in entries]
        answers.append([task_title(entry, name), *cells])
    more = table([both("right answers of", "정답의 글"), *models], answers)
    return section("Bits per byte", "바이트당 비트", texts + more)


def _bits(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "–"
    return with_interval({"low": None, **entry, "value": entry["bits_per_byte"]})
