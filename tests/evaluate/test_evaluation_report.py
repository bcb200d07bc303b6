"""The report page on invented results: what stands in it, what must not, and what it refuses."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.evaluate.columns import cells, shorten
from onnuri.evaluate.report import write_report
from onnuri.evaluate.report.charts import tick
from onnuri.evaluate.report.worst import deficit
from onnuri.evaluate.table import table
from tests.evaluate.invented import comparison, curve, option, result, samples, task, with_text

VOID = {"meta", "input", "br", "link", "hr", "img", "circle", "rect", "path", "line", "polyline", "polygon"}


class Page(HTMLParser):
    """The text of a page and its tags; fails where a tag is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and not (tag in ("th", "tr", "td") and self.open[-1] != tag):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + "\n"

    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]


def written(tmp_path: Path, *results: dict[str, Any], given: list[dict[str, Any]] | None = None) -> Page:
    path = tmp_path / "evaluation.html"
    write_report(path, list(results), given or [])
    return Page(path.read_text(encoding="utf-8"))


def test_everything_stands_in_the_page(tmp_path: Path) -> None:
    this, other = with_text(result()), result("baseline", -0.04)
    this["curve"] = curve(5)
    this["comparisons"] = [comparison(0.01, 0.05)]
    page = written(tmp_path, this, other, given=samples(200))
    protocol = this["tasks"]["kopairs"]["protocol"]
    expected = ["KoPairs", "KoBEST COPA(인과)", "0.710", "[0.680, 0.740]", "0.420", protocol[:12], protocol]
    expected += [
        "확인하지 않음",
        "not checked",
        "제외하면",
        "josa_object",
        "6-gram",
        "bigram",
        "baseline",
        "125M",
    ]
    expected += [
        "A 낱말 형태",
        "D, register and spelling (no grammar)",
        "학생이 사과을 샀다.",
        "1.312",
        "2.100",
    ]
    expected += ["Labels are by translation.", "shots", "CC-BY-SA-4.0", "▲ ", "0.028", "0.012"]
    for words in expected:
        assert words in page.text, words
    assert page.names().count("title") > page.names().count("desc") >= 4


def test_nothing_is_loaded_and_no_script_runs(tmp_path: Path) -> None:
    this = result() | {"curve": curve(3)}
    page = written(tmp_path, this, given=samples(40))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.names())
    for tag, attributes in page.tags:
        assert not {"src", "href", "xlink:href", "action", "data"} & attributes.keys(), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    source = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert re.search(r"https?:|url\(|@import|//[a-z]", source) is None


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    bad = '</style></svg><script>alert("1")</script>\u202e\u0000"onload="x'
    this = result(bad)
    this["tasks"][bad] = task(
        bad,
        0.6,
        bad,
        groups={bad: this["tasks"]["kopairs"]["groups"]["counter"]},
        facts={bad: bad},
        note=bad,
    )
    this["tasks"][bad]["controls"] = {bad: 0.5}
    this["tasks"][bad]["licence"] = this["tasks"][bad]["formulation"] = bad
    this["curve"] = curve(3)
    for point in this["curve"]:
        point["tasks"][bad] = point["tasks"].pop("kopairs") | {"protocol": this["tasks"][bad]["protocol"]}
    this["comparisons"] = [comparison(-0.2, -0.1, bad, task=bad, other=bad)]
    with_text(this)
    this["languages"] = {bad: {"documents": 1, "bytes": 1, "bits_per_byte": 1.0}}
    lines = [
        {"task": bad, "item": bad, "group": bad, "label": 0, "chosen": 1, "value": 0.0}
        | {"options": [option(bad, 9.0, bad), option("가" * 10_000, 1.0, "나" * 10_000)]}
    ]
    page = written(tmp_path, this, given=lines)
    assert "script" not in page.names()
    assert page.names().count("style") == 1
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert "\u202e" not in page.text
    assert "\u0000" not in page.text
    assert page.text.count('<script>alert("1")</script>') > 10
    assert "가" * 10_000 in page.text  # in full


