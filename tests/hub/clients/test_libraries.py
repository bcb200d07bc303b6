"""transformers, tokenizers, datasets, PEFT, TRL and lm-evaluation-harness on the hub, with two environment
variables: HF_ENDPOINT and HF_TOKEN."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.base import manifest
from onnuri.hf.push import prepare, push_folder
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import save_model, untrained_model
from tests.hub.clients.client import Client
from tests.hub.hubs import Server

NewName = Callable[[], str]


def folder_of(package: str) -> Path:
    """Of an optional package, which the clients' processes need in front; skips without it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed: make test-hub-clients installs it")
    return Path(found.origin).parents[1]


@pytest.fixture(scope="module")
def model(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with the tokenizer of the sample."""
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    found = tmp_path_factory.mktemp("model")
    save_model(untrained_model(size, 256), sample("tokenizer"), found)
    return found


PUSH_MODEL = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, name = sys.argv[1:]
AutoModelForCausalLM.from_pretrained(folder).push_to_hub(name, private=True)
AutoTokenizer.from_pretrained(folder).push_to_hub(name)
"""
LOAD_MODEL = """
import sys
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

folder, name = sys.argv[1:]
here, there = (AutoModelForCausalLM.from_pretrained(each) for each in (folder, name))
for key, value in here.state_dict().items():
    assert torch.equal(value, there.state_dict()[key]), key
text = "연구개발과제의 협약"
ids = AutoTokenizer.from_pretrained(name)(text)["input_ids"]
assert ids == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
saved = Tokenizer.from_file(folder + "/tokenizer.json")
assert Tokenizer.from_pretrained(name).encode(text).ids == saved.encode(text).ids
(answer,) = pipeline("text-generation", model=name)(text, max_new_tokens=2)
assert answer["generated_text"].startswith(text)
"""


def test_transformers_and_tokenizers(
    hub: Server, person: Callable[[str], Client], new_name: NewName, model: Path
) -> None:
    name = f"lab/{new_name()}"
    person("lee").python(PUSH_MODEL, str(model), name)
    person("kim").python(LOAD_MODEL, str(model), name)
    with pytest.raises(
        AssertionError, match=r"not a valid model identifier|is not a local folder|Repository Not Found"
    ):
        person("park").python(LOAD_MODEL, str(model), name)  # a stranger to a private model


DATASETS = """
import sys
from datasets import Dataset, load_dataset, get_dataset_config_names

name, folder = sys.argv[1:]
rows = {"text": [f"문서 {number}" for number in range(1000)], "number": list(range(1000))}
Dataset.from_dict(rows).push_to_hub(name, private=True)
Dataset.from_dict({key: value[:10] for key, value in rows.items()}).push_to_hub(name, split="test")
Dataset.from_dict({"other": [1, 2]}).push_to_hub(name, "second")
found = load_dataset(name, cache_dir=folder)
assert {key: len(split) for key, split in found.items()} == {"train": 1000, "test": 10}
assert found["train"][:] == rows
stream = load_dataset(name, split="train", streaming=True)
assert [row["number"] for row in stream.skip(5).take(3)] == [5, 6, 7]
assert set(get_dataset_config_names(name)) == {"default", "second"}
assert load_dataset(name, "second", cache_dir=folder)["train"]["other"] == [1, 2]
lines = load_dataset("parquet", data_files=f"hf://datasets/{name}/data/test-*.parquet", cache_dir=folder)
assert len(lines["train"]) == 10
"""


def test_datasets(person: Callable[[str], Client], new_name: NewName, tmp_path: Path) -> None:
    """Pushed in three parts, loaded whole, streamed, and by hf:// addresses."""
    person("lee").python(DATASETS, f"lab/{new_name()}", str(tmp_path / "cache"))


CORPUS = """
import sys
from datasets import load_dataset

name, cache, train, heldout = sys.argv[1:]
found = load_dataset(name, cache_dir=cache)
assert {key: len(split) for key, split in found.items()} == {"train": int(train), "heldout": int(heldout)}
assert next(iter(load_dataset(name, split="heldout", streaming=True)))["license"]
"""


def test_a_corpus_of_onnuri(
    hub: Server,
    person: Callable[[str], Client],
    new_name: NewName,
    sample: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `onnuri corpus push=` sends is a dataset with two splits."""
    monkeypatch.setenv("HF_TOKEN", hub.tokens["lee"])
    name = f"lab/{new_name()}"
    target = prepare(name, hub.url, "dataset")
    assert target is not None
    push_folder(sample("corpus"), target, "corpus")
    counts = manifest.read(sample("corpus"), "corpus").counts
    numbers = [str(counts["kept"] - counts["heldout"]), str(counts["heldout"])]
    person("lee").python(CORPUS, name, str(tmp_path / "cache"), *numbers)


ADAPTER = """
import sys
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

base, name = sys.argv[1:]
torch.manual_seed(1)
tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, init_lora_weights=False))
tuned.push_to_hub(name)
there = AutoPeftModelForCausalLM.from_pretrained(name)
ids = torch.arange(8)[None]
assert torch.equal(tuned(ids).logits, there(ids).logits)
assert not torch.equal(there(ids).logits, AutoModelForCausalLM.from_pretrained(base)(ids).logits)
"""


def test_an_adapter_of_a_model_on_the_hub(
    hub: Server, person: Callable[[str], Client], new_name: NewName, model: Path
) -> None:
    base, name, lee = f"lab/{new_name()}", f"lab/{new_name()}", person("lee")
    lee.packages = [folder_of("peft")]
    lee.python(PUSH_MODEL, str(model), base)
    lee.python(ADAPTER, base, name)
    files = {each.rfilename for each in hub.api("lee").model_info(name).siblings or []}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
    } <= files and "model.safetensors" not in files
    described = hub.api("lee").hf_hub_download(name, "adapter_config.json", local_dir=lee.home)
    assert json.loads(Path(described).read_text())["base_model_name_or_path"] == base


TRL = """
import sys
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

