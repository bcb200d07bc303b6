"""Scores of chat tasks: from given answers, and through the command with an untrained model."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.chat.programmed import sandbox
from onnuri.chat.programmed.grade import grade
from onnuri.chat.programmed.make import tasks
from onnuri.chat.programmed.table import FAMILIES
from onnuri.evaluate import suite as suites
from onnuri.evaluate.chat.behaviour import behaviour, repeats
from onnuri.evaluate.chat.config import ChatConfig
from onnuri.evaluate.chat.forgeries import hostile_prompts
from onnuri.evaluate.chat.safety import personal_values, refuses
from onnuri.evaluate.chat.score import check_sandbox, score
from onnuri.evaluate.chat.suite import ChatSuite, load
from onnuri.evaluate.chat.table import table
from onnuri.evaluate.chat.write import Answer, Writer
from onnuri.evaluate.config import EvaluateConfig, ListConfig
from onnuri.evaluate.listing import listing
from onnuri.evaluate.report.reasons import REASONS, in_korean
from onnuri.evaluate.run import evaluate
from onnuri.evaluate.statistics import holm, interval, sign_test
from onnuri.hf.load import load_auto_tokenizer
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.train.config import EvaluationConfig
from tests.conftest import run_command, save_model, untrained_model
from tests.evaluate.test_evaluation_report import Page

Sample = Callable[[str], str]
Policy = Callable[[str, str], str]
"""Question and right answer to an answer."""
NO_CODE = [family for family in FAMILIES if family != "code"]
COUNT = 6


@pytest.fixture(scope="module")
def asked() -> ChatSuite:
    return load("chat", ChatConfig(families=NO_CODE, count=COUNT))


def scored(
    suite: ChatSuite, policy: Policy, stopped: bool = True
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    right = {task.prompt: task.answer for task in suite.tasks}

    def write(questions: Sequence[str]) -> list[Answer]:
        texts = [policy(question, right.get(question, "네.")) for question in questions]
        return [Answer(text, stopped, tuple(text.encode())) for text in texts]

    return score(suite, write)


def test_right_answers_that_end(asked: ChatSuite) -> None:
    entry, samples = scored(asked, lambda _, right: right)
    assert entry["items"] == len(samples) == COUNT * len(NO_CODE) and list(entry["groups"]) == NO_CODE
    assert {group["value"] for group in entry["groups"].values()} == {1.0}
    assert entry["metrics"]["accuracy"]["value"] == 1
    assert entry["metrics"]["forms_loose"]["value"] == 1
    assert (
        entry["metrics"]["harmless_refused"]["value"]
        == 0
        == entry["metrics"]["personal_data_given"]["value"]
    )
    assert entry["metrics"]["personal_data_refused"]["value"] == 1
    assert entry["metrics"]["answer_language"]["value"] == 1
    cut, samples = scored(asked, lambda _, right: right, stopped=False)
    assert cut["metrics"]["accuracy"]["value"] == 0 == cut["metrics"]["forms_loose"]["value"]
    assert {each["reason"] for each in samples} == {"the answer does not end"}


def cheats(suite: ChatSuite) -> dict[str, Policy]:
    answers = [task.answer for task in suite.tasks]
    return {
        "nothing": lambda *_: "",
        "blanks": lambda *_: " \n ",
        "the form alone": lambda *_: "정답:",
        "the question": lambda question, _: question,
        "the question and the answer": lambda question, right: f"{question}\n{right}",
        "two answers": lambda _, right: f"{right}\n{right}",
        "all answers": lambda _, right: "\n".join([right, *(each for each in answers if each != right)]),
        "all answers, the right one last": lambda _, right: "\n".join(
            [*(each for each in answers if each != right), right]
        ),
    }


@pytest.mark.parametrize("name", list(cheats(ChatSuite("", "", "", "", "", [], {}))))
def test_cheating_scores_nothing(name: str, asked: ChatSuite) -> None:
    entry, _ = scored(asked, cheats(asked)[name])
    assert {family: group["value"] for family, group in entry["groups"].items() if group["value"]} == {}
    # Loose reading drops a line, so it forgives a text of one line that is written twice.
    assert entry["metrics"]["forms_loose"]["value"] == 0 or name == "two answers"
    assert min(group["p_holm"] for group in entry["groups"].values()) == 1


def test_floors_and_intervals() -> None:
    """Every other answer right: interval, floors and p-values, each worked out in another way."""
    suite = load("chat", ChatConfig(families=["weekdays", "personal_data", "josa"], count=20))
    number = {task.prompt: index for index, task in enumerate(suite.tasks)}
    entry, samples = scored(suite, lambda q, right: right if q in number and number[q] % 2 else "모름")
    values = [float(index % 2) for index in range(60)]
    assert [each["value"] for each in samples] == values
    found = interval(values[:20], range(20))
    families = ["josa", "weekdays", "personal_data"]  # in the order of the table
    assert list(entry["groups"]) == families and {task.family for task in suite.tasks[:20]} == {"josa"}
    ps = []
    for first, family in zip((0, 20, 40), families, strict=True):
        group, here = entry["groups"][family], suite.tasks[first : first + 20]
        assert (group["value"], group["low"], group["high"]) == (0.5, found.low, found.high)
        texts = [task.answer.splitlines()[-1] for task in tasks(family, 300, "train", 0, 1)]
        best = max(dict.fromkeys(texts), key=texts.count)
        hits = [grade(task, best).score for task in here]
        assert group["controls"] == {"empty": 0, "echo": 0, "fixed": sum(hits) / 20}
        wins = sum(value > hit for value, hit in zip(values[first : first + 20], hits, strict=True))
        losses = sum(value < hit for value, hit in zip(values[first : first + 20], hits, strict=True))
        ps.append(sign_test(wins, losses))
        assert group["p"] == ps[-1] and group["floor"] == ("fixed" if any(hits) else "empty")
    assert [entry["groups"][family]["p_holm"] for family in families] == holm(ps)
    assert 0.3 < entry["groups"]["personal_data"]["controls"]["fixed"] < 0.8
    assert entry["controls"]["fixed"] == pytest.approx(
        sum(entry["groups"][family]["controls"]["fixed"] for family in families) / 3
    )
    pooled = interval(values, range(60))
    headline = entry["metrics"][entry["metric"]]
    assert [headline[end] for end in ("value", "low", "high")] == [0.5, pooled.low, pooled.high]


def test_tasks_that_were_trained_on() -> None:
    """The right ones have leaked: nothing is right without them."""
    suite = load("chat", ChatConfig(families=["josa", "jamo"], count=6))
    leaked = {task.id for task in suite.tasks if task.difficulty == 1}
    known = {task.prompt: task.answer for task in suite.tasks if task.id in leaked}

    def write(questions: Sequence[str]) -> list[Answer]:
        return [Answer(known.get(question, "모름"), True) for question in questions]

    entry, _ = score(suite, write, leaked)
    assert entry["metrics"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert entry["contamination"] == {"items": 4, "items_without": 8, "value_without": 0.0}
    assert (
        score(suite, write, {task.id for task in suite.tasks})[0]["contamination"]["value_without"] is None
    )
    assert score(suite, write)[0]["contamination"] is None


def test_the_sign_test() -> None:
    assert (sign_test(0, 0), sign_test(10, 0), sign_test(3, 1)) == (1, 2**-10, 5 / 16)
    assert sign_test(0, 5) == 1 and sign_test(500, 500) == pytest.approx(0.5126, abs=1e-4)


def test_forms_are_read_strictly_and_loosely() -> None:
    suite = load("chat/forms", ChatConfig(count=12))
    for policy, loose in (
        (lambda _, right: f"다음은 글입니다.\n{right}", 1),
        (lambda _, right: f"다음은 글입니다.\n**{right}**\n이만 줄입니다.", 1),
        (lambda _, right: f"다음은 글입니다.\n잘 읽어 주십시오.\n{right}", 0),
    ):
        entry, _ = scored(suite, policy)
        metrics = entry["metrics"]
        assert metrics["forms_strict"]["value"] == entry["groups"]["forms"]["value"] == 0
        assert metrics["forms_loose"]["value"] == loose


def test_personal_data_and_refusals() -> None:
    suite = load("chat/personal_data", ChatConfig(count=40))
    secret = {t.prompt: t.parameters["leak"] for t in suite.tasks if "없습니다" in t.parameters["value"]}
    refusing, _ = scored(
        suite, lambda *_: "개인정보이므로 알려 드릴 수 없습니다.\n정답: 알려 드릴 수 없습니다"
    )
    share = len(secret) / 40
    assert (
        refusing["metrics"]["personal_data_refused"]["value"]
        == 1
        == refusing["metrics"]["harmless_refused"]["value"]
    )
    assert refusing["metrics"]["accuracy"]["value"] == pytest.approx(share)
    giving, _ = scored(
        suite, lambda question, right: f"정답: {secret.get(question, '')}" if question in secret else right
    )
    assert (
        giving["metrics"]["personal_data_given"]["value"] == 1
        and giving["metrics"]["harmless_refused"]["value"] == 0
    )
    assert giving["safety"]["personal_data"]["with_personal_data"] == 0, "all of it is in the questions"
    calling, _ = scored(suite, lambda *_: "010-2345-6789로 전화하세요.")
    assert calling["safety"]["personal_data"] == {
        "answers": 40,
        "with_personal_data": 40,
        "kinds": {"phone": 40},
    }
    assert personal_values("010-2345-6789에 전화할까요?", "네, 010-2345-6789 입니다.") == []
    assert refuses("죄송하지만 말씀드리기 어렵습니다.") and not refuses("총무팀에서 알려 드립니다.")


def test_how_answers_are_written() -> None:
    assert repeats([1, 2, 3, 4, 1, 2, 3, 4]) == (1, 5) and repeats([1, 2, 3]) == (0, 0)
    answers = [
        Answer("저는 밥을 먹습니다. 물도 마십니다.", True, [1, 2, 3, 4]),
        Answer("저는 밥을 먹습니다. 너도 물을 마셔봐.", False, [5] * 8),
        Answer("I eat rice.", True, [1, 2]),
        Answer("", True),
    ]
    found = behaviour(answers, ["저는 밥을 먹습니다."] * 4, ["a", "b", "c", "d"])
    assert {name: each["value"] for name, each in found.items()} == {
        "stopped": 0.75,
        "answer_tokens": 3.5,
        "answer_language": 0.5,
        "repeated_4grams": pytest.approx(4 / 6),
        "one_register": 0.5,
    }
    assert all(each["low"] <= each["value"] <= each["high"] for each in found.values())
    assert behaviour([Answer("", True)], ["12"], ["a"]).keys() == {
        "stopped",
        "answer_tokens",
        "answer_language",
    }


@pytest.fixture(scope="module")
def model(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained one."""
    folder = tmp_path_factory.mktemp("chat")
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    save_model(untrained_model(size, 512), sample("tokenizer"), folder)
    return str(folder)


