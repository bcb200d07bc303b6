"""The items that a model gets most wrong, with everything it was asked and what it said."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.corpus.report.words import escape
from onnuri.evaluate.report.tables import section, table
from onnuri.evaluate.report.words import both, lower_is_better, number, outside, task_title

NUM_WORST = 20
ROLES = {
    1: [("text", "글")],
    2: [("good", "바른 문장"), ("bad", "틀린 문장")],
    4: [
        ("good", "바른 문장"),
        ("bad", "틀린 문장"),
        ("control of the good one", "바른 쪽 대조"),
        ("control of the bad one", "틀린 쪽 대조"),
    ],
}


def deficit(sample: Mapping[str, Any], metric: str) -> float:
    """How far an item is from right, in its metric's unit: nats, nats per byte or character, or bits.

    Of an answer: the right one's cost above the cheapest wrong one's. Of sentences: the good one's above
    the bad one's, less the same of the controls. Of a text: its bits per byte. Below 0 it is right.
    """
    options = sample["options"]
    nats = [option["nats"] for option in options]
    label = sample.get("label")
    if label is None and len(options) in (2, 4):
        return float(nats[0] - nats[1] - (nats[2] - nats[3] if len(options) == 4 else 0.0))
    if label is None or len(options) < 2 or lower_is_better(metric):
        right = options[label or 0]
        return float(right["nats"] / math.log(2) / max(1, right["bytes"]))
    if metric.startswith("accuracy_bytes"):
        nats = [n / max(1, option["bytes"]) for n, option in zip(nats, options, strict=True)]
    elif metric.startswith("accuracy_chars"):
        sizes = [max(1, len(option["continuation"])) for option in options]
        nats = [n / size for n, size in zip(nats, sizes, strict=True)]
    return float(nats[label] - min(n for index, n in enumerate(nats) if index != label))


def worst_items(tasks: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> str:
    """Of each task the 20 worst items, right ones left out; of text, those with most bits per byte."""
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        if "options" not in sample:  # a written answer
            continue
        metric = tasks.get(sample["task"], {}).get("metric", "accuracy")
        if metric == "exposure":  # a list of secrets
            continue
        if lower_is_better(metric) or sample.get("value") is None or sample["value"] < 1:
            by_task.setdefault(sample["task"], []).append(sample)
    parts: list[str] = []
    for name, wrong in by_task.items():
        entry = tasks.get(name, {})
        metric = entry.get("metric", "accuracy")
        ranked = heapq.nlargest(NUM_WORST, wrong, key=lambda sample: deficit(sample, metric))
        shown = "".join(_item(sample, deficit(sample, metric)) for sample in ranked)
        count = both(f"{len(ranked)} of {len(wrong):,}", f"{len(wrong):,}개 중 {len(ranked)}개")
        is_open = " open" if not parts else ""
        parts.append(
            f'<details class="task"{is_open}><summary>{task_title(entry, name)} '
            f"<small>{count}</small></summary>{shown}</details>"
        )
    return section("Worst items", "가장 크게 틀린 문항", "".join(parts))


def _item(sample: Mapping[str, Any], distance: float) -> str:
    options = sample["options"]
    rows = []
    shared = {option.get("context") for option in options}
    above = shared.pop() if len(shared) == 1 and len(options) > 1 else None  # shown once
    for index, option in enumerate(options):
        context = f"<i>{escape(option['context'])}</i>" if option.get("context") and above is None else ""
        bits = option["nats"] / math.log(2) / max(1, option["bytes"])
        rows.append(
            [
                _role(sample, index),
                f'<div class="text" dir="auto">{context}{escape(option["continuation"])}</div>',
                f"{option['nats']:.2f}",
                number(bits),
                f"{option['tokens']:,}",
                f"{option['bytes']:,}",
            ]
        )
    heads = [
        "",
        both("text, its context in grey", "글(문맥은 회색)") if above is None else both("text", "글"),
        "−ln p",
        both("bits/byte", "비트/바이트"),
        both("tokens", "토큰"),
        both("bytes", "바이트"),
    ]
    group = f" · {outside(sample['group'])}" if sample.get("group") else ""
    away = both("off by", "차이")
    question = f'<div class="text" dir="auto"><i>{escape(above)}</i></div>' if above else ""
    return (
        f'<div class="item"><b>{outside(sample["item"])}</b><small>{group} · {away} {distance:.3g}</small>'
        f"{question}{table(heads, rows, left=2, style='options')}</div>"
    )


def _role(sample: Mapping[str, Any], index: int) -> str:
    label, count = sample.get("label"), len(sample["options"])
    if label is None:
        return both(*ROLES[count][index]) if count in ROLES else str(index + 1)
    right = f"✓ {both('right', '정답')}" if index == label else ""
    chosen = f"● {both('chosen', '선택')}" if index == sample.get("chosen") else ""
    return f"{right} {chosen}".strip() or str(index + 1)
