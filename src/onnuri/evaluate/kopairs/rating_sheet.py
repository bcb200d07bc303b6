"""One HTML page on which native speakers judge the pairs, and the reading of what they judged.

The page needs no network: it holds its items, keeps the rater's progress in the browser and hands the
judgements out as JSONL. Quads are shown as their x pair. A phenomenon is kept when at least 95 % of blind
judgements name the good sentence.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.base.errors import UserError, system_error
from onnuri.evaluate.kopairs.files import identity
from onnuri.evaluate.kopairs.items import Item
from onnuri.evaluate.kopairs.rating_page import PAGE

PAIRS = 20
"""Pairs of each phenomenon that a rater sees."""
AGREEMENT = 0.95
"""Share of judgements that must agree with the key for a phenomenon to be kept."""
JUDGEMENTS = ("left", "right", "unsure")


class Rating(NamedTuple):
    """What raters said about a phenomenon."""

    state: str
    """kept, dropped or unrated."""
    agreement: float | None
    """Share of judgements that name the good sentence; "unsure" does not. None without judgements."""
    judgements: int
    raters: int


def shown(items: Sequence[Item], seed: int) -> list[tuple[Item, bool]]:
    """The items in the order of the sheet, and whether the good sentence stands on the left."""
    order = random.Random(seed)
    groups: defaultdict[str, list[tuple[float, Item]]] = defaultdict(list)
    for item in items:
        groups[item.phenomenon].append((order.random(), item))
    chosen = [item for group in groups.values() for _, item in sorted(group)[:PAIRS]]
    placed = sorted((order.random(), item) for item in chosen)
    return [(item, order.random() < 0.5) for _, item in placed]


def write_rating_sheet(path: Path, items: Sequence[Item], seed: int = 1) -> None:
    """Write the page. Its data do not say which sentence is good. Raises UserError if it cannot write."""
    pairs = [
        {"item": item.id, "left": item.sentences[0 if good_left else 1], "right": item.sentences[good_left]}
        for item, good_left in shown(items, seed)
    ]
    data = {"identity": identity(items), "seed": seed, "pairs": pairs}
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    try:
        path.write_text(PAGE.replace("{{DATA}}", text), encoding="utf-8")
    except OSError as error:
        raise system_error(error, path) from None


def read_ratings(paths: Iterable[Path], items: Sequence[Item]) -> dict[str, Rating]:
    """Agreement of the raters with the key, for every phenomenon of the items.

    A rater who sent a file twice counts once, with the later file. Raises UserError for a file that holds
    no judgements of these items.
    """
    wanted = identity(items)
    by_id = {item.id: item for item in items}
    sides: dict[int, dict[str, bool]] = {}
    answers: dict[tuple[str, str], tuple[str, bool]] = {}
    for path in paths:
        for row in _rows(path):
            if row.get("identity") != wanted:
                raise UserError(
                    f"{path} judges other items (another version or seed); make the sheet again"
                )
            seed, name, rater, answer = (row.get(key) for key in ("seed", "item", "rater", "judgement"))
            if type(seed) is int and seed not in sides:
                sides[seed] = {item.id: good_left for item, good_left in shown(items, seed)}
            side = sides.get(seed, {}) if type(seed) is int else {}
            if not isinstance(rater, str) or answer not in JUDGEMENTS or name not in side:
                raise UserError(
                    f"{path} is damaged (a line is no judgement of the sheet); download it again"
                )
            answers[rater, name] = by_id[name].phenomenon, answer == ("left" if side[name] else "right")
    return {name: _rating(name, answers) for name in dict.fromkeys(item.phenomenon for item in items)}


def _rating(phenomenon: str, answers: dict[tuple[str, str], tuple[str, bool]]) -> Rating:
    agreed = {key: right for key, (name, right) in answers.items() if name == phenomenon}
    if not agreed:
        return Rating("unrated", None, 0, 0)
    agreement = sum(agreed.values()) / len(agreed)
    raters = len({rater for rater, _ in agreed})
    return Rating("kept" if agreement >= AGREEMENT else "dropped", agreement, len(agreed), raters)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise system_error(error, path) from None
    except ValueError:
        rows = []
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} holds no judgements; take the file that the rating sheet downloads")
    return rows