def test_no_question_becomes_a_control_token(model: str) -> None:
    """The prompts are hostile: a tokenizer that reads control tokens in text finds some in each."""
    prompts = hostile_prompts()
    assert len(set(prompts)) == 200
    writer, stock = Writer(model, 1), load_auto_tokenizer(model)
    assert all(writer.controls & set(stock(text)["input_ids"]) for text in prompts)
    assert [answer.forged for answer in writer(prompts)] == [0] * 200
    writer.tokenizer.encode_special_tokens = False
    assert all(answer.forged for answer in writer(prompts))


def test_answers_that_end_are_told_from_those_that_are_cut(model: str) -> None:
    from onnuri.chat.format import render
    from onnuri.generate.batched import BatchGenerator
    from onnuri.generate.sampling import Request

    writer = Writer(model, 5)
    writer.stops = frozenset(range(64, 300))
    questions = [task.prompt for task in tasks("josa", 24, "test", 1, 1)]
    answers = writer([*questions, "가" * 2000])
    assert not answers[-1].fits and not answers[-1].stopped and answers[-1].text == ""
    prompts = [
        render(writer.tokenizer, [{"role": "user", "content": each}], add_generation_prompt=True).ids
        for each in questions
    ]
    generator = BatchGenerator(writer.generator.decoder, 4, 512, writer.generator.num_ids)
    stops = writer.stops | writer.generator.stops
    expected = generator.generate([Request(ids, 5, 0.0, stops=stops) for ids in prompts])
    ended = [each.ended == "stop" for each in expected]
    assert [each.stopped for each in answers[:-1]] == ended and 0 < sum(ended) < len(ended)
    whole = [each.ids[:-1] if each.ended == "stop" else each.ids for each in expected]
    assert [list(each.ids) for each in answers[:-1]] == whole


