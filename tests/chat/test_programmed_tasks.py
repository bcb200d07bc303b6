"""Programmed tasks: gold answers pass, cheating scores nothing, splits stay apart, seeds decide all."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from random import Random

import pytest

from onnuri.base.errors import UserError
from onnuri.chat.programmed import sandbox
from onnuri.chat.programmed.answers import final_value
from onnuri.chat.programmed.family import SPLITS, Task
from onnuri.chat.programmed.grade import grade
from onnuri.chat.programmed.make import row, tasks
from onnuri.chat.programmed.table import FAMILIES

COUNTS = {name: 150 for name in FAMILIES} | {"code": 9}
"""Tasks of each family and split; each answer of `code` starts a process."""
NAMES = list(FAMILIES)
WORDS_APART = {
    "josa": " ",
    "initials": " ",
    "sorting": " ",
    "hanja": " ",
    "personal_data": " ",
    "register": " / ",
}
"""Families whose keys are lists of words: no single word is in both splits."""


@pytest.fixture(autouse=True)
def code_can_be_run(request: pytest.FixtureRequest) -> None:
    """Skip tests of `code` where it is refused (tests/chat/test_sandbox.py holds the refusals)."""
    if "name" in request.fixturenames and request.getfixturevalue("name") == "code":
        try:
            sandbox.run("def solve():\n    return 1", [[]])
        except UserError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def made() -> dict[tuple[str, str], list[Task]]:
    return {
        (name, split): list(tasks(name, COUNTS[name], split, 0, 7)) for name in NAMES for split in SPLITS
    }


@pytest.mark.parametrize("name", NAMES)
def test_gold_answers_pass_and_mistakes_do_not(name: str, made: dict[tuple[str, str], list[Task]]) -> None:
    for split in SPLITS:
        for task in made[name, split]:
            assert grade(task, task.answer).score == 1, task
            assert grade(task, f"\n{unicodedata.normalize('NFD', task.answer)}  \n").score == 1, task
            for seed in range(3):
                mistake = FAMILIES[name].mistake(Random(seed), task)
                assert grade(task, mistake).score == 0, (task, mistake)
                assert mistake.strip()


@pytest.mark.parametrize("name", NAMES)
def test_length_does_not_tell_chosen_from_rejected(
    name: str, made: dict[tuple[str, str], list[Task]]
) -> None:
    shorter = []
    for task in made[name, "train"]:
        pair = row(task, "pairs", 1)
        chosen, rejected = (len(pair[each][0]["content"]) for each in ("chosen", "rejected"))
        shorter.append(1.0 if chosen < rejected else 0.5 if chosen == rejected else 0.0)
    assert 0.2 <= sum(shorter) / len(shorter) <= 0.8


@pytest.mark.parametrize("name", NAMES)
def test_cheating_scores_nothing(name: str, made: dict[tuple[str, str], list[Task]]) -> None:
    """Empty answers, all answers at once, copies of the prompt."""
    for split in SPLITS:
        row = made[name, split]
        for index, task in enumerate(row):
            others = [each.answer for each in row[index - 4 : index] if each.answer != task.answer]
            values = [value for value in map(final_value, [*others, task.answer]) if value]
            every = [separator.join([*others, task.answer]) for separator in ("\n", " ", "\n\n", ", ")]
            every += [separator.join([task.answer, task.answer]) for separator in ("\n", " ")]
            if len(set(values)) > 1:
                every += [
                    f"정답: {separator.join(values)}"
                    for separator in (", ", "/", " 또는 ", " ", "\n정답: ")
                ]
            copies = [task.prompt, f"{task.prompt}\n{task.answer}", *task.prompt.splitlines()]
            for cheat in (
                "",
                " \n",
                "정답:",
                "정답: ",
                *(each for each in every if each != task.answer),
                *copies,
            ):
                assert grade(task, cheat).score == 0, (task, cheat)


@pytest.mark.parametrize("name", NAMES)
def test_splits_stay_apart_by_parameters(name: str, made: dict[tuple[str, str], list[Task]]) -> None:
    train, test = (made[name, split] for split in SPLITS)
    assert not {task.key for task in train} & {task.key for task in test}
    assert not {task.prompt for task in train} & {task.prompt for task in test}
    if separator := WORDS_APART.get(name):
        words = [{word for task in row for word in task.key.split(separator)} for row in (train, test)]
        assert not words[0] & words[1]


@pytest.mark.parametrize("name", NAMES)
def test_tasks_are_what_was_asked_for(name: str, made: dict[tuple[str, str], list[Task]]) -> None:
    for split in SPLITS:
        row = made[name, split]
        assert len({task.id for task in row}) == len({task.prompt for task in row}) == COUNTS[name]
        assert [task.difficulty for task in row[:6]] == [1, 2, 3, 1, 2, 3]
        assert {(task.family, task.split) for task in row} == {(name, split)}
        for task in row:
            assert Task.from_json(json.loads(json.dumps(task.to_json(), ensure_ascii=False))) == task
            assert unicodedata.is_normalized("NFC", task.prompt + task.answer)
            assert "(/" not in task.prompt and "을를" not in task.prompt


def test_a_smaller_count_is_the_beginning_of_a_larger_one() -> None:
    for name in NAMES:
        assert list(tasks(name, 20, "test", 0, 3)) == list(tasks(name, 40, "test", 0, 3))[:20]
        assert list(tasks(name, 20, "test", 0, 3)) != list(tasks(name, 20, "test", 0, 4))


def test_the_same_words_give_the_same_bytes() -> None:
    """On every machine and Python: scores on a test split are compared across them."""
    lines = [row(task, "pairs", 1) for name in NAMES for task in tasks(name, 12, "test", 0, 1)]
    text = json.dumps(lines, ensure_ascii=False, sort_keys=True)
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "96521c7580c313b54a34b97d2c8d3f4a0d2c2031e9b010c972c80719d349176c"
    )


def test_a_family_says_when_it_is_exhausted() -> None:
    with pytest.raises(
        UserError, match=r"jamo has no more than \d+ tasks of split test with difficulty=1; "
    ):
        list(tasks("jamo", 1000, "test", 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_graded(name: str, made: dict[tuple[str, str], list[Task]]) -> None:
    """What a model may write: broken JSON, deep brackets, lone surrogates, long numbers, many marks."""
    hostile = [
        "{" * 5000,
        "[" * 100_000,
        '{"name": ' * 2000,
        "\ud800정답: \udfff",
        "정답: " + "9" * 10_000,
        "\u0301" * 9999,
    ]
    hostile += [
        '{"name":"calculator","arguments":{"expression":"9**9**9**9"}}',
        "정답:\x00",
        '{"a":1e999999}',
        "{}",
    ]
    hostile += [
        '{"name":"calculator","arguments":{"expression":"' + "(" * 199 + '"}}',
        "정답: -",
        "- ",
        ".",
    ]
    hostile += [
        '{"name":"add_days","arguments":{"date":"9999-12-31","days":99}}',
        "정답: 0년 0월 0일",
        "정답: ,",
    ]
    hostile += ['{"name":"lookup","arguments":{"row":[],"column":{}}}', '{"name":[],"arguments":{}}']
    for task in made[name, "test"][:12]:
        assert [grade(task, each).score for each in hostile] == [0] * len(hostile)
