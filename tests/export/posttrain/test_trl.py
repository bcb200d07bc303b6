"""TRL takes an exported chat model as it is: its template checks pass, its SFT trains on answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from tests.export.cuts import texts

pytest.importorskip("trl", reason="TRL is not installed: make test-posttrain installs it")
from trl import SFTConfig, SFTTrainer, chat_template_utils

pytestmark = pytest.mark.extra("posttrain")

Sample = Callable[[str], str]
STEPS = 20


@pytest.fixture(scope="module")
def model(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample run as a chat model."""
    folder = tmp_path_factory.mktemp("chat") / "model"
    export(ExportConfig(str(undisturbed), str(folder), chat="yes"))
    return folder


@pytest.fixture(scope="module")
def conversations(sample: Sample) -> list[dict[str, Any]]:
    found = [text[:60] for text in texts(sample("corpus"), 64)]
    return [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in zip(found[::2], found[1::2], strict=False)
    ]


def test_its_checks_of_templates(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert chat_template_utils.has_generation_markers(tokenizer.chat_template)
    assert chat_template_utils.is_chat_template_stop_token_trained(tokenizer)
    assert chat_template_utils.is_chat_template_prefix_preserving(tokenizer)
    assert chat_template_utils.supports_tool_calling(tokenizer)
    assert chat_template_utils.get_training_chat_template(tokenizer) is None, "nothing to patch"


def test_sft_on_answers_alone(model: Path, conversations: list[dict[str, Any]], tmp_path: Path) -> None:
    options = SFTConfig(
        output_dir=str(tmp_path),
        assistant_only_loss=True,
        packing=True,
        max_length=128,
        max_steps=STEPS,
        per_device_train_batch_size=2,
        learning_rate=1e-2,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    trainer = SFTTrainer(model=str(model), args=options, train_dataset=Dataset.from_list(conversations))
    tokenizer = trainer.processing_class
    assert tokenizer.eos_token == "<|im_end|>"
    rows = list(trainer.train_dataset)
    learned = [label for row in rows for label in row["labels"] if label != -100]
    answers = [each["messages"][1]["content"] for each in conversations]
    said = tokenizer.decode(learned).split("<|im_end|>")
    assert sorted(said) == sorted([*answers, ""]), "every answer, its end, and nothing else"
    assert sum(len(row["input_ids"]) for row in rows) > 2 * len(learned)
    assert len(rows) < len(conversations), "packed"
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert len(losses) == STEPS
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    trainer.save_model(str(tmp_path / "trained"))
    described = json.loads((tmp_path / "trained" / "generation_config.json").read_text())
    assert described["eos_token_id"] == [3, 0]
    before = AutoModelForCausalLM.from_pretrained(model).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "trained").state_dict()
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