def test_absent_parts_leave_no_trace(tmp_path: Path) -> None:
    bare = result()
    for entry in bare["tasks"].values():
        del entry["metrics"]["bits_per_byte"]
    del bare["tasks"]["kopairs"]
    page = written(tmp_path, bare)
    for words in ("Comparisons", "Scores while training", "Bits per byte", "Worst items", "phenomenon"):
        assert words not in page.text, words
    assert "polyline" not in page.names()
    assert "Scores with intervals" in page.text
    only_text = with_text({"request": {}, "model": {"name": "m"}, "tasks": {}})
    assert "1.312" in written(tmp_path, only_text).text


def test_a_curve_shows_phenomena_by_checkpoint(tmp_path: Path) -> None:
    page = written(tmp_path, result() | {"curve": curve(40)})
    heat = next(
        index for index, (_, attributes) in enumerate(page.tags) if attributes.get("class") == "heat"
    )
    row = page.names()[heat:].index("td")
    assert (
        page.names()[heat : heat + row].count("th") == 15
    )  # 14 of the 40 checkpoints, the last among them
    assert "1G" in page.text
    assert "마지막 5개 체크포인트의 표준편차" in page.text
    assert page.names().count("polyline") == 2
    assert "heat" not in [attributes.get("class") for _, attributes in written(tmp_path, result()).tags]


def test_a_winner_is_never_marked_when_the_interval_contains_zero(tmp_path: Path) -> None:
    def marks(**changes: Any) -> list[str]:
        given = comparison(**changes)
        return re.findall("[▲▽]", written(tmp_path, result() | {"comparisons": [given]}).text)

    assert marks(low=0.01, high=0.05) == ["▲"]
    assert marks(low=-0.05, high=-0.01) == ["▽"]
    assert marks(low=-0.01, high=0.05) == []
    assert marks(low=0.0, high=0.05, p=0.001) == []
    assert marks(low=0.01, high=0.05, p_holm=0.2) == []
    assert marks(low=0.01, high=0.05, metric="bits_per_byte") == ["▽"]


def test_results_of_different_protocols_are_refused(tmp_path: Path) -> None:
    one, other = result("first"), result("second")
    other["tasks"]["kmmlu_cloze"] = task("KMMLU", 0.3, chance=0.25, facts={"shots": 5})
    with pytest.raises(
        UserError, match=r"task kmmlu_cloze: first and second .* shots is 0 and 5"
    ) as refusal:
        written(tmp_path, one, other)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "evaluation.html").exists()
    del other["tasks"]["kmmlu_cloze"]
    written(tmp_path, one, other)

    one["curve"], other["curve"] = curve(3), curve(3)
    other["curve"][2]["tasks"]["kopairs"]["protocol"] = "0" * 64
    with pytest.raises(UserError, match=r"the curve of task kopairs: first and second .* 000000000000"):
        written(tmp_path, one, other)

    text = with_text(result("third"))
    text["request"]["data"] = "other"
    with pytest.raises(UserError, match=r"bits per byte: first and third .* data is efef"):
        written(tmp_path, with_text(result("first")), text)


