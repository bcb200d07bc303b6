"""Scores of a result for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnuri.evaluate.columns import cells, shorten

WIDTHS = {"task": 31, "metric": 20, "value": 8, "95 % interval": 15, "chance": 7, "items": 7}
"""Columns of each part; with a space between them and the hash they make 100 at most."""


def table(result: Mapping[str, Any], language: str = "en") -> str:
    """A line for each task and tier, at most 100 columns wide; empty without tasks."""
    lines = []
    for name, entry in (result.get("tasks") or {}).items():
        title = entry.get("title") or name
        title = title.get(language, name) if isinstance(title, Mapping) else title
        score = entry["metrics"][entry["metric"]]
        chance, items = entry.get("chance"), f"{entry['items']:,}"
        protocol = entry["protocol"][:6]
        lines.append(_line(str(title), entry["metric"], _scores(score, chance), items, protocol))
        for tier, each in (entry.get("tiers") or {}).items():
            if each.get("value") is not None:
                lines.append(_line(f"  tier {tier}", "", _scores(each, each.get("chance")), "", ""))
    if not lines:
        return ""
    heads = list(WIDTHS)
    return "\n".join([_line(heads[0], heads[1], (heads[2], heads[3], heads[4]), heads[5], "hash"), *lines])


def comparison_table(result: Mapping[str, Any]) -> str:
    """A line for each comparison; empty without."""
    lines = []
    for each in result.get("comparisons") or []:
        names = f"{_padded(each['task'], 24)} {_padded(each['other'], 24)}"
        ends = f"{each['low']:+.3f} to {each['high']:+.3f}"
        numbers = f"{each['difference']:>+10.3f} {ends:>17} {each['p_holm']:>7.3f}"
        lines.append(f"{names} {numbers} {each['smallest_effect']:>9.3f}")
    if not lines:
        return ""
    heads = f"{'difference':>10} {'95 % interval':>17} {'p Holm':>7} {'could see':>9}"
    head = f"{'task':<24} {'against':<24} {heads}"
    return "\n".join([head, *lines])


def _scores(entry: Mapping[str, Any], chance: float | None) -> tuple[str, str, str]:
    low, high = entry.get("low"), entry.get("high")
    interval = "" if low is None or high is None else f"{low:.3f}-{high:.3f}"
    return f"{entry['value']:.3f}", interval, "" if chance is None else f"{chance:.3f}"


def _line(task: str, metric: str, scores: tuple[str, str, str], items: str, protocol: str) -> str:
    widths = list(WIDTHS.values())
    left = [_padded(text, width) for text, width in zip((task, metric), widths, strict=False)]
    right = [f"{text:>{width}}" for text, width in zip((*scores, items), widths[2:], strict=True)]
    return " ".join([*left, *right, protocol]).rstrip()


def _padded(text: str, width: int) -> str:
    shown = shorten("".join(character for character in text if character.isprintable()), width)
    return shown + " " * (width - cells(shown))
