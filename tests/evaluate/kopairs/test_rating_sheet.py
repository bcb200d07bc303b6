"""The sheet for native raters: one file without network, blind, and what comes back is checked."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.evaluate.kopairs.files import identity
from onnuri.evaluate.kopairs.generate import PHENOMENA, generate
from onnuri.evaluate.kopairs.rating_sheet import PAIRS, read_ratings, write_rating_sheet

ITEMS = generate(1)
GOOD = {item.id: item.sentences[0] for item in ITEMS}


def page_data(path: Path) -> dict[str, object]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', path.read_text("utf-8"))
    assert found
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "sheet.html"
    write_rating_sheet(path, ITEMS, seed=4)
    return path


def judgements(sheet: Path, rater: str, wrong: Counter[str] | None = None) -> list[dict[str, object]]:
    """What a rater answers who knows the good sentence, but for `wrong` answers of a phenomenon."""
    data, wrong = page_data(sheet), Counter(wrong)
    rows = []
    for pair in data["pairs"]:  # type: ignore[attr-defined]
        name = pair["item"].rsplit("-", 1)[0]
        good = "left" if pair["left"] == GOOD[pair["item"]] else "right"
        if wrong[name] > 0:
            wrong[name] -= 1
            good = "unsure"
        rows.append(
            {
                "identity": data["identity"],
                "seed": 4,
                "rater": rater,
                "item": pair["item"],
                "judgement": good,
            }
        )
    return rows


def store(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_sheet_is_blind_balanced_and_offline(sheet: Path) -> None:
    text = sheet.read_text(encoding="utf-8")
    assert not re.search(r"https?:|src=|@import|url\(", text)
    assert (
        '<html lang="ko">' in text and "width=device-width" in text and "prefers-color-scheme: dark" in text
    )
    data = page_data(sheet)
    assert data["identity"] == identity(ITEMS)
    pairs = data["pairs"]
    assert isinstance(pairs, list)
    shown = Counter(pair["item"].rsplit("-", 1)[0] for pair in pairs)
    assert shown == dict.fromkeys(PHENOMENA, PAIRS)
    assert all(set(pair) == {"item", "left", "right"} for pair in pairs)
    lefts = sum(pair["left"] == GOOD[pair["item"]] for pair in pairs)
    assert 0.4 < lefts / len(pairs) < 0.6
    by_item = {item.id: item.sentences[:2] for item in ITEMS}
    assert all({pair["left"], pair["right"]} == set(by_item[pair["item"]]) for pair in pairs)
    neighbours = sum(a["item"][:8] == b["item"][:8] for a, b in itertools.pairwise(pairs))
    assert neighbours < len(pairs) / 5  # phenomena are mixed


def test_agreement_keeps_and_drops(sheet: Path, tmp_path: Path) -> None:
    first = store(tmp_path / "a.jsonl", judgements(sheet, "a", Counter(counter=1, kinship=2)))
    second = store(tmp_path / "b.jsonl", judgements(sheet, "b", Counter(counter=1)))
    ratings = read_ratings([first, second, first], ITEMS)
    assert ratings["counter"] == ("kept", 0.95, 40, 2)
    assert ratings["kinship"] == ("kept", 0.95, 40, 2)
    assert ratings["npi_amudo"] == ("kept", 1.0, 40, 2)
    assert read_ratings([first], ITEMS)["kinship"] == ("dropped", 0.9, 20, 1)


def test_what_nobody_judged_is_unrated(sheet: Path, tmp_path: Path) -> None:
    assert {rating.state for rating in read_ratings([], ITEMS).values()} == {"unrated"}
    rows = [row for row in judgements(sheet, "a") if str(row["item"]).startswith("counter-")]
    ratings = read_ratings([store(tmp_path / "a.jsonl", rows)], ITEMS)
    assert ratings["counter"].state == "kept"
    assert ratings["kinship"] == ("unrated", None, 0, 0)


def test_files_that_are_no_ratings_are_refused(sheet: Path, tmp_path: Path) -> None:
    row = judgements(sheet, "a")[0]
    cases = {
        "judges other items": [row | {"identity": "0"}],
        "is damaged": [row | {"judgement": "both"}],
        "a line is no judgement": [row | {"item": "counter-9999"}],
        "download it again": [row | {"seed": "4"}],
        "no judgement of the sheet": [row | {"rater": 3}],
        "holds no judgements": [],
    }
    for message, rows in cases.items():
        with pytest.raises(UserError, match=message):
            read_ratings([store(tmp_path / "a.jsonl", rows)], ITEMS)
    (tmp_path / "a.jsonl").write_text("not JSON\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds no judgements"):
        read_ratings([tmp_path / "a.jsonl"], ITEMS)
    with pytest.raises(UserError, match="No such file"):
        read_ratings([tmp_path / "absent"], ITEMS)
    with pytest.raises(UserError, match="No such file"):
        write_rating_sheet(tmp_path / "absent" / "sheet.html", ITEMS)