def test_both_languages_and_a_switch_without_script(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_report(path, [result()], [], "en")
    page = Page(path.read_text(encoding="utf-8"))
    radios = {attributes["id"]: "checked" in attributes for tag, attributes in page.tags if tag == "input"}
    assert radios == {"show-ko": False, "show-en": True}
    korean = [attributes for _, attributes in page.tags if attributes.get("lang") == "ko"]
    english = [attributes for _, attributes in page.tags if attributes.get("class") == "en"]
    assert len(korean) > 20
    assert len(english) >= len(korean)
    with pytest.raises(UserError, match="language=fr is not known; allowed: ko, en"):
        write_report(path, [result()], [], "fr")


def test_unrated_phenomena_and_those_that_do_not_count_are_named(tmp_path: Path) -> None:
    this = result()
    this["tasks"]["kopairs"]["groups"]["counter"]["rated"] = False
    page = written(tmp_path, this)
    assert "not rated by native speakers" in page.text
    assert "vowel_harmony *" in page.text
    assert "not rated" not in written(tmp_path, result()).text


def test_the_worst_items_come_first_and_right_ones_never(tmp_path: Path) -> None:
    lines = []
    for index in range(30):
        options = [option("학생이 왔다.", 20.0 + index), option("학생가 왔다.", 25.0)]
        line = {"task": "kopairs", "item": f"item-{index:02}", "group": "josa_subject", "label": None}
        lines.append(line | {"options": options, "value": float(20 + index < 25)})
    page = written(tmp_path, result(), given=lines)
    found = re.findall(r"item-\d\d", page.text)
    assert found == [f"item-{index:02}" for index in range(29, 9, -1)]
    assert "49.00" in page.text


def test_text_is_ranked_by_its_bits_per_byte(tmp_path: Path) -> None:
    """It has one option, which is always chosen."""
    this = result()
    this["tasks"]["text"] = task("LAMBADA", 1.2, "bits_per_byte") | {"chance": None}
    lines = [
        {"task": "text", "item": f"text-{nats}", "label": 0, "chosen": 0, "value": 1.0, "group": ""}
        | {"options": [option("단어", nats, "앞 문맥")]}
        for nats in (2.0, 9.0)
    ]
    assert re.findall(r"text-\d", written(tmp_path, this, given=lines).text) == ["text-9", "text-2"]


def test_deficit_is_in_the_unit_of_the_metric() -> None:
    choice = {"label": 1, "options": [option("abcd", 4.0), option("ab", 3.0)]}
    assert deficit(choice, "accuracy") == -1.0
    assert deficit(choice, "accuracy_bytes") == pytest.approx(0.5)
    quad = {"label": None, "options": [option("x", nats) for nats in (5.0, 2.0, 4.0, 3.0)]}
    assert deficit(quad, "accuracy_macro") == pytest.approx(2.0)


def test_samples_of_eight_thousand_items_make_a_small_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_report(path, [result()], samples(8000))
    assert path.stat().st_size < 500_000


def test_the_terminal_table_is_aligned_in_columns(tmp_path: Path) -> None:
    entry = result()
    long = "한국어 이해 평가, 아주 긴 이름의 과제, 세부 항목을 모두 더한 점수"
    entry["tasks"]["long"] = task(long, 0.25, chance=0.2)
    entry["tasks"]["bits"] = task("LAMBADA", 1.2, "bits_per_byte") | {"chance": None, "centred": None}
    lines = table(entry, "ko").splitlines()
    assert max(map(cells, lines)) <= 100
    assert "KoBEST COPA(인과)" in table(entry, "ko")
    assert "0.560     0.530-0.590" in table(entry)
    ends = {cells(line[: line.index(".")]) for line in lines[1:]}
    assert len(ends) == 1  # all values stand in one column
    assert sum("  tier " in line for line in lines) == 4
    assert table({"tasks": {}}) == ""


def test_widths_of_text() -> None:
    # as wcwidth 0.9 has them
    assert [cells(text) for text in ("한국어", "abc", "漢字", unicodedata.normalize("NFD", "한"))] == [
        6,
        3,
        4,
        2,
    ]
    assert cells("e\u0301\u200b") == 1
    assert shorten("한국어 평가", 7) == "한국어…"
    assert shorten("한국어", 6) == "한국어"


def test_ticks_are_round() -> None:
    assert [tick(extent) for extent in (0.27, 0.5, 0.06, 3.0)] == pytest.approx([0.1, 0.1, 0.02, 1.0])
