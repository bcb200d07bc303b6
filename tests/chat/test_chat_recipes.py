"""Recipes of conversations: every published layout, one command each; terms in the manifest; mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.chat.data import recipe as recipes
from onnuri.chat.data.pack import pack
from onnuri.chat.format import render
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokens.config import PackConfig
from tests.chat.published_sets import SETS, Turns
from tests.chat.talks import documents, refused
from tests.conftest import REPOSITORY, run_command

Sample = Callable[[str], str]


def pack_recipe(name: str, given: Path | str, folder: Path, tokenizer: str, **words: Any) -> dict[str, Any]:
    words = {"kind": "chat", "heldout_share": 0.0, **words}
    out = str(folder / "out")
    made = pack(PackConfig(recipe=name, input=str(given), tokenizer=tokenizer, output=out, **words))
    manifest.verify(folder / "out", made)
    return made.counts


def ids_of(tokenizer: Any, turns: Turns) -> list[int]:
    found: list[int] = render(tokenizer, [{"role": role, "content": text} for role, text in turns]).ids
    return found


def test_all_recipes_have_a_set() -> None:
    assert recipes.names() == sorted([*SETS, "chatterbot-korean"])


@pytest.mark.parametrize("name", SETS)
def test_a_published_set(name: str, sample: Sample, tmp_path: Path) -> None:
    published, tokenizer = SETS[name], load_tokenizer(sample("tokenizer"))
    given = published.write(tmp_path)
    counts = pack_recipe(name, given, tmp_path, sample("tokenizer"), **published.options)
    packed = [ids for _, ids, _ in documents(tmp_path / "out")]
    assert packed == [ids_of(tokenizer, turns) for turns in published.talks]
    (source,) = counts["sources"]
    assert (source["license"], source["kind"], source["lang"]) == (published.license, published.kind, "ko")
    assert source["legal_basis"] and source["url"] and not source["unverified"]
    assert ("third_party_transfer" in source) == name.startswith("aihub")
    settings = manifest.read(tmp_path / "out", "tokens").settings
    assert settings["recipe"]["source"]["license"] == published.license
    assert str(tmp_path) not in json.dumps(settings["recipe"])
    if not published.pairs:
        with pytest.raises(
            UserError, match=f"recipe {name} has no pairs of answers; it goes with kind=chat"
        ):
            pack_recipe(name, given, tmp_path / "no", sample("tokenizer"), kind="preference")
        return
    with pytest.raises(UserError, match=r"made by a model.*allow=\[model-made\] takes them"):
        pack_recipe(name, given, tmp_path / "no", sample("tokenizer"))
    assert source["made_by"] == "HyperCLOVA"
    pack_recipe(name, given, tmp_path, sample("tokenizer"), kind="preference", **published.options)
    packed = [ids for _, ids, _ in documents(tmp_path / "out")]
    both = [
        [("user", prompt), ("assistant", said)] for prompt, *answers in published.pairs for said in answers
    ]
    assert packed == [ids_of(tokenizer, turns) for turns in both]


def test_the_package_in_one_command(sample: Sample, tmp_path: Path) -> None:
    words = [f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 'out'}"]
    run_command("pack", "kind=chat", "recipe=chatterbot-korean", *words)
    counts = manifest.read_whole(tmp_path / "out", "tokens").counts
    (source,) = counts["sources"]
    assert (source["name"], source["license"]) == ("chatterbot-korean", "BSD-3-Clause")
    assert counts["chat"]["conversations"] > 400 and set(counts["chat"]["refused"]) <= {"duplicate"}
    again = run_command("pack", "kind=chat", "recipe=chatterbot-korean", *words)
    assert "is up to date" in again.stderr + again.stdout


OWN = """\
source: {name: own, input: "${input}", license: LICENCE, legal_basis: contract}
instruction: "{{q}}"
output: "{{a}}"
"""


def own(folder: Path, text: str = OWN, licence: str = "MIT", rows: str = "q,a\n뭐예요?,톱이에요.\n") -> str:
    (folder / "own.yaml").write_text(text.replace("LICENCE", licence), encoding="utf-8")
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    return str(folder / "own.yaml")


def test_a_recipe_of_ones_own(sample: Sample, tmp_path: Path) -> None:
    """Damage is refused row by row; the licence of the recipe is checked as any other."""
    rows = 'q,a\n뭐예요?,톱이에요.\n못이에요?,\n너무,많은,칸\n"닫히지 않는'
    name = own(tmp_path, rows=rows)
    counts = pack_recipe(name, tmp_path / "rows.csv", tmp_path, sample("tokenizer"), most_refused=1.0)
    assert counts["chat"]["conversations"] == 1 and counts["chat"]["refused"] == {
        "empty turn": 1,
        "unreadable": 2,
    }
    assert [line["line"] for line in refused(tmp_path)] == [2, 3, 4]
    for licence, reason, allow in (
        ("CC-BY-NC-4.0", "non-commercial licence", "noncommercial"),
        ("KOGL-3", "no-derivatives licence", "no-derivatives"),
        ("KOGL-0", "", ""),
        ("KOGL-AI", "", ""),
    ):
        name, words = own(tmp_path, licence=licence), (tmp_path / "rows.csv", tmp_path, sample("tokenizer"))
        if reason:
            with pytest.raises(UserError, match=rf"{reason}: {licence}; allow=\[{allow}\] takes them"):
                pack_recipe(name, *words)
        made = pack_recipe(name, *words, allow=[allow] if allow else [])
        assert made["sources"][0]["license"] == licence


TURNS = OWN.partition("instruction")[0] + "turns: said\ntext: words\nspeaker: who\n"
MISTAKES = {
    "unknown": (OWN, {"recipe": "songy"}, "did you mean 'songys'"),
    "corpus recipe": (OWN, {"recipe": "sample"}, "recipe must be one of|allowed: aihub"),
    "not there": (OWN, {"recipe": "no/such.yaml"}, "recipe file no/such.yaml does not exist"),
    "no input": (OWN, {"input": ""}, "needs input="),
    "package": (OWN, {"recipe": "chatterbot-korean"}, "does not use input"),
    "tasks": (OWN, {"kind": "tasks"}, "recipe= goes with kind=chat"),
    "text": (OWN, {"kind": "text"}, "recipe= goes with kind=chat"),
    "no source": ("turns: x\n", {}, "needs a mapping named 'source'"),
    "key": (OWN + "wher: x\n", {}, "unknown key 'wher'.*mean 'where'"),
    "both": (OWN + "turns: x\n", {}, "either turns, or instruction and output"),
    "template": (OWN.replace("{{a}}", "{{a"), {}, "unexpected end of template"),
    "expression": (OWN + "where: a ==\n", {}, "in 'a =='"),
    "turns half": (TURNS.replace("speaker: who\n", ""), {}, "give turns, text and speaker"),
    "column": (OWN.replace("{{a}}", "{{answer}}"), {}, "missing columns: 'answer' is undefined"),
    "code": (OWN.replace("{{a}}", "{{a.__class__.__mro__}}"), {}, "missing columns: .*unsafe"),
    "no list": (TURNS.replace("said", "q"), {}, "turns are no list: turns are a str"),
    "dataset": (OWN.replace('input: "${input}"', "dataset: x"), {"input": ""}, "lie in files"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case: str, sample: Sample, tmp_path: Path) -> None:
    text, words, message = MISTAKES[case]
    given = {"recipe": own(tmp_path, text), "input": str(tmp_path / "rows.csv"), "kind": "chat", **words}
    with pytest.raises(UserError, match=message) as caught:
        pack(PackConfig(tokenizer=sample("tokenizer"), output=str(tmp_path / "out"), **given))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_three_speakers_are_refused(sample: Sample, tmp_path: Path) -> None:
    name = own(tmp_path, TURNS)
    talks = [[("a", "안녕"), ("b", "안녕하세요"), *more] for more in ([], [("c", "저도요")])]
    lines = [{"said": [{"who": who, "words": words} for who, words in said]} for said in talks]
    given = tmp_path / "talks.jsonl"
    given.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    counts = pack_recipe(name, given, tmp_path, sample("tokenizer"), most_refused=0.5)
    assert counts["chat"]["conversations"] == 1 and counts["chat"]["refused"] == {"unknown role": 1}
    assert refused(tmp_path)[0]["detail"] == "3 speakers: a, b, c"


def test_the_recipe_of_the_documentation(sample: Sample, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "chat.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my.yaml").write_text(recipe, encoding="utf-8")
    said = [("손님", "톱이 안 옵니다."), ("agent", "찾아보겠습니다."), ("agent", "내일 갑니다.")]
    ticket = {"state": "closed", "talk": [{"who": who, "said": text} for who, text in said]}
    given = tmp_path / "tickets.json"
    given.write_text(json.dumps({"tickets": [ticket, {"state": "open"}]}), encoding="utf-8")
    pack_recipe(str(tmp_path / "my.yaml"), given, tmp_path, sample("tokenizer"))
    turns = [("user", said[0][1]), ("assistant", "찾아보겠습니다.\n내일 갑니다.")]
    ((_, ids, _),) = documents(tmp_path / "out")
    assert ids == ids_of(load_tokenizer(sample("tokenizer")), turns)
