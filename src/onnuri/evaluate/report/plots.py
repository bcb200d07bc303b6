"""The pictures with what stands around them: scores by task, phenomena, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.evaluate.report.charts import Row, curve, forest, letters, marker
from onnuri.evaluate.report.comparable import model_name
from onnuri.evaluate.report.tables import Result, scroll, section, task_names
from onnuri.evaluate.report.words import (
    CONTROLS,
    TIERS,
    both,
    lower_is_better,
    number,
    outside,
    task_title,
    title_of,
    tokens,
)
from onnuri.evaluate.statistics import LAST_CHECKPOINTS, checkpoint_noise

NUM_HEAT_COLUMNS = 14


def overview(results: Sequence[Result]) -> str:
    """A forest plot of the tasks scored from 0 to 1."""
    rows = []
    for name in task_names(results):
        entries = [(result.get("tasks") or {}).get(name) for result in results]
        entry = next(each for each in entries if each)
        if lower_is_better(entry["metric"]):
            continue
        scores = [each and each["metrics"][each["metric"]] for each in entries]
        label = title_of(entry, name, "en"), title_of(entry, name, "ko")
        rows.append(Row(label, scores, entry.get("chance"), entry.get("controls") or {}))
    if not rows:
        return ""
    names = ", ".join(model_name(result) for result in results)
    picture = forest(
        rows,
        "Scores by task · 과제별 점수",
        f"{names}: a mark with a 95 % interval for each task; chance is a dashed line, n-gram controls are "
        "ticks. The table above has the same figures. · 과제마다 점수와 95 % 구간을 표시합니다.",
    )
    return section(
        "Scores with intervals",
        "점수와 구간",
        scroll(picture) + legend(results, rows),
    )


def legend(results: Sequence[Result], rows: Sequence[Row]) -> str:
    """What shapes, lines and letters mean."""
    shapes = [
        f'<span><svg width="14" height="14" aria-hidden="true">{marker(index, 7, 7)}</svg>'
        f"{outside(model_name(result))}</span>"
        for index, result in enumerate(results)
    ]
    line = (
        '<svg width="10" height="14" aria-hidden="true"><line class="chance" x1="5" x2="5" y2="14"/></svg>'
    )
    if any(row.chance is not None for row in rows):
        shapes.append(f"<span>{line}{both('chance', '우연 수준')}</span>")
    shapes += [f"<span><b>{sign}</b> {_control(name)}</span>" for name, sign in letters(rows).items()]
    return f'<div class="legend">{"".join(shapes)}</div>'


def _control(name: str) -> str:
    return both(*CONTROLS[name]) if name in CONTROLS else outside(name)


def phenomena(results: Sequence[Result]) -> str:
    """Of each task with groups: a bar for each group, by tier; and by checkpoint where there is a curve."""
    parts = []
    for name, entry in (results[0].get("tasks") or {}).items():
        groups = entry.get("groups") or {}
        if not groups or lower_is_better(entry["metric"]):
            continue
        others = [(result.get("tasks") or {}).get(name, {}) for result in results]
        rows = []
        for tier in sorted({group.get("tier") or "" for group in groups.values()}):
            if tier:
                summary = (entry.get("tiers") or {}).get(tier, {})
                value = f": {number(summary['value'])}" if summary.get("value") is not None else ""
                english, korean = TIERS.get(tier, (tier, tier))
                rows.append(Row((english + value, korean + value)))
            rows += [
                Row(
                    (group, group) if each.get("counts", True) else (f"{group} *", f"{group} *"),
                    [(other.get("groups") or {}).get(group) for other in others],
                    each.get("chance"),
                    each.get("controls") or {},
                )
                for group, each in groups.items()
                if (each.get("tier") or "") == tier
            ]
        picture = forest(
            rows,
            f"{title_of(entry, name, 'en')} by phenomenon · 현상별 점수",
            "A bar for each phenomenon with a 95 % interval, in tiers. · 현상마다 막대와 95 % 구간.",
            bars=True,
        )
        star = ""
        if any(not group.get("counts", True) for group in groups.values()):
            star = both(
                "* Counting tokens alone already tells the sentences apart, so it is left out of means.",
                "* 토큰 수만 세어도 두 문장이 구별되므로 평균에서 뺍니다.",
            )
        heat = heat_map(results[0], name, groups)
        body = f'{heat}{scroll(picture)}{legend(results, rows)}<p class="note">{star}</p>'
        title = task_title(entry, name)
        english, korean = ("phenomenon", "현상별") if entry.get("tiers") else ("group", "세부 항목별")
        parts.append(section(f"{title} by {english}", f"{title} {korean}", body))
    return "".join(parts)


def heat_map(result: Result, name: str, groups: Mapping[str, Any]) -> str:
    """Groups by checkpoints: a figure in each cell, blue above one half and orange below."""
    points = [
        point for point in result.get("curve") or [] if (point["tasks"].get(name) or {}).get("groups")
    ]
    if not points:
        return ""
    if len(points) > NUM_HEAT_COLUMNS:
        last = len(points) - 1
        shown = {round(last * index / (NUM_HEAT_COLUMNS - 1)) for index in range(NUM_HEAT_COLUMNS)}
        points = [point for index, point in enumerate(points) if index in shown]
    heads = "".join(f"<th>{tokens(point['tokens'])}</th>" for point in points)
    rows = [f"<tr><th>{both('tokens trained', '학습한 토큰')}</th>{heads}</tr>"]
    for tier in sorted({group.get("tier") or "" for group in groups.values()}):
        if tier:
            words = both(*TIERS.get(tier, (outside(tier), outside(tier))))
            rows.append(f'<tr class="tier"><td colspan="{len(points) + 1}">{words}</td></tr>')
        for group in (group for group, each in groups.items() if (each.get("tier") or "") == tier):
            cells = "".join(_heat_cell(point["tasks"][name]["groups"].get(group)) for point in points)
            rows.append(f"<tr><td>{outside(group)}</td>{cells}</tr>")
    note = both(
        "Percent right at each checkpoint; blue is above 50, orange below.",
        "체크포인트마다 맞힌 비율(%). 50보다 높으면 파랑, 낮으면 주황입니다.",
    )
    heat = f'<table class="heat">{"".join(rows)}</table>'
    return f"<p>{note}</p>{scroll(heat)}"


def _heat_cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    colour, share = ("--c0", value - 0.5) if value >= 0.5 else ("--c1", 0.5 - value)
    mixed = f"color-mix(in srgb, var({colour}) {120 * share:.0f}%, transparent)"
    return f'<td style="background: {mixed}">{100 * value:.0f}</td>'


def curves(results: Sequence[Result]) -> str:
    """Scores over tokens, a plot for each task that has points."""
    names = dict.fromkeys(
        name for result in results for point in result.get("curve") or [] for name in point["tasks"]
    )
    figures = "".join(_curve(results, name) for name in names)
    if not figures:
        return ""
    body = f'<div class="plots">{figures}</div>{legend(results, [])}'
    return section("Scores while training", "학습 중 점수", body)


def _curve(results: Sequence[Result], name: str) -> str:
    lines, noise, protocol = {}, "", ""
    for index, result in enumerate(results):
        found = [(point["tokens"], point["tasks"].get(name)) for point in result.get("curve") or []]
        points = [(x, y["value"], y.get("low"), y.get("high")) for x, y in found if y]
        if points:
            lines[index] = points
            protocol = next(y["protocol"] for _, y in found if y)
        if index == 0 and len(points) > 1:
            count = min(LAST_CHECKPOINTS, len(points))
            noise = both(
                f"Standard deviation over the last {count} checkpoints: ",
                f"마지막 {count}개 체크포인트의 표준편차: ",
            ) + number(checkpoint_noise([value for _, value, *_ in points]))
    entries = [(result.get("tasks") or {}).get(name) for result in results]
    entry: Mapping[str, Any] = next((each for each in entries if each), {})
    levels: dict[str, tuple[str, float]] = {}
    if entry.get("chance") is not None:
        levels["chance · 우연 수준"] = ("chance", entry["chance"])
    if entry.get("protocol") == protocol:  # controls were taken on the items of the last score
        levels |= {control: ("control", value) for control, value in (entry.get("controls") or {}).items()}
    title = title_of(entry, name, "en")
    picture = curve(
        lines,
        levels,
        f"{title} over tokens · 토큰에 따른 점수",
        "Score with its 95 % band. · 점수와 95 % 구간.",
    )
    return (
        f"<figure>{scroll(picture)}<figcaption><b>{task_title(entry, name)}</b> "
        f"<code>{protocol[:12]}</code> {noise}</figcaption></figure>"
    )
