"""Forest plots and curves as SVG: shapes, dashes and letters tell apart what colours tell apart too."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnuri.corpus.report.words import escape
from onnuri.evaluate.columns import shorten
from onnuri.evaluate.report.words import number, tokens

NAMES, FIGURES, PLOT, END = 210, 160, 620, 12
"""The forest plot, in pixels from left to right: labels, figures, the scale, room for its last mark."""
ROW, STEP = 32, 18
"""Height of a row with one model, and of each further model in it."""
LEFT = NAMES + FIGURES
LABEL_COLUMNS, HEADING_COLUMNS = 30, 100
WIDTH, HEIGHT, MARGIN = 490, 270, 42
"""A curve, in pixels."""
DASHES = ("", "6 3", "2 3", "9 3 2 3")
SHAPES = ("M-4-4H4V4H-4Z", "M0-5.5L5.5 0 0 5.5-5.5 0Z", "M0-5L5 4H-5Z", "M0 5L5-4H-5Z")
CLOSE = 9.0
"""Controls this many pixels apart share a tick."""


@dataclass(frozen=True)
class Row:
    """A line of a forest plot: a score of each model (None where it has none), chance, controls by name.

    The label is plain text, in English and Korean. A row without scores is a heading.
    """

    label: tuple[str, str]
    scores: Sequence[Mapping[str, Any] | None] = ()
    chance: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)


def svg(width: float, height: float, title: str, description: str, body: str) -> str:
    """A picture with words for those who cannot see it; `title` and `description` are plain text."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{body}</svg>"
    )


def marker(index: int, x: float, y: float) -> str:
    """The shape of a model: a filled circle for this one; a square, a diamond, a triangle for others."""
    style = f'stroke="{colour(index)}" stroke-width="1.8"'
    if index == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="var(--c0)" {style}/>'
    shape = SHAPES[(index - 1) % len(SHAPES)]
    return f'<path d="{shape}" transform="translate({x:.1f} {y:.1f})" fill="var(--card)" {style}/>'


def colour(index: int) -> str:
    """The colour of a model."""
    return f"var(--c{index % 9})"


def line(style: str, x: tuple[float, float], y: tuple[float, float]) -> str:
    """A straight line in one of the page's styles."""
    return f'<line class="{style}" x1="{x[0]:.1f}" x2="{x[1]:.1f}" y1="{y[0]:.1f}" y2="{y[1]:.1f}"/>'


def text(x: float, y: float, content: str, style: str = "", anchor: str = "start", size: int = 12) -> str:
    """Words; `content` is markup already."""
    shown = f' font-size="{size}"' if size != 12 else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{shown}>{content}</text>'


def forest(rows: Sequence[Row], title: str, description: str, bars: bool = False) -> str:
    """Scores from 0 to 1 with intervals, chance dashed, controls as ticks over the letters of `letters`.

    With `bars` this model's score is a bar too.
    """
    signs = letters(rows)
    parts: list[str] = []
    top = 24.0
    for row in rows:
        height = ROW + STEP * max(0, len(row.scores) - 1)
        if row.scores:
            parts += _forest_row(row, top, height, bars, signs)
        else:
            heading = _label(row.label, HEADING_COLUMNS)
            parts.append(f'<g font-weight="600">{text(0, top + 20, heading)}</g>')
        top += height
    scale = [
        line("grid", (_at(tenth / 10),) * 2, (20, top))
        + text(_at(tenth / 10), 14, f"{tenth / 10:g}", "soft", "middle")
        for tenth in range(0, 11, 2)
    ]
    return svg(LEFT + PLOT + END, top + 4, title, description, "".join(scale + parts))


def letters(rows: Sequence[Row]) -> dict[str, str]:
    """The letter of each control: the first of its name that no other has."""
    taken: dict[str, str] = {}
    for name in sorted({name for row in rows for name in row.controls}):
        free = [sign for sign in name if sign.isalnum() and sign not in taken.values()]
        taken[name] = free[0] if free else str(len(taken))
    return taken


def _forest_row(row: Row, top: float, height: float, bars: bool, signs: Mapping[str, str]) -> Iterator[str]:
    yield text(0, top + 16, _label(row.label, LABEL_COLUMNS))
    for index, score in enumerate(row.scores):
        if bars and index == 0 and score is not None and score.get("value") is not None:
            yield (
                f'<rect x="{LEFT}" y="{top + 6}" width="{_at(score["value"]) - LEFT:.1f}" height="12" '
                'fill="var(--c0)" fill-opacity=".25" stroke="var(--c0)"/>'
            )
    if row.chance is not None:
        yield line("chance", (_at(row.chance),) * 2, (top + 1, top + height - 1))
    yield from _controls(row, top + height, signs)
    for index, score in enumerate(row.scores):
        if score is None or score.get("value") is None:
            continue
        y = top + 12 + STEP * index
        low, high = score.get("low"), score.get("high")
        figures = number(score["value"])
        if low is not None and high is not None:
            ends = "".join(f"M{_at(x):.1f} {y - 4}V{y + 4}" for x in (low, high))
            yield (
                f'<path d="M{_at(low):.1f} {y}H{_at(high):.1f}{ends}" stroke="{colour(index)}" '
                'stroke-width="1.6" fill="none"/>'
            )
            figures += f" [{number(low)}, {number(high)}]"
        yield marker(index, _at(score["value"]), y)
        yield text(NAMES, y + 4, figures)


