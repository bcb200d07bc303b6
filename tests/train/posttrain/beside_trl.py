"""A model as Onnuri and as TRL train it: the same weights, and how far losses and gradients differ."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from onnuri.hf.config import read_config
from onnuri.hf.weights import Weights
from onnuri.model.decoder import Decoder

COMMON: dict[str, Any] = {
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "remove_unused_columns": False,
    "dataloader_pin_memory": False,
}


def decoder(folder: Path) -> Decoder:
    config = read_config(folder)
    found, weights = Decoder(config, seed=None), Weights(folder, config)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.copy_(weights.read(name))
    return found


def gradients_by_our_names(model: PreTrainedModel, folder: Path) -> dict[str, torch.Tensor]:
    """TRL's gradients, put into a Hugging Face folder in the place of weights, and read as such."""
    state = {name: parameter.grad for name, parameter in model.named_parameters()}
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in copied.named_parameters():
            parameter.copy_(state[name])
    copied.save_pretrained(folder)
    config = read_config(folder)
    weights = Weights(folder, config)
    return {name: weights.read(name) for name in weights.parameters}


class Difference(NamedTuple):
    loss: float
    gradient: float
    """Of all weights together, relative."""


def difference(
    ours: Decoder, loss: torch.Tensor, trainer: Any, theirs: torch.Tensor, folder: Path
) -> Difference:
    """Between our loss and TRL's."""
    names = [name for name, _ in ours.named_parameters()]
    found = dict(zip(names, torch.autograd.grad(loss, list(ours.parameters())), strict=True))
    trainer.model.zero_grad()
    theirs.backward()
    expected = gradients_by_our_names(trainer.model, folder)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert (value - expected[name]).norm() <= 1e-4 * expected[name].norm(), name
    flat = [torch.cat([each[name].flatten() for name in names]) for each in (found, expected)]
    gradient = (flat[0] - flat[1]).norm() / flat[1].norm()
    return Difference((loss - theirs).abs().item(), gradient.item())
