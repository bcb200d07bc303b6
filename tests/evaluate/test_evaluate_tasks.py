"""`onnuri evaluate` with tasks: files, comparisons, leaks, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertLMHeadModel

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.evaluate import suite
from onnuri.evaluate.config import EvaluateConfig
from onnuri.evaluate.run import evaluate
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import run_command, save_model, untrained_model

Sample = Callable[[str], str]
TASK = """\
title: 뜻 고르기
data: rows.jsonl
columns: [질문, 답, 정답]
context: "{{질문}}"
choices_from: 답
label: 정답
group: 갈래
licence: CC0-1.0
"""
ITEMS = 40


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("task")
    rows = [
        {
            "질문": f"협약 제{i}조에 따라 연구개발과제 {i}번을 맡은 기관이 하여야 하는 일은 무엇인가",
            "답": [f"보고서 {i}부를 낸다", f"{i * 7}일 안에 쉰다", "아무것도 하지 않고 기다린다"],
            "정답": i % 3,
            "갈래": "가" if i % 2 else "나",
        }
        for i in range(ITEMS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (folder / "뜻.yaml").write_text(TASK, encoding="utf-8")
    return str(folder / "뜻.yaml")


@pytest.fixture(scope="module")
def models(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two untrained models."""
    folders = []
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    for scale in (1.0, -1.0):
        folder = tmp_path_factory.mktemp("model")
        model = untrained_model(size, 128)
        model.model.norm.weight.data *= scale
        save_model(model, sample("tokenizer"), folder)
        folders.append(str(folder))
    return folders


def test_files_and_comparison(task: str, models: list[str], sample: Sample) -> None:
    """One model forwards, the other backwards: what the first takes for best, the second takes last."""
    run_command("evaluate", f"model={models[1]}", f"tasks=[{task}]")
    words = [f"model={models[0]}", f"tasks=[{task}]", f"compare=[{models[1]}]", f"data={sample('corpus')}"]
    words.append("max_documents=2")
    shown = run_command("evaluate", *words).stdout
    assert "뜻 고르기" in shown and "held-out text" in shown
    folder = Path(models[0])
    result = json.loads((folder / "evaluation.json").read_text())
    scores = result["tasks"]["뜻"]
    assert (scores["items"], scores["chance"], scores["contamination"]) == (
        ITEMS,
        pytest.approx(1 / 3),
        None,
    )
    assert scores["groups"].keys() == {"가", "나"}
    assert scores["metrics"]["accuracy"]["low"] <= scores["metrics"]["accuracy"]["value"]
    (comparison,) = result["comparisons"]
    other = json.loads((Path(models[1]) / "evaluation.json").read_text())
    expected = scores["metrics"]["accuracy"]["value"] - other["tasks"]["뜻"]["metrics"]["accuracy"]["value"]
    assert comparison["difference"] == pytest.approx(expected)
    assert comparison["p_holm"] == comparison["p"] and comparison["smallest_effect"] > 0
    samples = [json.loads(line) for line in (folder / "evaluation.samples.jsonl").read_text().splitlines()]
    assert sum(each["value"] for each in samples) / ITEMS == pytest.approx(
        scores["metrics"]["accuracy"]["value"]
    )
    assert samples[0]["filtered_resps"][0][0] == -samples[0]["options"][0]["nats"]
    assert result["results"]["뜻"]["acc,none"] == scores["metrics"]["accuracy"]["value"]
    page = (folder / "evaluation.html").read_text(encoding="utf-8")
    assert "뜻 고르기" in page and "<script" not in page
    stamp = (folder / "evaluation.json").stat().st_mtime_ns
    run_command("evaluate", *words)
    assert (folder / "evaluation.json").stat().st_mtime_ns == stamp


def config(model: str, task: str, output: Path, **options: Any) -> EvaluateConfig:
    return EvaluateConfig(model=model, tasks=[task], output=str(output), **options)


def test_what_cannot_be_compared(task: str, models: list[str], tmp_path: Path) -> None:
    evaluate(config(models[1], task, tmp_path / "part.json", max_items=10))
    whole = tmp_path / "whole.json"
    with pytest.raises(UserError, match=r"task 뜻.*cannot be compared, subset is 0 and 10"):
        evaluate(config(models[0], task, whole, compare=[str(tmp_path / "part.json")]))
    assert not whole.exists()
    (tmp_path / "part.samples.jsonl").unlink()
    with pytest.raises(UserError, match=r"part\.samples\.jsonl cannot be read"):
        evaluate(config(models[0], task, whole, compare=[str(tmp_path / "part.json")]))
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UserError, match="is no evaluation with tasks"):
        evaluate(config(models[0], task, whole, compare=[str(tmp_path / "other.json")]))
    with pytest.raises(UserError, match="nothing to evaluate"):
        EvaluateConfig(model=models[0])