folder, name = sys.argv[1:]
options = SFTConfig(
    output_dir="out", max_steps=2, per_device_train_batch_size=2, max_length=32, report_to=[], use_cpu=True,
    bf16=False, save_strategy="steps", save_steps=1, push_to_hub=True, hub_model_id=name,
    hub_private_repo=True, hub_strategy="every_save", dataloader_pin_memory=False, disable_tqdm=True)
texts = Dataset.from_dict({"text": ["연구개발과제의 협약을 변경할 수 있다."] * 8})
trainer = SFTTrainer(model=folder, args=options, train_dataset=texts)
trainer.train()
trainer.push_to_hub(dataset_name="lab/texts")
"""


def test_trl_pushes_while_it_trains(
    hub: Server, person: Callable[[str], Client], new_name: NewName, model: Path
) -> None:
    name, lee = f"lab/{new_name()}", person("lee")
    lee.packages = [folder_of("trl")]
    lee.python(TRL, str(model), name)
    info = hub.api("lee").model_info(name)
    files = {each.rfilename for each in info.siblings or []}
    assert {
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "training_args.bin",
    } <= files and info.private
    assert info.card_data and info.card_data.to_dict()["library_name"] == "transformers"
    assert len(hub.api("lee").list_repo_commits(name)) > 2


TASK = """
task: hub_task
dataset_path: {name}
output_type: multiple_choice
test_split: train
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
"""
SCORE = """
import sys
import lm_eval
from lm_eval.tasks import TaskManager

name, tasks = sys.argv[1:]
found = lm_eval.simple_evaluate(
    model="hf", model_args=f"pretrained={name}", tasks=["hub_task"], device="cpu",
    task_manager=TaskManager(include_path=tasks, include_defaults=False))
assert 0 <= found["results"]["hub_task"]["acc,none"] <= 1
assert found["n-samples"]["hub_task"]["effective"] == 8
"""
PUSH_TASK = """
import sys
from datasets import Dataset

rows = [{"question": f"{n} 다음 수는", "choices": [str(n + 1), str(n + 7)], "answer": 0} for n in range(8)]
Dataset.from_list(rows).push_to_hub(sys.argv[1])
"""


def test_lm_evaluation_harness(
    person: Callable[[str], Client], new_name: NewName, model: Path, tmp_path: Path
) -> None:
    """Model and questions come from the hub."""
    name, questions, lee = f"lab/{new_name()}", f"lab/{new_name()}", person("lee")
    harness = folder_of("lm_eval")
    lee.python(PUSH_MODEL, str(model), name)
    lee.python(PUSH_TASK, questions)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "hub_task.yaml").write_text(TASK.format(name=questions), encoding="utf-8")
    lee.packages = [harness]
    lee.python(SCORE, name, str(tmp_path / "tasks"))