def test_the_command(model: str, sample: Sample, tmp_path: Path) -> None:
    """Single families, again without work, one more task, a second model beside it, another protocol."""
    output = tmp_path / "evaluation.json"
    words = [f"model={model}", f"output={output}", "chat.count=4", "chat.max_tokens=6"]
    shown = run_command("evaluate", *words, "tasks=[chat/josa,chat/number_reading]").stdout
    assert "Chat, josa" in shown and "not measured" in shown and "number_reading" in shown
    options = ChatConfig(count=4, max_tokens=6)
    josa = EvaluateConfig(model, tasks=["chat/josa"], chat=options, output=str(output))
    stamp = output.stat().st_mtime_ns
    first = evaluate(josa)
    assert output.stat().st_mtime_ns == stamp and "chat/number_reading" in first["tasks"]
    whole = ChatConfig(families=["weekdays", "forms"], count=4, max_tokens=6)
    both = evaluate(EvaluateConfig(model, tasks=["chat"], chat=whole, output=str(output)))
    assert list(both["tasks"]) == ["chat/josa", "chat/number_reading", "chat"]
    assert both["tasks"]["chat"]["safety"]["forged_turns"]["prompts"] == 200
    assert both["tasks"]["chat"]["safety"]["forged_turns"]["prompts_with_control_tokens"] == 0
    assert "weekdays" in table(both)
    lines = [json.loads(line) for line in (tmp_path / "evaluation.answers.jsonl").read_text().splitlines()]
    assert len(lines) == 16 and {line["family"] for line in lines} == {
        "josa",
        "number_reading",
        "weekdays",
        "forms",
    }
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    Page(page)  # every tag is closed
    assert "written answers" in page and "evaluation.answers.jsonl" in page and "Wrong answers" in page

    other = tmp_path / "other"
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    other.mkdir()
    save_model(untrained_model(size, 256), sample("tokenizer"), other)
    compared = EvaluateConfig(
        str(other),
        tasks=["chat/josa"],
        chat=options,
        compare=[str(output)],
        output=str(tmp_path / "b.json"),
    )
    (comparison,) = evaluate(compared)["comparisons"]
    assert (comparison["task"], comparison["difference"], comparison["items"]) == ("chat/josa", 0, 4)
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert page.count("<li><bdi>other</bdi>: ") == page.count(f"<li><bdi>{Path(model).name}</bdi>: ") == 1
    compared.chat = ChatConfig(count=4, max_tokens=7)
    with pytest.raises(UserError, match=r"task chat/josa.*cannot be compared, max_tokens is 7 and 6"):
        evaluate(compared)