def test_items_that_were_trained_on(task: str, models: list[str], tmp_path: Path) -> None:
    """A fifth of the questions stands in the corpus; the score without them is that of the others."""
    rows = [json.loads(line) for line in Path(task).with_name("rows.jsonl").read_text().splitlines()]
    texts = [
        f"다음을 읽고 답하여라. {row['질문']}? 그것은 제{i}장에 있다." for i, row in enumerate(rows[:8])
    ]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "texts.jsonl").write_text(lines)
    words = ["recipe=local", f"input={tmp_path / 'texts.jsonl'}", "stages=[normalise,describe]"]
    run_command("corpus", *words, "heldout_share=0", f"output={tmp_path / 'corpus'}")
    result = evaluate(config(models[0], task, tmp_path / "a.json", corpus=str(tmp_path / "corpus")))
    found = result["tasks"]["뜻"]["contamination"]
    assert (found["items"], found["items_without"]) == (8, ITEMS - 8)
    samples = [json.loads(line) for line in (tmp_path / "a.samples.jsonl").read_text().splitlines()]
    assert found["value_without"] == pytest.approx(sum(each["value"] for each in samples[8:]) / (ITEMS - 8))


def test_what_was_not_asked_again_stays(
    task: str, models: list[str], sample: Sample, tmp_path: Path
) -> None:
    """Bits per byte, a subset of KoPairs, a task: one result of one model. Other weights begin anew."""
    output, folder = tmp_path / "r.json", tmp_path / "model"
    shutil.copytree(models[0], folder)
    evaluate(EvaluateConfig(str(folder), data=sample("corpus"), max_documents=1, output=str(output)))
    evaluate(EvaluateConfig(str(folder), tasks=["kopairs"], max_items=12, output=str(output)))
    both = evaluate(config(str(folder), task, output))
    assert both["tasks"].keys() == {"kopairs", "뜻"} == both["request"]["tasks"].keys()
    assert both["total"]["all"]["documents"] == 2
    lines = (tmp_path / "r.samples.jsonl").read_text().splitlines()
    assert len(lines) == ITEMS + 12
    stamp = output.stat().st_mtime_ns
    evaluate(config(str(folder), task, output))
    assert output.stat().st_mtime_ns == stamp
    (folder / "generation_config.json").write_text("{}")
    evaluate(config(str(folder), task, output))
    assert output.stat().st_mtime_ns == stamp, "no part of what is scored"
    shutil.copyfile(Path(models[1]) / "model.safetensors", folder / "model.safetensors")
    assert evaluate(config(str(folder), task, output))["tasks"].keys() == {"뜻"}


def test_models_that_cannot_be_scored(task: str, sample: Sample, models: list[str], tmp_path: Path) -> None:
    """A bidirectional one, one smaller than its tokenizer, one that brings code: one line, nothing runs."""
    folder = tmp_path / "small"
    save_model(untrained_model(100, 64), sample("tokenizer"), folder)
    bert = BertLMHeadModel(
        BertConfig(
            vocab_size=6144,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=16,
        )
    )
    bert.save_pretrained(tmp_path / "bert")
    code = tmp_path / "code"
    shutil.copytree(models[0], code)
    facts = json.loads((code / "config.json").read_text()) | {"model_type": "mine"}
    facts["auto_map"] = {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"}
    (code / "config.json").write_text(json.dumps(facts))
    (code / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(sample("tokenizer")) / name, tmp_path / "bert" / name)
    for model, reason in (
        (folder, "do not belong together"),
        (tmp_path / "bert", "no causal"),
        (code, "cannot be"),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            evaluate(config(str(model), task, tmp_path / "x.json"))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_changed_export_is_noticed(task: str, models: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models[0], folder)
    for name in ("evaluation.json", "evaluation.samples.jsonl", "evaluation.html"):
        (folder / name).unlink(missing_ok=True)
    manifest.seal(folder, "model", {}, {}, {})
    evaluate(config(str(folder), task, tmp_path / "a.json"))
    shutil.copyfile(Path(models[1]) / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        evaluate(config(str(folder), task, tmp_path / "a.json"))


def test_labels_that_are_missing(tmp_path: Path) -> None:
    rows = '{"질문": "?", "답": ["가", "나"], "정답": null, "갈래": ""}\n'
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "a.yaml").write_text(TASK)
    with pytest.raises(UserError, match="row 1: the label None is not from 0 to 1"):
        suite.load(str(tmp_path / "a.yaml"))
