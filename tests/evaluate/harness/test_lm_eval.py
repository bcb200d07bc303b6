"""The same numbers as lm-evaluation-harness 0.4.13, on files of our own in the published columns."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.evaluate import suite, task_scores
from onnuri.hf.load import first_token
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import save_model, untrained_model
from tests.evaluate import benchmark_rows

lm_eval = pytest.importorskip("lm_eval")
pytestmark = pytest.mark.extra("harness")

ITEMS = 24
METRICS = {"acc": "accuracy", "acc_norm": "accuracy_chars", "acc_bytes": "accuracy_bytes", "f1": "macro_f1"}
BUNDLED = {
    "kmmlu": "kmmlu/default/_default_kmmlu_yaml",
    "kobest_boolq": "kobest/kobest_boolq.yaml",
    "kobest_copa": "kobest/kobest_copa.yaml",
    "kobest_hellaswag": "kobest/kobest_hellaswag.yaml",
    "kobest_sentineg": "kobest/kobest_sentineg.yaml",
    "kobest_wic": "kobest/kobest_wic.yaml",
    "haerae": "haerae/_default_haerae_yaml",
    "click": "",
    "csatqa": "csatqa/_default_csatqa_yaml",
    "global_mmlu_ko": "global_mmlu/default/ko/_ko_template_yaml",
    "belebele_ko": "belebele/_default_template_yaml",
    "paws_ko": "paws-x/paws_ko.yaml",
}
CLICK = '''
"""lm-eval's CLIcK with the option E that some questions have."""

LETTERS = ["A", "B", "C", "D", "E"]


def context(doc):
    letters = LETTERS[: len(doc["choices"])]
    options = ", ".join(f"{a}: {o}" for a, o in zip(letters, doc["choices"])).replace("A: ", "A:", 1)
    listed = ", ".join(letters)
    if doc["paragraph"]:
        return (
            f"주어진 맥락을 천천히 읽고, 질문에 대한 적절한 정답을 {listed} 중에 골라 "
            "알파벳 하나로 답하시오.\\n\\n"
            f"맥락: {doc['paragraph']}\\n질문: {doc['question']}\\n보기:\\n{options}\\n정답:"
        )
    return (
        f"주어진 질문을 천천히 읽고, 적절한 정답을 {listed} 중에 골라 "
        "알파벳 하나로 답하시오.\\n\\n"
        f"질문: {doc['question']}\\n보기:\\n{options}\\n정답:"
    )


def choices(doc):
    return LETTERS[: len(doc["choices"])]


def target(doc):
    return LETTERS[doc["choices"].index(doc["answer"])]