def _controls(row: Row, bottom: float, signs: Mapping[str, str]) -> Iterator[str]:
    """Ticks with letters; those that nearly coincide share one."""
    together: list[tuple[float, list[str]]] = []
    for name, value in sorted(row.controls.items(), key=lambda control: control[1]):
        if together and _at(value) - together[-1][0] < CLOSE:
            together[-1][1].append(name)
        else:
            together.append((_at(value), [name]))
    for x, names in together:
        words = ", ".join(f"{name} {number(row.controls[name])}" for name in names)
        sign = escape("".join(signs[name] for name in names))
        yield (
            f"<g><title>{escape(words)}</title>"
            f'<path d="M{x:.1f} {bottom - 14}V{bottom - 9}" stroke="var(--soft)" stroke-width="2"/>'
            f"{text(x, bottom - 1, sign, 'soft halo', 'middle', 10)}</g>"
        )


def _at(value: float) -> float:
    return LEFT + PLOT * min(1.0, max(0.0, value))


def _label(label: tuple[str, str], most: int) -> str:
    english, korean = (html.escape(shorten(_plain(words), most)) for words in label)
    if english == korean:
        return f"<title>{escape(label[0])}</title>{english}"
    title = f"<title>{escape(' · '.join(label))}</title>"
    return f'{title}<tspan class="ko">{korean}</tspan><tspan class="en"> {english}</tspan>'


def _plain(words: str) -> str:
    """One line without what cannot be shown, not yet HTML."""
    return html.unescape(escape(" ".join(words.split())))


Point = tuple[float, float, float | None, float | None]
"""Tokens, value, low, high."""


def curve(
    lines: Mapping[int, Sequence[Point]],
    levels: Mapping[str, tuple[str, float]],
    title: str,
    description: str,
) -> str:
    """Scores over tokens: a line and its band for each model; levels (style, height) across, with names."""
    points = [point for each in lines.values() for point in each]
    heights = [y for _, *ys in points for y in ys if y is not None] + [y for _, y in levels.values()]
    most = max(point[0] for point in points) or 1.0
    step = tick(max(heights) - min(heights) or 0.1)
    low, high = step * math.floor(min(heights) / step), step * math.ceil(max(heights) / step + 0.2)
    left, right, bottom = float(MARGIN), WIDTH - 20.0, HEIGHT - 30.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / most, bottom - (bottom - 10) * (y - low) / (high - low)

    parts = []
    for count in range(round((high - low) / step) + 1):
        y = place(0, low + step * count)[1]
        parts.append(line("grid", (left, right), (y, y)))
        parts.append(text(left - 6, y + 4, f"{low + step * count:.2f}", "soft", "end"))
    for quarter in range(5):
        x = most * quarter / 4
        parts.append(text(place(x, low)[0], HEIGHT - 10, tokens(x), "soft", "middle"))
    for style, value in levels.values():
        parts.append(line(style, (left, right), (place(0, value)[1],) * 2))
    for index, each in lines.items():
        band = [(x, bottom, top) for x, _, bottom, top in each if bottom is not None and top is not None]
        around = [place(x, under) for x, under, _ in band] + [
            place(x, over) for x, _, over in reversed(band)
        ]
        parts.append(f'<polygon points="{_points(around)}" fill="{colour(index)}" fill-opacity=".16"/>')
        dashes = DASHES[index % len(DASHES)]
        parts.append(
            f'<polyline points="{_points([place(x, y) for x, y, *_ in each])}" fill="none" '
            f'stroke="{colour(index)}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        parts += [marker(index, *place(x, y)) for x, y, *_ in each]
    for name, (style, value) in levels.items():  # scores start at chance and end above the controls
        x, anchor = (right - 4, "end") if style == "chance" else (left + 4, "start")
        parts.append(text(x, place(0, value)[1] - 4, escape(name), "soft halo", anchor, 11))
    return svg(WIDTH, HEIGHT, title, description, "".join(parts))


def tick(extent: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that goes into `extent` about five times."""
    power = 10.0 ** math.floor(math.log10(extent / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= extent / 5 * 0.999)


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
