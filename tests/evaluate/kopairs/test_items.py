"""The items of KoPairs: the same everywhere, counted, crossed exactly, no word in too many of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.evaluate.kopairs.files import CANARY, identity, read, write
from onnuri.evaluate.kopairs.generate import PHENOMENA, generate, score
from onnuri.evaluate.kopairs.items import Item, draw_items
from tests.conftest import REPOSITORY

ITEMS = generate(1)
IDENTITY = "8941958ea0ccdefb9ac1005da1af058fca7c2a50d297d60be633fda59fe0b989"
WORD_LIMITS = {"irregular_digeut_siot": 25}
"""Phenomena whose word lists are short by nature: Korean has few such stems (nine here)."""


def grams(sentence: str, order: int) -> Counter[str]:
    padded = "\x02" * (order - 1) + sentence + "\x03"
    return Counter(padded[i : i + order] for i in range(len(padded) - order + 1))


def test_identity_of_seed_1_is_that_of_the_version() -> None:
    """Whoever changes a word changes published scores: raise VERSION and this hash together."""
    assert identity(ITEMS) == IDENTITY


def python_of(version: str) -> str | None:
    """An interpreter of this version: on the path, or one that pyenv has put away."""
    away = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for python in (shutil.which(f"python{version}"), *map(str, away)):
        if python and not subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
            return python
    return None


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_another_python_makes_the_same_items(version: str) -> None:
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    program = (
        "import importlib, sys, types\n"
        "for name in ('onnuri', 'onnuri.evaluate'):\n"  # not their own modules: those may need more
        "    package = sys.modules[name] = types.ModuleType(name)\n"
        "    package.__path__ = [sys.argv[1] + '/' + name.replace('.', '/')]\n"
        "files = importlib.import_module('onnuri.evaluate.kopairs.files')\n"
        "print(files.identity(files.generate(1)))\n"
    )
    command = [python, "-c", program, str(REPOSITORY / "src")]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    assert process.stdout.strip() == IDENTITY, process.stderr


def test_seeds_differ_and_a_phenomenon_is_drawn_for_itself() -> None:
    again, _ = draw_items(PHENOMENA["counter"], 1)
    assert again == [item for item in ITEMS if item.phenomenon == "counter"]
    other, _ = draw_items(PHENOMENA["counter"], 2)
    same = {item.sentences for item in again} & {item.sentences for item in other}
    assert len(same) < 20


def test_8000_items_in_40_phenomena_of_four_tiers() -> None:
    assert Counter(item.phenomenon for item in ITEMS) == dict.fromkeys(PHENOMENA, 200)
    assert len(PHENOMENA) == 40
    assert Counter(p.tier for p in PHENOMENA.values()) == {"A": 15, "B": 7, "C": 14, "D": 4}
    assert len({item.id for item in ITEMS}) == len({item.sentences for item in ITEMS}) == 8000
    assert all(item.tier == PHENOMENA[item.phenomenon].tier for item in ITEMS)


def test_clusters_are_many_and_small() -> None:
    sizes = Counter(item.cluster for item in ITEMS)
    assert max(sizes.values()) <= 4
    numbers = Counter(cluster.split(":")[0] for cluster in sizes)
    assert min(numbers.values()) >= 60


@pytest.mark.parametrize("name", PHENOMENA)
def test_no_content_word_is_in_more_than_a_twentieth(name: str) -> None:
    _, used = draw_items(PHENOMENA[name], 1)
    limit = WORD_LIMITS.get(name, 10)
    assert PHENOMENA[name].word_limit == limit
    assert all(count <= limit for count in used.values())
    assert used or name == "josa_digit"  # numbers are no words


def test_pairs_have_as_many_syllables_on_both_sides_and_differ_in_one_word() -> None:
    for item in ITEMS:
        if PHENOMENA[item.phenomenon].kind == "pair":
            good, bad = item.sentences
            assert len(good) == len(bad), item
            assert sum(a != b for a, b in zip(good.split(), bad.split(), strict=True)) == 1, item


def test_quads_are_crossed_exactly() -> None:
    """The same words on both sides; where x and its environment stand apart, the same 6-grams too."""
    quads = [item for item in ITEMS if PHENOMENA[item.phenomenon].kind != "pair"]
    assert len(quads) == 26 * 200
    for item in quads:
        good_x, bad_x, good_y, bad_y = item.sentences
        orders = (1,) if PHENOMENA[item.phenomenon].adjacent else (1, 2, 3, 4, 5, 6)
        for order in orders:
            plus, minus = (grams(a, order) + grams(b, order) for a, b in ((good_x, bad_y), (bad_x, good_y)))
            assert plus == minus, item
        if not PHENOMENA[item.phenomenon].adjacent:
            assert Counter([*good_x.split(), *bad_y.split()]) == Counter([*bad_x.split(), *good_y.split()])


def test_sentences_are_plain_korean() -> None:
    for item in ITEMS:
        for sentence in item.sentences:
            assert "_" not in sentence and "  " not in sentence and "{" not in sentence, item
            assert sentence == sentence.strip() and sentence[-1] in ".?", item


def test_score_counts_a_tie_as_half_a_point() -> None:
    pair, quad = ITEMS[0], next(item for item in ITEMS if len(item.sentences) == 4)
    assert [score(pair, (-1.0, -2.0)), score(pair, (-2.0, -1.0)), score(pair, (-1.0, -1.0))] == [1, 0, 0.5]
    assert score(quad, (-1.0, -2.0, -1.0, -1.5)) == 1  # x loses more in the bad environment than y does
    assert score(quad, (-1.0, -2.0, -1.0, -3.0)) == 0
    assert score(quad, (-1.0, -2.0, -3.0, -4.0)) == 0.5
    with pytest.raises(ValueError, match="has 2 sentences, not 4"):
        score(pair, (0.0,) * 4)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "kopairs.jsonl"
    assert write(path, 1) == ITEMS
    assert read(path) == ITEMS
    assert CANARY in path.read_text(encoding="utf-8").splitlines()[0]


def change_first_line(text: str, **facts: object) -> str:
    first, rest = text.split("\n", 1)
    return json.dumps(json.loads(first) | facts) + "\n" + rest


def test_files_that_are_not_what_they_say_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kopairs.jsonl"
    write(path, 1)
    text = path.read_text(encoding="utf-8")
    cases = {
        change_first_line(text, canary="other"): "no KoPairs file",
        change_first_line(text, version=0): "KoPairs version 0, not 1",
        text.replace("지영", "지연", 1): "was altered",
        text.rsplit("\n", 2)[0] + "\n": "was altered",
        text + "{\n": "was altered",
        text + "3\n": "was altered",
        "": "no KoPairs file",
        "[1]\n": "no KoPairs file",
    }
    for changed, message in cases.items():
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(UserError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "absent")
    with pytest.raises(UserError, match="No such file"):
        write(tmp_path / "absent" / "file")


def test_an_item_is_a_plain_tuple() -> None:
    assert ITEMS[0] == Item(*tuple(ITEMS[0]))
