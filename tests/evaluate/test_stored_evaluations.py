"""What is in the way of a new evaluation: nothing of it is lost, mixed up or passed over in silence."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.evaluate import stored
from onnuri.evaluate.config import EvaluateConfig
from onnuri.evaluate.run import evaluate
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import save_model, untrained_model

ITEMS = 12
TASK = """\
title: 다음 수
data: {name}.jsonl
columns: [질문, 보기, 답]
context: "{{{{질문}}}}"
choices_from: 보기
label: 답
licence: CC0-1.0
"""


@pytest.fixture(scope="module")
def folder(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models `one` and `two` of other weights, tasks `q` and `r`, texts."""
    made = tmp_path_factory.mktemp("stored")
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    for scale, name in ((1.0, "one"), (-1.0, "two")):
        model = untrained_model(size, 128)
        model.model.norm.weight.data *= scale
        save_model(model, sample("tokenizer"), made / name)
    rows = [
        {"질문": f"{number} 다음은", "보기": [str(number + 1), "하늘"], "답": 0} for number in range(ITEMS)
    ]
    for name in ("q", "r"):
        (made / f"{name}.yaml").write_text(TASK.format(name=name))
        write_lines(made / f"{name}.jsonl", rows)
    write_lines(made / "texts.jsonl", [{"text": f"글 {number}", "lang": "ko"} for number in range(4)])
    return made


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def score(folder: Path, output: Path, *tasks: str, model: str = "one", **options: Any) -> dict[str, Any]:
    files = [str(folder / f"{task}.yaml") for task in tasks]
    return evaluate(EvaluateConfig(str(folder / model), tasks=files, output=str(output), **options))


def samples(output: Path) -> list[str]:
    lines = output.with_name(f"{output.stem}.samples.jsonl").read_text().splitlines()
    return [json.loads(line)["task"] for line in lines]


def test_less_does_not_replace_more(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Refused before anything is scored; the log names what else is replaced."""
    caplog.set_level("INFO", "onnuri")
    output, texts = tmp_path / "r.json", str(folder / "texts.jsonl")
    score(folder, output, data=texts, max_documents=2)
    score(folder, output, "q", max_items=10)
    score(folder, output, "r", max_items=4)
    before = output.read_bytes()
    with pytest.raises(UserError, match=r"r\.json has q by 10 items, this would be 8; choose"):
        score(folder, output, "r", "q", max_items=8)
    with pytest.raises(UserError, match="bits per byte of 2 documents in ko, this would be 1"):
        score(folder, output, data=texts, max_documents=1)
    assert (output.read_bytes(), "replaced" in caplog.text) == (before, False)
    score(folder, output, data=texts, max_documents=1000)
    with pytest.raises(UserError, match="bits per byte of 4 documents in ko, this would be 3"):
        score(folder, output, data=texts, max_documents=3)
    score(folder, output, "q")
    assert caplog.text.count("q (10 items) is replaced") == 1
    write_lines(tmp_path / "other.jsonl", [{"text": "다른 글", "lang": "ko"}])
    result = score(folder, output, data=str(tmp_path / "other.jsonl"))
    assert caplog.text.count("of other text, and are replaced") == 1
    assert (result["total"]["all"]["documents"], result["tasks"]["q"]["items"]) == (1, ITEMS)


def test_another_model_does_not_replace_it(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same folder with other weights does: it begins anew, with nothing of before."""
    output, model = tmp_path / "e.json", tmp_path / "model"
    shutil.copytree(folder / "one", model)
    words: dict[str, Any] = {"output": str(output)}
    evaluate(EvaluateConfig(str(model), tasks=[str(folder / "q.yaml"), str(folder / "r.yaml")], **words))
    with pytest.raises(UserError, match="is of the model model, this is two; choose another output"):
        score(folder, output, "q", model="two")
    shutil.copyfile(folder / "two" / "model.safetensors", model / "model.safetensors")
    shutil.copyfile(output, model / "evaluation.json")
    caplog.set_level("INFO", "onnuri")
    shutil.copytree(model, tmp_path / "renamed")
    evaluate(EvaluateConfig(str(tmp_path / "renamed"), tasks=[str(folder / "q.yaml")]))
    assert f"{tmp_path / 'renamed' / 'evaluation.json'} is of other weights" in caplog.text
    shutil.rmtree(tmp_path / "renamed")
    (model / "evaluation.json").unlink()
    evaluate(EvaluateConfig(str(model), data=str(folder / "texts.jsonl"), **words))
    assert "begins anew" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.html", "e.json", "model"]
    evaluate(EvaluateConfig(str(model), tasks=[str(folder / "q.yaml")], **words))
    assert set(samples(output)) == {"q"}


def test_two_at_once_are_both_kept(folder: Path, tmp_path: Path) -> None:
    output, go = tmp_path / "e.json", threading.Barrier(2)
    score(folder, output, data=str(folder / "texts.jsonl"))

    def run(task: str) -> None:
        go.wait()
        score(folder, output, task)

    threads = [threading.Thread(target=run, args=(task,)) for task in ("q", "r")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    result = json.loads(output.read_text())
    assert result["tasks"].keys() == {"q", "r"}
    assert set(samples(output)) == {"q", "r"}
    assert "total" in result


def test_a_task_that_was_not_looked_for_in_the_corpus_is(
    folder: Path, sample: Callable[[str], str], tmp_path: Path
) -> None:
    output, corpus = tmp_path / "n.json", sample("corpus")
    score(folder, output, "q", corpus=corpus)
    score(folder, output, "r")
    assert score(folder, output, "r", corpus=corpus)["tasks"]["r"]["contamination"]["items"] == 0
    stamp = output.stat().st_mtime_ns
    score(folder, output, "q", "r", corpus=corpus)
    assert output.stat().st_mtime_ns == stamp


def test_a_comparison_of_other_items_does_not_stay(folder: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "e.json", tmp_path / "o.json"
    score(folder, other, "q", model="two", max_items=10)
    assert len(score(folder, output, "q", max_items=10, compare=[str(other)])["comparisons"]) == 1
    assert "comparisons" in score(folder, output, "r")
    assert "comparisons" not in score(folder, output, "q")


def test_damaged_files_are_one_line(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "e.json"
    score(folder, output, "q", data=str(folder / "texts.jsonl"))
    whole = json.loads(output.read_text())
    for change in (
        {"tasks": None},
        {"request": {**whole["request"], "tasks": {"q": "x", "r": "y"}}},
        {"request": {key: value for key, value in whole["request"].items() if key != "max_documents"}},
        {"request": None},
    ):
        output.write_text(json.dumps(whole | change))
        with pytest.raises(UserError, match="exists and is no evaluation; choose another output"):
            score(folder, output, "r")
    output.write_text(json.dumps(whole))
    lines = tmp_path / "e.samples.jsonl"
    lines.write_text(lines.read_text()[:-9])
    with pytest.raises(UserError, match=r"e\.samples\.jsonl is damaged; delete it and e\.json"):
        score(folder, output, "r")
    with pytest.raises(UserError, match=r"output=e must end in \.json"):
        EvaluateConfig("model", tasks=["kopairs"], output="e")


def test_missing_samples_are_said(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "onnuri")
    output = tmp_path / "e.json"
    score(folder, output, "q", "r")
    (tmp_path / "e.samples.jsonl").unlink()
    score(folder, output, "q")
    assert "there are no samples of r any more" in caplog.text
    score(folder, output, "r")
    assert set(samples(output)) == {"q", "r"}
    assert stored.read(output) is not None
