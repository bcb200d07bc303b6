"""Weights in int8: what they are, that both paths compute with just them, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from onnuri.base.errors import UserError
from onnuri.generate import forward
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.config import GenerateConfig
from onnuri.generate.int8 import Int8Matrix, quantise, with_int8_weights
from onnuri.generate.sample import Generator
from onnuri.generate.sampling import Request
from onnuri.kernels.native.decode import compiled
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from tests.conftest import save_model, untrained_model


def decoder(tied: bool) -> Decoder:
    return Decoder(
        ModelConfig(
            vocab_size=150,
            hidden_size=48,
            num_layers=3,
            num_heads=4,
            num_kv_heads=2,
            head_dim=16,
            intermediate_size=80,
            tie_embeddings=tied,
            init_std=0.2,
            embedding_init_std=0.2,
        )
    )


def scores(model: Any, known_ids: int = 150) -> torch.Tensor:
    """Log-probabilities of the tokens of some prompts, and of what is written after them."""
    asked = [Request([*range(n, 150, 7)][:20], 5, 0.0, prompt_logprobs=True) for n in range(5)]
    found = []
    for event in BatchGenerator(model, 3, 64, known_ids, prompt_tokens=13).stream(asked):
        found += [each.logprob for each in event.prompt[1:]] + [event.logprob]
    return torch.tensor(found)


def test_rounding_is_to_the_nearest_of_255_values() -> None:
    weight = torch.randn(40, 64) * torch.logspace(-6, 3, 40)[:, None]
    weight[7] = 0
    values, scales = quantise(weight)
    assert values.dtype == torch.int8 and values.abs().amax(1).tolist() == [127] * 7 + [0] + [127] * 32
    error = (values * scales[:, None] - weight).abs()
    assert (error <= 0.501 * scales[:, None]).all()


@pytest.mark.parametrize("tied", [True, False])
def test_both_paths_compute_with_the_rounded_weights(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(tied)
    small = with_int8_weights(copy.deepcopy(model))
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for name, module in small.named_modules():
            if isinstance(module, Int8Matrix):
                whole = module.weight * module.scales[:, None]
                rounded.get_submodule(name).weight.copy_(whole)
    expected = scores(rounded)
    half = scores(with_int8_weights(copy.deepcopy(model).bfloat16()))
    if compiled():
        torch.testing.assert_close(scores(small), expected, atol=2e-5, rtol=0)
    monkeypatch.setattr(forward, "usable", lambda *_: False)
    torch.testing.assert_close(scores(small), expected, atol=2e-5, rtol=0)
    plain = scores(model)
    assert 1e-4 < (expected - plain).abs().mean() < 0.05, "int8 costs something, and little"
    assert (half - plain).abs().mean() < 0.1
    held = sum(each.numel() * each.itemsize for each in (*small.buffers(), *small.parameters()))
    assert held < 0.4 * sum(each.numel() * 4 for each in model.parameters())


def test_a_folder_in_int8(sample: Callable[[str], str], tmp_path: Path) -> None:
    save_model(untrained_model(1024, 128), sample("tokenizer"), tmp_path / "own")
    generator = Generator(str(tmp_path / "own"), weights="int8")
    assert isinstance(generator.decoder.embedding, Int8Matrix)
    config = GenerateConfig(model="x", temperature=0.0, max_tokens=10)
    assert len([*generator.tokens([generator.encode("가나다")], config)]) == 10
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = Qwen2ForCausalLM(Qwen2Config(vocab_size=1024, num_key_value_heads=1, **shape))
    save_model(other, sample("tokenizer"), tmp_path / "other")
    with pytest.raises(UserError, match="weights=int8"):
        Generator(str(tmp_path / "other"), weights="int8")
