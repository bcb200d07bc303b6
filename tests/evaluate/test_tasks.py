"""Task files: what comes with Onnuri reads the published columns; what is wrong is one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.evaluate import suite, task_file
from onnuri.evaluate.config import ListConfig
from onnuri.evaluate.items import Item, Request
from onnuri.evaluate.listing import listing
from onnuri.evaluate.metrics import judge, summary
from tests.evaluate import benchmark_rows

VARIANTS = {"kmmlu_5shot", "kmmlu_cloze", "global_mmlu_ko_full"}
"""Other ways to ask the same files."""


@pytest.mark.parametrize("name", [name for name in task_file.names() if name not in VARIANTS])
def test_each_task_reads_its_published_columns(name: str, tmp_path: Path) -> None:
    rows = benchmark_rows.write(name, tmp_path)
    found = suite.load(name, str(tmp_path))
    items = {"nsmc": len(rows) - 1, "chat/kobbq": 3 * len(rows), "chat/kosbi": 12, "chat/square": 8}
    assert len(found.items) == items.get(name, len(rows))  # of nsmc one review is empty; pairs; rotations
    for item in found.items:
        assert item.label is not None and 0 <= item.label < len(item.options)
        assert len({option.context for option in item.options}) == 1
        assert "{{" not in item.options[0].context + item.options[0].continuation
    assert len(found.protocol) == 64


def test_all_tasks_have_rows() -> None:
    assert set(task_file.names()) == set(benchmark_rows.ROWS) | VARIANTS


def test_prompts(tmp_path: Path) -> None:
    """Two of them letter by letter; the others are compared with lm-eval's."""
    (row, *_) = benchmark_rows.write("kmmlu", tmp_path, 8)
    item = suite.load("kmmlu", str(tmp_path)).items[0]
    question = row["question"].strip()
    listed = f"A. {row['A']}\nB. {row['B']}\nC. {row['C']}\nD. {row['D']}"
    assert item.options[1] == Request(f"{question}\n{listed}\n정답：", " B")
    assert (item.label, item.group) == (0, "과목0")
    cloze = suite.load("kmmlu_cloze", str(tmp_path)).items[0]
    assert cloze.options[1] == Request(f"{question}\n정답：", f" {row['B']}")
    benchmark_rows.write("click", tmp_path, 6)
    five, four = suite.load("click", str(tmp_path)).items[:2]
    assert (len(five.options), len(four.options)) == (5, 4)
    assert "A, B, C, D, E 중에" in five.options[0].context and ", E: 4. " in five.options[0].context
    assert five.label == 4


def test_examples_come_from_the_same_subject(tmp_path: Path) -> None:
    benchmark_rows.write("kmmlu", tmp_path, 20)
    dev = tmp_path / "KMMLU/data/Accounting-dev.csv"
    dev.write_text(
        (tmp_path / "KMMLU/data/Accounting-test.csv").read_text(encoding="utf-8"), encoding="utf-8"
    )
    context = suite.load("kmmlu_5shot", str(tmp_path)).items[1].options[0].context
    assert context.count("정답：") == 6
    assert context.count("정답： ") == 5
    assert context.split("\n\n")[0].endswith("정답： B")  # rows 1, 3, 5, 7, 9 are of subject 1


OWN = """\
title: 우리 문제
data: 문제.jsonl
columns: [질문, 보기, 정답]
context: "{{질문}}\\n답:"
choices_from: 보기
label: 정답
"""