'''


@pytest.fixture(scope="module")
def folder(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with the tokenizer of the sample."""
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    found = tmp_path_factory.mktemp("model")
    save_model(untrained_model(size, 256), sample("tokenizer"), found)
    return found


def harness(
    name: str, data: list[dict[str, Any]], work: Path, folder: Path, extra: str = ""
) -> dict[str, Any]:
    """lm-eval's result for a task whose rows are in a local file."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    (work / "rows.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in data))
    if name == "click":
        (work / "click_utils.py").write_text(CLICK)
        head = (
            "output_type: multiple_choice\ndoc_to_text: !function click_utils.context\n"
            "doc_to_choice: !function click_utils.choices\ndoc_to_target: !function click_utils.target\n"
        )
    elif extra:
        head = extra
    else:
        head = f"include: {Path(lm_eval.__file__).parent}/tasks/{BUNDLED[name]}\n"
    body = (
        f"task: ours_{name}\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs:\n  data_files:\n    test: {work}/rows.jsonl\n"
        "test_split: test\ntraining_split: null\nvalidation_split: null\nfewshot_split: test\n"
    )
    if not name.startswith("kobest"):  # whose F1 is a function of their own
        body += "metric_list:\n" + "".join(f"  - metric: {m}\n" for m in ("acc", "acc_norm", "acc_bytes"))
    (work / f"ours_{name}.yaml").write_text(head + body)
    model = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        batch_size=4,
        max_length=256,
    )
    manager = TaskManager(include_path=str(work), include_defaults=False)
    found: dict[str, Any] = lm_eval.simple_evaluate(
        model=model, tasks=[f"ours_{name}"], task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    return found


def compare(
    theirs: dict[str, Any], name: str, result: dict[str, Any], samples: list[dict[str, Any]]
) -> int:
    """Every option within 1e-4 nats, the same answers, the same metrics; returns the options compared."""
    count = 0
    for each, sample in zip(theirs["samples"][f"ours_{name}"], samples, strict=True):
        nats = [-float(answer[0][0]) for answer in each["resps"]]
        assert [option["nats"] for option in sample["options"]] == pytest.approx(nats, abs=1e-4)
        continuations = [argument[1] for argument in each["arguments"]]
        assert [option["continuation"] for option in sample["options"]] == continuations
        count += len(nats)
    scores = theirs["results"][f"ours_{name}"]
    for metric, ours in METRICS.items():
        if f"{metric},none" in scores:
            assert result["metrics"][ours]["value"] == pytest.approx(scores[f"{metric},none"], abs=1e-9)
    return count


def ours(folder: Path, loaded: suite.Suite) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Our result for a task, and its samples."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    separator = first_token(tokenizer, str(folder))
    results, samples = task_scores.score(model, tokenizer, [loaded], separator, 512)
    return results[loaded.name], samples


@pytest.mark.parametrize("name", BUNDLED)
def test_tasks(name: str, folder: Path, tmp_path: Path) -> None:
    data = benchmark_rows.write(name, tmp_path / "data", ITEMS)
    theirs = harness(name, data, tmp_path, folder)
    found = ours(folder, suite.load(name, str(tmp_path / "data")))
    assert compare(theirs, name, *found) >= 2 * ITEMS
    if name.startswith("kobest"):
        assert "f1,none" in theirs["results"][f"ours_{name}"]


def test_requests_of_the_wheel(folder: Path, tmp_path: Path) -> None:
    """ARC-Easy's layout; the wheel of `ONNURI_OLMES_WHEEL` if that is set, else one of our own."""
    wheel = os.environ.get("ONNURI_OLMES_WHEEL") or str(benchmark_rows.olmes_wheel(tmp_path / "olmes.whl"))
    loaded = suite.load("olmes/arc_easy", wheel=wheel, max_items=60)
    data = [
        {
            "context": item.options[0].context,
            "choices": [option.continuation for option in item.options],
            "label": item.label,
        }
        for item in loaded.items
    ]
    head = (
        'output_type: multiple_choice\ndoc_to_text: "{{context}}"\ndoc_to_choice: "{{choices}}"\n'
        'doc_to_target: "{{label}}"\ntarget_delimiter: ""\n'
    )
    theirs = harness("arc_easy", data, tmp_path, folder, head)
    result, samples = ours(folder, loaded)
    # lm-eval counts the space before an answer as part of it.
    for metric in ("acc_norm", "acc_bytes"):
        del theirs["results"]["ours_arc_easy"][f"{metric},none"]
    assert compare(theirs, "arc_easy", result, samples) >= 200


def test_a_tokenizer_that_adds_a_first_token(folder: Path, tmp_path: Path) -> None:
    """As Llama's and Gemma's do: it stands before every text, and lm-eval follows the tokenizer too."""
    with_first = tmp_path / "first"
    shutil.copytree(folder, with_first)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first = str(AutoTokenizer.from_pretrained(folder).eos_token)
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[assignment]
        single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
    )
    tokenizer.save(str(with_first / "tokenizer.json"))
    data = benchmark_rows.write("kmmlu", tmp_path / "data", ITEMS)
    theirs = harness("kmmlu", data, tmp_path, with_first)
    found = ours(with_first, suite.load("kmmlu", str(tmp_path / "data")))
    assert compare(theirs, "kmmlu", *found) == 4 * ITEMS
    without = ours(folder, suite.load("kmmlu", str(tmp_path / "data")))
    assert without[1][0]["options"][0]["nats"] != pytest.approx(found[1][0]["options"][0]["nats"], abs=1e-3)
