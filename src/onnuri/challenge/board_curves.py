"""The training curves of a leaderboard: lines, dashes and marks tell apart what colours tell apart too."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnuri.challenge.board import Row
from onnuri.challenge.folder import Challenge
from onnuri.evaluate.report import charts
from onnuri.evaluate.report.tables import scroll
from onnuri.evaluate.report.words import both, outside

WIDTH, HEIGHT, LEFT, BOTTOM = 980.0, 340.0, 48.0, 34.0
"""In pixels; the plot lies between LEFT and WIDTH, and above BOTTOM."""


def curves(challenge: Challenge, rows: Sequence[Row]) -> str:
    """Training loss over the share of the budget, a line for each entry."""
    lines = [(row, [(x, y) for x, y in (row.result or {})["curve"] if math.isfinite(y)]) for row in rows]
    lines = [(row, points) for row, points in lines if len(points) > 1]
    if not lines:
        return ""
    heights = [y for _, points in lines for _, y in points]
    step = charts.tick(max(heights) - min(heights) or 0.1)
    low, high = step * math.floor(min(heights) / step), step * math.ceil(max(heights) / step)
    high = high if high > low else low + step

    def at(flops: float, loss: float) -> tuple[float, float]:
        share = flops / challenge.track.flops
        return LEFT + (WIDTH - LEFT - 12) * share, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 12) * (
            (loss - low) / (high - low)
        )

    parts = []
    for count in range(round((high - low) / step) + 1):
        y = at(0, low + step * count)[1]
        parts.append(charts.line("grid", (LEFT, WIDTH - 12), (y, y)))
        parts.append(charts.text(LEFT - 6, y + 4, f"{low + step * count:g}", "soft", "end"))
    for quarter in range(5):
        x = at(challenge.track.flops * quarter / 4, low)[0]
        parts.append(
            charts.text(x, HEIGHT - 12, f"{25 * quarter} %", "soft", "end" if quarter == 4 else "middle")
        )
    keys = []
    for index, (row, points) in enumerate(lines):
        placed = [at(*point) for point in points]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        style = f'fill="none" stroke="{charts.colour(index)}" stroke-width="2"'
        dashes = charts.DASHES[index % len(charts.DASHES)]
        parts.append(f'<polyline points="{drawn}" {style} stroke-dasharray="{dashes}"/>')
        parts.append(charts.marker(index, *placed[-1]))
        keys.append(
            f'<span><svg width="34" height="14" aria-hidden="true"><path d="M0 7H20" {style} '
            f'stroke-dasharray="{dashes}"/>{charts.marker(index, 27, 7)}</svg>'
            f"{outside(row.title or row.name)}</span>"
        )
    names = ", ".join(row.name for row, _ in lines)
    picture = charts.svg(
        WIDTH,
        HEIGHT,
        "Training loss over the budget · 예산에 따른 학습 손실",
        f"{names}: loss in nats a token over the share of the FLOPs budget.",
        "".join(parts),
    )
    note = both(
        "Nats a token over the share of the FLOPs budget, from the ledgers. Held-out text ranks.",
        "원장에 적힌 토큰당 손실(nat)을 예산 비율에 따라 그렸습니다. 순위는 평가용 글로 정합니다.",
    )
    return f'<p>{note}</p>{scroll(picture, "curves")}<div class="legend">{"".join(keys)}</div>'
