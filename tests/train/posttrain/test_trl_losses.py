"""Losses and gradients of tuning are those of TRL's trainers on the same weights and tokens."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.tokens.loader import Loader
from onnuri.tokens.pairs import PairLoader
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import to_inputs
from onnuri.train.objectives import dpo, next_token
from onnuri.train.tuning_config import DpoConfig
from tests.chat.talks import documents
from tests.conftest import save_model, untrained_model
from tests.train.posttrain.beside_trl import COMMON, decoder, difference
from tests.train.tuning_shards import CPU, Packed, pack_both

pytest.importorskip("trl", reason="TRL is not installed: make test-posttrain installs it")
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

pytestmark = pytest.mark.extra("posttrain")

Sample = Callable[[str], str]


class Models(NamedTuple):
    """Folders with the weights that learn, and the reference's."""

    policy: Path
    reference: Path


@pytest.fixture(scope="module")
def shards(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Packed]:
    return pack_both(tmp_path_factory.mktemp("shards"), sample("tokenizer"))


@pytest.fixture(scope="module")
def models(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    model = untrained_model(1024, 2048)
    save_model(model, sample("tokenizer"), folder / "policy")
    reference = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in reference.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    save_model(reference, sample("tokenizer"), folder / "reference")
    return Models(folder / "policy", folder / "reference")


@pytest.mark.parametrize("packing", [False, True])
def test_conversations(packing: bool, shards: dict[str, Packed], models: Models, tmp_path: Path) -> None:
    folder, made = shards["chat"]
    config = shards["chat"].config
    rows = []
    for _, tokens, spans in documents(folder):
        labels = np.full(1 + len(tokens), -100)
        for start, end in spans:
            labels[1 + start : 1 + end] = tokens[start:end]
        rows.append({"input_ids": [0, *tokens], "labels": labels.tolist()})
    options = SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_length=config.sequence_length,
        packing=packing,
        per_device_train_batch_size=len(rows),
        model_init_kwargs={"dtype": "float32"},
        **COMMON,
    )
    trainer = SFTTrainer(model=str(models.policy), args=options, train_dataset=Dataset.from_list(rows))
    batch = next(iter(trainer.get_train_dataloader()))
    assert ("position_ids" in batch) == packing and len(batch["input_ids"]) == (1 if packing else len(rows))
    theirs = trainer.compute_loss(trainer.model, batch)
    loader = Loader(config, made, 4, None)
    windows = np.arange(loader.groups[0].num_windows)
    assert len(windows) < len(rows), "packed"
    inputs = to_inputs(loader.window_rows(np.zeros_like(windows), windows, len(windows)), config, CPU)
    ours = decoder(models.policy)
    num_targets = int((inputs.targets >= 0).sum())
    loss = next_token.loss_sum(ours, inputs, PretrainConfig(data=config)) / num_targets
    found = difference(ours, loss, trainer, theirs, tmp_path / "gradients")
    assert found.loss <= 1e-5 and found.gradient <= 1e-4


VARIANTS = {
    "sigmoid": (DpoConfig(0.1), {"loss_type": ["sigmoid"]}),
    "sigmoid_norm": (DpoConfig(5.0, length_normalised=True), {"loss_type": ["sigmoid_norm"]}),
    # TRL's "sigmoid" has no label smoothing; its "aot", pair by pair, is the same with it.
    "aot": (DpoConfig(0.1, 0.2), {"loss_type": ["aot"], "label_smoothing": 0.2}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_pairs(name: str, shards: dict[str, Packed], models: Models, tmp_path: Path) -> None:
    folder, made = shards["preference"]
    config = shards["preference"].config
    options, words = VARIANTS[name]
    loader = PairLoader(config, made, 4, None)
    windows = np.arange(loader.groups[0].num_windows)
    found = loader.pairs_of(np.zeros_like(windows), windows, len(windows))
    ours, before = decoder(models.policy), decoder(models.reference)
    inputs = dpo.pair_inputs(found, config, CPU)
    with torch.no_grad():
        reference, _ = dpo.answer_sums(before, inputs)
    inputs = inputs._replace(reference=reference)
    loss = dpo.loss_sum(ours, inputs, PretrainConfig(data=config, dpo=options))[0] / len(found.pairs)
    answers = []
    for _, tokens, ((start, end),) in documents(folder):
        answers.append(([0, *tokens[:start]], tokens[start:end]))
    rows = [
        {"prompt_ids": chosen[0], "chosen_ids": chosen[1], "rejected_ids": rejected[1]}
        for chosen, rejected in zip(answers[::2], answers[1::2], strict=True)
    ]
    trainer = DPOTrainer(
        model=str(models.policy),
        ref_model=AutoModelForCausalLM.from_pretrained(models.reference),
        args=DPOConfig(
            output_dir=str(tmp_path / "out"),
            beta=options.beta,
            max_length=None,
            model_init_kwargs={"dtype": "float32"},
            **words,
            **COMMON,
        ),
        processing_class=AutoTokenizer.from_pretrained(models.policy),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
    )
    trainer.model.eval()
    together = [rows] if name != "aot" else [[row] for row in rows]
    batches = [trainer.data_collator(each) for each in together]
    theirs = torch.stack([trainer.compute_loss(trainer.model, batch) for batch in batches]).mean()
    assert theirs.item() != pytest.approx(0.6931, abs=1e-3), "policy and reference differ"
    got = difference(ours, loss, trainer, theirs, tmp_path / "gradients")
    assert got.loss <= 1e-5 and got.gradient <= 1e-4
