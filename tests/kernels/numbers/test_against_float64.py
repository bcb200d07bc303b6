"""Every implementation that runs on a CPU against float64, forward and backward, on random shapes."""

import importlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.backends import load
from onnuri.kernels.triton import attention as by_triton
from onnuri.kernels.triton import tiles as all_tiles
from onnuri.kernels.triton.attention import attention_in_tiles
from onnuri.kernels.verification.cases import (
    DRAW,
    TOLERANCE,
    Case,
    attention_case,
    draw_attention,
    errors,
    several_blocks,
)
from tests.soak import SOAK, tries

DTYPES = list(TOLERANCE)
CAPABILITIES = (80, 90, 100, 120)
OPERATIONS = {
    "rms_norm": ("rms_norm", "rms_norm"),
    "add_rms_norm": ("rms_norm", "add_rms_norm"),
    "rope": ("rope", "apply_rope"),
    "swiglu": ("swiglu", "swiglu"),
    "linear_cross_entropy": ("linear_cross_entropy", "linear_cross_entropy"),
}


def check(case: Case, function: Callable[..., Any], dtype: torch.dtype) -> None:
    found = errors(case, function, dtype)
    assert max(found.values()) <= TOLERANCE[dtype], f"{case}: {found}"


def in_tiles_for(capability: int, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    """Attention in the very blocks that a GPU would use."""

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask
    ) -> torch.Tensor:
        tiles = all_tiles.attention_tiles(capability, query.shape[-1], dtype)
        return attention_in_tiles(query, key, value, mask, tiles)

    return attention


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(max_examples=tries(2, 40))
@given(random=st.randoms(use_true_random=False), capability=st.sampled_from(CAPABILITIES))
def test_attention(dtype: torch.dtype, random: Random, capability: int) -> None:
    check(draw_attention(random, tries(160, 300)), in_tiles_for(capability, dtype), dtype)


ALL_TILES = [(size, capability) for size in (64, 96, 128) for capability in CAPABILITIES]
SOME_TILES = [(64, 90), (96, 80), (128, 100), (64, 120)]


@pytest.mark.parametrize(("size", "capability"), ALL_TILES if SOAK else SOME_TILES)
def test_attention_over_several_blocks(size: int, capability: int) -> None:
    case = several_blocks(size, window=200 if capability == 90 else 0)
    check(case, in_tiles_for(capability, torch.bfloat16), torch.bfloat16)


@pytest.mark.parametrize(("size", "capability"), ALL_TILES if SOAK else SOME_TILES[:1])
def test_branches_over_several_blocks(size: int, capability: int) -> None:
    """The first keys are seen by all queries of their document, later ones by few."""
    case = several_blocks(size, 0, [4, 130, 131, 290, 300, 400, 512, 600])
    check(case, in_tiles_for(capability, torch.bfloat16), torch.bfloat16)


BY_TMA = [(False, dtype) for dtype in DTYPES] + [
    (True, dtype) for dtype in (DTYPES if SOAK else DTYPES[:1])
]


@pytest.mark.parametrize(("joined", "dtype"), BY_TMA, ids=str)
def test_attention_by_tma(dtype: torch.dtype, joined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and values of their own, or slices of one matrix; documents, windows and the last rows."""
    described = []
    real = by_triton._descriptor
    monkeypatch.setattr(by_triton, "_descriptor", lambda *each: described.append(each) or real(*each))

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask
    ) -> torch.Tensor:
        if joined:
            key, value = torch.cat([key, value, query], 2).split([2, 2, 4], 2)[:2]
        tiles = all_tiles.attention_tiles(90, query.shape[-1], dtype)
        forward = all_tiles.Tile(32, 32, 8, 2, tma=1)
        return attention_in_tiles(query, key, value, mask, tiles._replace(forward=forward))

    for window in (0, 20):
        check(attention_case(2, 75, (4, 2), 64, [1, 2, 70, 120], window, seed=window), attention, dtype)
    assert len(described) == 4
    check(attention_case(1, 75, (4, 2), 64, [30], 0, 0, [5, 31, 40, 74]), attention, dtype)
    check(attention_case(1, 75, (4, 2), 96, [1], 0, seed=0), attention, dtype)
    assert len(described) == 6, "heads of 96 do not fill a block: they are copied without TMA"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_row_operations(operation: str, dtype: torch.dtype) -> None:
    module, name = OPERATIONS[operation]
    function = load(module, "triton", "cpu")[name]

    @settings(max_examples=tries(2, 40))
    @given(random=st.randoms(use_true_random=False))
    def holds(random: Random) -> None:
        check(DRAW[operation](random), function, dtype)

    holds()


def test_gradients_are_the_same_bits_each_time() -> None:
    case = attention_case(1, 200, (4, 2), 64, [77], 0, seed=5)
    results = []
    for _ in range(2):
        tensors = [t.bfloat16().requires_grad_() for t in case.differentiable.values()]
        out = in_tiles_for(90, torch.bfloat16)(*tensors, case.others["mask"])
        results.append(torch.autograd.grad(out.float().square().sum(), tensors))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def test_targets_that_are_none_give_nan_and_read_nothing_else() -> None:
    """As a GPU cannot raise: the step is skipped, and no other row is touched."""
    loss = load("linear_cross_entropy", "triton", "cpu")["linear_cross_entropy"]
    hidden, weight = torch.ones(4, 16).requires_grad_(), torch.ones(100, 16)
    for target in (-1, 100, 10**6):
        losses = loss(hidden, weight, torch.tensor([1, target, -100, 99]))
        assert losses.isnan().tolist() == [False, True, False, False]
        assert not torch.autograd.grad(losses[1], hidden)[0][1].isfinite().any()


def test_views_of_one_matrix_of_heads() -> None:
    """Queries, keys and values as a model has them: slices of one tensor, whose gaps are not theirs."""
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, 40, 8, 64, generator=generator)
    query, key, value = qkv.split([4, 2, 2], dim=2)
    functions = {name: load(name, "triton", "cpu") for name in ("attention", "rms_norm")}
    norm = functions["rms_norm"]["rms_norm"](query, torch.ones(64), 1e-6)
    torch.testing.assert_close(
        norm, load("rms_norm", "torch", "cpu")["rms_norm"](query, torch.ones(64), 1e-6)
    )
    found = functions["attention"]["attention"](norm, key, value)
    torch.testing.assert_close(found, load("attention", "torch", "cpu")["attention"](norm, key, value))


def test_a_whole_model() -> None:
    """The decoder by Triton, loss and gradients beside PyTorch's own."""
    names = ("kernels", "model.decoder", "model.initialise")
    kernels, decoder, initial = (importlib.import_module(f"onnuri.{name}") for name in names)
    from onnuri.model.config import ModelConfig

    config = ModelConfig(
        96, 64, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=16, intermediate_size=128
    )
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(96, (2, 33), generator=generator)
    targets = torch.randint(96, (2, 33), generator=generator)
    mask = attention_mask(2, 33, torch.tensor([0, 7, 33, 34, 66]))
    results = []
    for backend in ("torch", "triton"):
        chosen = kernels.choose(kernels.KernelConfig(backend), "cpu")
        assert f"attention {backend}" in chosen.describe()
        model = decoder.Decoder(config, chosen)
        initial.initialise(model, seed=0)
        loss = model(tokens, targets, mask, reduction="sum") / 66
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in model.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