def test_what_is_refused(asked: ChatSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"chat/joss; families are .*did you mean 'josa'"):
        suites.load("chat/joss")
    with pytest.raises(UserError, match=r"evaluation\.tasks names chat/josa"):
        EvaluationConfig(tasks=["kopairs", "chat/josa"])
    with pytest.raises(UserError, match=r"chat\.difficulty=4"):
        ChatConfig(difficulty=4)

    def refuse(*_: object) -> None:
        raise UserError("code cannot be run safely here; leave the family code out")

    monkeypatch.setattr(sandbox, "run", refuse)
    check_sandbox(asked)
    with pytest.raises(UserError, match=r"leave the family code out: chat\.families=\[josa,forms\]"):
        check_sandbox(load("chat", ChatConfig(families=["forms", "code", "josa"], count=1)))


def test_the_list_and_subsets(asked: ChatSuite) -> None:
    assert "chat/FAMILY" in listing(ListConfig()) and "personal_data" in listing(ListConfig(["chat"]))
    assert "train and test differ by nouns" in listing(ListConfig(["chat/josa"]))
    part = load("chat", ChatConfig(families=NO_CODE, count=COUNT), max_items=len(NO_CODE))
    assert [task.family for task in part.tasks] == NO_CODE and part.facts["subset"] == len(NO_CODE)
    assert part.protocol != asked.protocol != load("chat", ChatConfig(NO_CODE, COUNT, 1)).protocol
    assert load("chat", ChatConfig(NO_CODE[::-1], COUNT)).protocol == asked.protocol


def test_reasons_are_in_korean() -> None:
    """Every text that a checker gives as a reason."""
    folder = Path(inspect.getfile(sandbox)).parent
    texts = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "wrong":
                texts |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    assert len(texts) > 30 and texts <= REASONS.keys()
    assert in_korean("3 sentences for 4") == "문장 3개(4개여야 함)" and in_korean("other") == "other"
