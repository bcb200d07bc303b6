"""The decoder against the stock Hugging Face architectures, and its first loss."""

import math

import numpy as np
import pytest
import torch
import transformers

from onnuri.base.errors import UserError
from onnuri.hf.config import hf_config
from onnuri.hf.weights import hf_weights
from onnuri.kernels.attention_mask import attention_mask
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.model.initialise import initialise
from onnuri.tokens.batch import make_batch

SHAPES = {
    "qwen3 tied": ModelConfig(512, 64, 3, 4, 2, 32, 96),
    "qwen3 untied": ModelConfig(512, 64, 2, 4, 4, 16, 96, tie_embeddings=False, rope_theta=500000.0),
    "llama tied": ModelConfig(512, 96, 2, 6, 2, 16, 128, qk_norm=False),
    "llama untied": ModelConfig(512, 64, 2, 4, 1, 16, 96, qk_norm=False, tie_embeddings=False),
}


def twins(config: ModelConfig) -> tuple[Decoder, torch.nn.Module]:
    """Our model with random norm scales too, and its Hugging Face twin with mapped weights."""
    model = Decoder(config)
    initialise(model, seed=1)
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    values = hf_config(config, 128, 0, 1, "float32")
    hf = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**{k: v for k, v in values.items() if k != "architectures"})
    )
    weights = {k: v for n, p in model.named_parameters() for k, v in hf_weights(config, n, p.data)}
    missing, unexpected = hf.load_state_dict(weights, strict=False)
    assert not unexpected
    assert set(missing) <= ({"lm_head.weight"} if config.tie_embeddings else set())
    hf.tie_weights()
    return model, hf.eval()


@pytest.mark.parametrize("name", SHAPES)
def test_logits_and_greedy_tokens_equal_hugging_face(name: str) -> None:
    config = SHAPES[name]
    model, hf = twins(config)
    tokens = torch.randint(config.vocab_size, (2, 100), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours, theirs = model(tokens), hf(tokens).logits
    assert theirs.abs().max() > 0.5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    prompt = tokens[:1, :5]
    expected = hf.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=20, eos_token_id=-1
    )
    greedy = prompt
    for _ in range(20):
        with torch.no_grad():
            greedy = torch.cat([greedy, model(greedy)[:, -1:].argmax(-1)], dim=1)
    assert greedy.tolist() == expected.tolist()


def test_parameter_count_is_exact() -> None:
    for config in SHAPES.values():
        assert config.num_parameters() == sum(p.numel() for p in Decoder(config).parameters())


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize(("width", "vocab_size"), [(192, 32768), (1024, 6144), (2048, 8192)])
def test_first_loss_is_ln_vocab(tie: bool, width: int, vocab_size: int) -> None:
    config = ModelConfig(vocab_size, width, 2, 4, 2, 64, 2 * width, tie_embeddings=tie)
    model = Decoder(config)
    initialise(model, seed=0)
    tokens = torch.randint(vocab_size, (2, 129), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = model(tokens[:, :-1], tokens[:, 1:]).mean()
    assert float(loss) == pytest.approx(math.log(vocab_size), rel=0.02)


def test_z_loss_is_in_the_training_loss_alone() -> None:
    model = Decoder(SHAPES["qwen3 tied"])
    tokens = torch.randint(512, (2, 65), generator=torch.Generator().manual_seed(0))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    plain = model(inputs, targets)
    model.z_loss = 0.25
    expected = plain + 0.25 * model(inputs).logsumexp(-1).square()
    torch.testing.assert_close(model(inputs, targets), expected)
    torch.testing.assert_close(model.eval()(inputs, targets), plain)


@pytest.mark.parametrize(
    ("option", "residual", "embedding"),
    [
        ({}, 0.02 / 12**0.5, 0.02),
        ({"residual_init": "zero", "embedding_init_std": 0.5}, 0, 0.5),
        ({"residual_init": "full", "init_std": 0.03}, 0.03, 0.03),
    ],
)
def test_how_weights_begin(option: dict, residual: float, embedding: float) -> None:
    model = Decoder(ModelConfig(512, 96, 6, 6, 2, 16, 128, **option))
    for found, std in (
        (model.embedding.weight, embedding),
        (model.blocks[0].attention.output.weight, residual),
        (model.blocks[5].ffn.down.weight, residual),
        (model.blocks[0].ffn.gate_up.weight, option.get("init_std", 0.02)),
    ):
        assert float(found.detach().std()) == pytest.approx(std, rel=0.03)


def test_initial_weights_depend_on_seed_and_name_only() -> None:
    first, second, other = (Decoder(SHAPES["qwen3 tied"]) for _ in range(3))
    initialise(first, seed=5)
    torch.manual_seed(99)
    initialise(second, seed=5)
    initialise(other, seed=6)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


def test_a_token_sees_only_what_came_before() -> None:
    model, _ = twins(SHAPES["qwen3 tied"])
    tokens = torch.randint(512, (1, 30), generator=torch.Generator().manual_seed(4))
    changed = tokens.clone()
    changed[0, 20] = (changed[0, 20] + 1) % 512
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_a_document_in_a_row_is_as_if_alone() -> None:
    """With attention within documents, and positions from their beginning; relative positions decide, so
    that positions of the row give the same but for rounding."""
    model, _ = twins(SHAPES["qwen3 tied"])
    row = torch.randint(1, 512, (1, 30), generator=torch.Generator().manual_seed(4))
    row[0, [0, 11, 12]] = 0
    batch = make_batch(
        torch.cat([row, row[:, :1]], dim=1).numpy(), np.array([31]), separator=0, vocab_size=1 << 31
    )
    assert batch.cu_seqlens.tolist() == [0, 11, 12, 30]
    mask = attention_mask(1, 30, torch.from_numpy(batch.cu_seqlens))
    with torch.no_grad():
        alone = torch.cat([model(row[:, a:b]) for a, b in ((0, 11), (11, 12), (12, 30))], dim=1)
        masked = model(row, mask=mask)
        reset = model(row, mask=mask, positions=torch.from_numpy(batch.positions))
        unmasked = model(row)
    torch.testing.assert_close(reset, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(masked, alone, rtol=0, atol=1e-4)
    assert not torch.allclose(unmasked[:, 12:], alone[:, 12:], atol=1e-2)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(UserError, match="must be a multiple of"):
        ModelConfig(num_heads=6, num_kv_heads=4)
    with pytest.raises(UserError, match="must be even"):
        ModelConfig(head_dim=33)