def own(folder: Path, text: str = OWN, rows: str = "") -> str:
    (folder / "my.yaml").write_text(text, encoding="utf-8")
    line = json.dumps({"질문": "수도는?", "보기": ["서울", "부산"], "정답": "서울"}, ensure_ascii=False)
    (folder / "문제.jsonl").write_text(rows or line + "\n", encoding="utf-8")
    return str(folder / "my.yaml")


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    """Hangul column names; the file lies beside the task file, packed or not."""
    found = suite.load(own(tmp_path))
    assert (found.name, found.items[0].options[0]) == ("my", Request("수도는?\n답:", " 서울"))
    plain = (tmp_path / "문제.jsonl").read_bytes()
    (tmp_path / "문제.jsonl").unlink()
    (tmp_path / "문제.jsonl.gz").write_bytes(gzip.compress(plain))
    own_packed = tmp_path / "my.yaml"
    own_packed.write_text(OWN.replace("문제.jsonl", "문제.jsonl.gz"), encoding="utf-8")
    assert suite.load(str(own_packed)).items == found.items


MISTAKES = {
    "no file": (OWN.replace("문제.jsonl", "없음.jsonl"), "", "no file"),
    "column": (OWN.replace("[질문,", "[문제,"), "", "row 1 has no column '문제'; it has 질문, 보기, 정답"),
    "label": (
        OWN,
        '{"질문": "?", "보기": ["가"], "정답": "나"}\n',
        "row 1: the label '나' is not one of '가'",
    ),
    "index": (OWN, '{"질문": "?", "보기": ["가"], "정답": 1}\n', "the label 1 is not from 0 to 0"),
    "choices": (OWN, '{"질문": "?", "보기": "가", "정답": 0}\n', "the choices are no list of texts"),
    "empty": (OWN, "\n", "has no item"),
    "no JSON": (OWN, "{\n", "cannot be read"),
    "no row": (OWN, "[1]\n", "row 1 is no table row"),
    "key": (OWN + "metrics: acc\n", "", "unknown key 'metrics' (did you mean 'metric'?)"),
    "metric": (OWN + "metric: acc\n", "", "metric"),
    "template": (OWN.replace("{{질문}}", "{{질문"), "", "task my: "),
    "undefined": (OWN.replace("{{질문}}", "{{물음}}"), "", "'물음' is undefined"),
    "code": (OWN.replace("{{질문}}", "{{질문.__class__.__mro__}}"), "", "unsafe"),
    "ending": (OWN.replace("문제.jsonl", "my.yaml"), "", "files of a task end in"),
    "base": (OWN + "extends: kmlu\n", "", "is no task that comes with Onnuri (did you mean 'kmmlu'?)"),
    "shots": (OWN + "shots: 2\n", "", "shots and shots_data go together"),
    "pair": (OWN + "pair: 질문\n", "", "pair goes with a single choice"),
    "repeat": (OWN + "repeat: 0\n", "", "repeat=0 must be from 1 to 100"),
    "unknown": (OWN + "biased: '0'\n", "", "biased and unknown go together"),
    "chat": (OWN + "chat: true\nmetric: accuracy_pmi\n", "", "chat goes neither with shots nor with"),
    "no pair": (
        OWN.replace("choices_from: 보기", 'choices: ["{{질문}}"]') + "pair: 질문\n",
        "",
        "has no pair of a better and another answer",
    ),
    "few": (OWN + "shots: 2\nshots_data: 문제.jsonl\n", "", "has 0 examples"),
    "same name": (
        OWN + "item: 질문\n",
        '{"질문": "?", "보기": ["가"], "정답": 0}\n' * 2,
        "2 items are called '?'",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_tasks(case: str, tmp_path: Path) -> None:
    text, rows, message = MISTAKES[case]
    with pytest.raises(UserError) as caught:
        suite.load(own(tmp_path, text, rows))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_tasks() -> None:
    for name, message in {
        "kmlu": "(did you mean 'kmmlu'?)",
        "no/such.yaml": "does not exist",
        "olmes/arc": "allowed: olmes/arc_easy, ",
        "olmes/arc_easy": "needs olmes=",
        "kmmlu": "needs tasks_dir=DIR with KMMLU/data/*-test.csv",
    }.items():
        with pytest.raises(UserError) as caught:
            suite.load(name)
        assert message in str(caught.value)


def test_subset_is_the_same_each_time_and_even(tmp_path: Path) -> None:
    benchmark_rows.write("kmmlu", tmp_path, 24)
    part = suite.load("kmmlu", str(tmp_path), max_items=7)
    assert part.items == suite.load("kmmlu", str(tmp_path), max_items=7).items
    assert sorted(item.group for item in part.items) == ["과목0"] * 4 + ["과목1"] * 3
    whole = suite.load("kmmlu", str(tmp_path))
    assert [item for item in whole.items if item in part.items] == part.items
    assert part.protocol != whole.protocol
    assert suite.load("kmmlu", str(tmp_path), max_items=99).protocol == whole.protocol


def test_wheel(tmp_path: Path) -> None:
    wheel = str(benchmark_rows.olmes_wheel(tmp_path / "olmes.whl", 5))
    found = suite.load("olmes/arc_easy", wheel=wheel)
    assert (len(found.items), len(found.items[0].options), found.items[1].label) == (5, 4, 1)
    texts = suite.load("olmes/gsm8k", wheel=wheel)
    assert (texts.metric, len(texts.items[0].options), texts.items[0].label) == ("bits_per_byte", 1, None)
    with pytest.raises(UserError, match="cannot be read"):
        suite.load("olmes/piqa", wheel=wheel)
    (tmp_path / "cut.whl").write_bytes(Path(wheel).read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read"):
        suite.load("olmes/arc_easy", wheel=str(tmp_path / "cut.whl"))


def test_list() -> None:
    text = listing(ListConfig())
    for name in (*task_file.names(), "kopairs", "olmes/gsm8k"):
        assert f"\n{name} " in text
    assert "columns  question, answer, A, B, C, D, Category" in listing(ListConfig(tasks=["kmmlu"]))
    with pytest.raises(UserError, match="kmlu"):
        listing(ListConfig(tasks=["kmlu"]))


def choice(nats: tuple[float, ...], label: int, answers: tuple[str, ...]) -> Item:
    return Item(str(nats), tuple(Request("q", " " + answer) for answer in answers), label, answers=answers)


def test_metrics_by_hand() -> None:
    """Three bytes a syllable: by characters the long answer wins, by bytes too, plain the short one."""
    item = choice((3.0, 4.0), 1, ("가", "나다라"))
    scored = judge(item, (3.0, 4.0), (1, 3), (1.0, 4.0))
    assert scored.values == {"accuracy": 0, "accuracy_chars": 1, "accuracy_bytes": 1, "accuracy_pmi": 1}
    result = summary([scored], "accuracy_chars")
    assert result["metrics"]["bits_per_byte"]["value"] == pytest.approx(4 / 0.6931471805599453 / 10)
    assert (result["chance"], result["centred"]["value"]) == (0.5, 1.0)
    tie = judge(choice((2.0, 2.0), 1, ("a", "b")), (2.0, 2.0), (1, 1))
    assert tie.chosen["accuracy"] == 0  # the first, as everywhere


@pytest.mark.parametrize(
    ("nats", "value"),
    [
        ((1.0, 2.0), 1.0),
        ((2.0, 1.0), 0.0),
        ((1.0, 1.0 + 1e-9), 0.5),
        ((5.0, 6.0, 1.0, 1.5), 1.0),
        ((5.0, 6.0, 1.0, 2.5), 0.0),
    ],
)
def test_sentences(nats: tuple[float, ...], value: float) -> None:
    """Nats of (good, bad), or of a quad: (good - bad) against (control - control)."""
    item = Item("x", tuple(Request("", str(i)) for i in range(len(nats))), group="g", tier="B")
    assert judge(item, nats, (3,) * len(nats)).values == {"accuracy": value}


def test_damaged_models_are_refused() -> None:
    with pytest.raises(UserError, match="damaged"):
        judge(choice((1.0, 2.0), 0, ("a", "b")), (float("nan"), 1.0), (1, 1))
