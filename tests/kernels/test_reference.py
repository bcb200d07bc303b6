"""Reference kernels against definitions written out in float64."""

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from onnuri.kernels.attention import attention, reference_attention
from onnuri.kernels.attention_mask import CONSTANTS, attention_mask
from onnuri.kernels.backends import load
from onnuri.kernels.linear_cross_entropy import (
    IGNORE_INDEX,
    Reduction,
    by_chunks,
    linear_cross_entropy,
    loss_and_dlogits,
    reference_linear_cross_entropy,
)
from onnuri.kernels.rms_norm import add_rms_norm, rms_norm
from onnuri.kernels.rope import apply_rope, rope_tables
from onnuri.kernels.swiglu import swiglu


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_is_causal_softmax(kv_heads: int) -> None:
    query, key, value = (
        random(2, 9, 4, 8),
        random(2, 9, kv_heads, 8, seed=1),
        random(2, 9, kv_heads, 8, seed=2),
    )
    wide_key, wide_value = (x.repeat_interleave(4 // kv_heads, dim=2) for x in (key, value))
    scores = torch.einsum("bqhd,bkhd->bhqk", query, wide_key) * 8**-0.5
    scores = scores.masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf"))
    expected = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), wide_value)
    torch.testing.assert_close(attention(query, key, value), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("branches", [[3, 5], [0, 4, 6], [2, 8], [5]])
def test_every_branch_comes_out_as_if_it_alone_followed_the_beginning(branches: list[int]) -> None:
    """A row of 12: documents of 9 and 3 tokens; the first branches, forward and backward, and the second at
    its end."""
    query, key, value = (random(1, 12, 4, 8, seed=seed).requires_grad_() for seed in range(3))
    mask = attention_mask(1, 12, torch.tensor([0, 9, 12]), branches=torch.tensor([*branches, 11]))
    for function in (attention, reference_attention):
        out = function(query, key, value, mask)
        pieces = []
        for start, stop in itertools.pairwise([*branches, 9]):
            own = [*range(branches[0]), *range(start, stop)]
            alone = attention(*(x[:, own] for x in (query, key, value)))[0]
            pieces.append(alone if start == branches[0] else alone[branches[0] :])
        pieces.append(attention(*(x[:, 9:] for x in (query, key, value)))[0])
        expected = torch.cat(pieces)[None]
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
        weights = random(1, 12, 4, 8, seed=9)
        gradients = [torch.autograd.grad((x * weights).sum(), (query, key, value)) for x in (out, expected)]
        for found, wanted in zip(*gradients, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_branches_of_cpu_documents_in_float64() -> None:
    """By the operator of many documents, of which some branch."""
    heads = [random(2, 40, 4, 16, seed=seed).requires_grad_() for seed in range(3)]
    boundaries, branches = torch.tensor([0, 25, 40, 80]), torch.tensor([7, 9, 20, 30, 41, 60])
    mask = attention_mask(2, 40, boundaries, branches=branches)
    found, wanted = (
        torch.autograd.grad(function(*heads, mask).square().sum(), heads)
        for function in (attention, reference_attention)
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("branches", [[5, 5], [6, 2], [-1, 3], [3, 18], [[1, 2]]])
def test_branches_rise_within_the_rows(branches: list) -> None:
    with pytest.raises(ValueError, match="branches must rise within 18 positions"):
        attention_mask(2, 9, branches=torch.tensor(branches))
    with pytest.raises(ValueError, match="takes no window, window=4"):
        attention_mask(2, 9, window=4, branches=torch.tensor([5]))
    for wrong in (torch.tensor([1.9, 3.2]), torch.tensor([True])):
        with pytest.raises(ValueError, match="branches must be integers"):
            attention_mask(2, 9, branches=wrong)


@pytest.mark.parametrize("cuts", [[9], [4], [1, 2, 9, 13], [3, 9]])
def test_attention_within_documents(cuts: list[int]) -> None:
    """Two rows of 9: every document comes out as if it were alone, forward and backward."""
    query, key, value = (random(2, 9, 4, 8, seed=seed).requires_grad_() for seed in range(3))
    boundaries = sorted({0, 9, 18, *cuts})
    out = attention(query, key, value, attention_mask(2, 9, torch.tensor(boundaries)))
    pieces = []
    for start, stop in itertools.pairwise(boundaries):
        alone = (x.flatten(0, 1)[None, start:stop] for x in (query, key, value))
        pieces.append(attention(*alone)[0])
    expected = torch.cat(pieces).view(out.shape)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    weights = random(2, 9, 4, 8, seed=9)
    gradients = [torch.autograd.grad((x * weights).sum(), (query, key, value)) for x in (out, expected)]
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 3, 8, 100])
@pytest.mark.parametrize("cuts", [[], [4, 5]])
def test_attention_within_a_window(window: int, cuts: list[int]) -> None:
    """PyTorch's own gives what the reference gives, and positions before the window count for nothing."""
    query, key, value = (random(2, 9, 4, 8, seed=seed) for seed in range(3))
    mask = attention_mask(2, 9, torch.tensor(sorted({0, 9, 18, *cuts})), window)
    out = attention(query, key, value, mask)
    expected = reference_attention(query, key, value, mask)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    value[0, :3] = 1e9
    hidden_from_last = window <= 6 or bool(cuts)
    same = torch.equal(attention(query, key, value, mask)[0, 8], out[0, 8])
    assert same == hidden_from_last


def test_rms_norm() -> None:
    hidden, weight = random(3, 5, 16), random(16, seed=1)
    expected = hidden / (hidden.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight
    torch.testing.assert_close(rms_norm(hidden, weight, 1e-6), expected, rtol=0, atol=1e-12)


def test_add_rms_norm() -> None:
    hidden, residual, weight = random(3, 16), random(3, 16, seed=1), random(16, seed=2)
    normed, total = add_rms_norm(hidden, residual, weight, 1e-6)
    assert torch.equal(total, hidden + residual)
    assert torch.equal(normed, rms_norm(hidden + residual, weight, 1e-6))


def test_rope_by_position_is_rope_by_row() -> None:
    heads, (cosine, sine) = random(2, 5, 3, 8), rope_tables(40, 8, 10000.0)
    positions = torch.tensor([[0, 1, 2, 0, 1], [39, 7, 0, 3, 3]])
    expected = apply_rope(heads, cosine[positions], sine[positions])
    assert torch.equal(apply_rope(heads, cosine, sine, positions), expected)


def test_rope_turns_pairs_and_keeps_relative_positions() -> None:
    cosine, sine = rope_tables(32, 8, 10000.0)
    query, key = random(1, 1, 1, 8).expand(1, 32, 1, 8), random(1, 1, 1, 8, seed=1).expand(1, 32, 1, 8)
    turned_query, turned_key = apply_rope(query, cosine, sine), apply_rope(key, cosine, sine)
    torch.testing.assert_close(turned_query.norm(dim=-1), query.norm(dim=-1))
    products = torch.einsum("bqhd,bkhd->qk", turned_query, turned_key)
    torch.testing.assert_close(products[5, 2], products[25, 22], rtol=0, atol=1e-5)


def test_swiglu() -> None:
    gate, up = random(4, 6), random(4, 6, seed=1)
    expected = gate / (1 + (-gate).exp()) * up
    torch.testing.assert_close(swiglu(torch.cat([gate, up], -1)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [0, 3])
def test_z_loss(chunk_size: int) -> None:
    hidden, weight = random(10, 8), random(50, 8, seed=1)
    targets = torch.arange(10)
    targets[3] = IGNORE_INDEX
    plain, with_z = (linear_cross_entropy(hidden, weight, targets, chunk_size, z) for z in (0.0, 0.1))
    expected = 0.1 * (hidden @ weight.T).exp().sum(-1).log().square() * (targets != IGNORE_INDEX)
    torch.testing.assert_close(with_z - plain, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("counted", [0, 1, 20, 21, 40])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_no_logits_of_rows_that_do_not_count(counted: int, reduction: Reduction) -> None:
    computed = []

    def rows(logits: torch.Tensor, *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        computed.append(len(logits))
        return loss_and_dlogits(logits, *others)

    inputs = random(40, 8).requires_grad_(), random(50, 8, seed=1).requires_grad_()
    targets = torch.full((40,), IGNORE_INDEX)
    targets[torch.randperm(40, generator=torch.Generator().manual_seed(0))[:counted]] = 7
    expected = reference_linear_cross_entropy(*inputs, targets, z_loss=0.1, reduction=reduction)
    found = by_chunks(rows)(*inputs, targets, 16, 0.1, reduction)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    gradients = (torch.autograd.grad((3 * each).sum(), inputs) for each in (found, expected))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)
    # A loss for each row has its logits computed again on the way back.
    assert sum(computed) == (counted if counted <= 20 else 40) * (1 if reduction == "sum" else 2)


@pytest.mark.parametrize("chunk_size", [0, 1, 7, 64])
def test_linear_cross_entropy_and_its_gradients(chunk_size: int) -> None:
    hidden, weight = random(20, 8).requires_grad_(), random(50, 8, seed=1).requires_grad_()
    targets = torch.arange(20) % 50
    targets[3] = IGNORE_INDEX
    losses = linear_cross_entropy(hidden, weight, targets, chunk_size)
    losses.sum().backward()
    found = hidden.grad, weight.grad
    assert losses[3] == 0
    hidden.grad = weight.grad = None
    log_probabilities = F.log_softmax(hidden @ weight.T, dim=-1)
    expected = -log_probabilities[torch.arange(20), targets.clamp(min=0)] * (targets != IGNORE_INDEX)
    expected.sum().backward()
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(found, (hidden.grad, weight.grad), rtol=0, atol=1e-10)


def test_a_mask_of_attention() -> None:
    mask = attention_mask(2, 4)
    assert mask.cu_seqlens.tolist() == [0, 4, 8] and mask.longest == 4
    assert mask.first_key.tolist() == [0, 0, 0, 0, 4, 4, 4, 4]
    assert mask.end_query.tolist() == [4, 4, 4, 4, 8, 8, 8, 8]
    mask = attention_mask(2, 4, window=2)
    assert mask.first_key.tolist() == [0, 0, 1, 2, 4, 4, 5, 6]
    assert mask.end_query.tolist() == [2, 3, 4, 4, 6, 7, 8, 8]
    mask = attention_mask(2, 4, torch.tensor([0, 1, 4, 8]))
    assert mask.first_key.tolist() == [0, 1, 1, 1, 4, 4, 4, 4] and mask.longest == 4
    assert {each.dtype for each in mask[: -len(CONSTANTS)]} == {torch.int32}


@pytest.mark.parametrize(
    ("boundaries", "message"),
    [
        ([0, 5], "must rise from 0 to 10"),
        ([1, 10], "must rise from 0 to 10"),
        ([0, 7, 3, 10], "must rise from 0 to 10"),
        ([0, 2**32 + 10], "must rise from 0 to 10"),
        ([0, 4, 10], "every row of 5 tokens must begin a document"),
        ([], "must be integers"),
        ([[0, 5, 10]], "must be integers"),
        ([0.0, 5.0, 10.0], "must be integers"),
    ],
)
def test_boundaries_that_are_none_are_refused(boundaries: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_mask(2, 5, torch.tensor(boundaries))


def test_masks_of_nothing_and_odd_windows_are_refused() -> None:
    for arguments in ((0, 8), (2, 0)):
        with pytest.raises(ValueError, match="a mask needs tokens"):
            attention_mask(*arguments)
    for window in (-1, 2.5):
        with pytest.raises(ValueError, match="must be an integer, at least 0"):
            attention_mask(1, 8, window=window)  # type: ignore[arg-type]


BACKENDS_HERE = ["reference", "torch", "native"]


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_empty_documents_are_as_if_they_were_not_there(backend: str) -> None:
    """At the front, in the middle, at the end."""
    attention_here = load("attention", backend, "cpu")["attention"]
    heads = [random(1, 8, 2, 16, seed=seed).float().requires_grad_() for seed in range(3)]
    found = []
    for boundaries in ([0, 3, 8], [0, 0, 3, 3, 3, 8, 8]):
        out = attention_here(*heads, attention_mask(1, 8, torch.tensor(boundaries)))
        found.append((out, *torch.autograd.grad(out.square().sum(), heads)))
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_masks_and_heads_that_do_not_fit_are_refused(backend: str) -> None:
    attention_here = load("attention", backend, "cpu")["attention"]
    query, key = torch.ones(1, 8, 4, 16), torch.ones(1, 8, 2, 16)
    for length in (4, 12):
        with pytest.raises(ValueError, match=f"the mask is of {length} positions, the heads of 8"):
            attention_here(query, key, key, attention_mask(1, length))
    for other in (torch.ones(1, 8, 3, 16), torch.ones(1, 7, 2, 16), torch.ones(1, 8, 8, 16)):
        with pytest.raises(ValueError, match="query, key, value do not fit"):
            attention_here(query, other, other, attention_mask(1, 8))


@pytest.mark.parametrize("backend", ["torch", "native"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_a_loss_of_odd_inputs(backend: str, reduction: Reduction) -> None:
    """No rows, sizes that do not fit, targets that are none, a head that is frozen, a second derivative."""
    loss = load("linear_cross_entropy", backend, "cpu")["linear_cross_entropy"]
    hidden, weight = (random(n, 8, seed=n).float().requires_grad_() for n in (6, 50))
    targets = torch.tensor([0, 1, IGNORE_INDEX, 3, 4, 49])
    empty = hidden[:0].detach().requires_grad_()
    loss(empty, weight, targets[:0], reduction=reduction).sum().backward()
    assert weight.grad is not None and not weight.grad.any()
    for wrong in ((hidden, weight, targets[:4]), (hidden, weight[:, :4], targets)):
        with pytest.raises(ValueError, match="do not fit"):
            loss(*wrong, reduction=reduction)
    with pytest.raises(ValueError, match="chunk_size=-1 do not fit"):
        loss(hidden, weight, targets, -1, reduction=reduction)
    for target in (-1, 50):
        with pytest.raises((IndexError, RuntimeError)):
            loss(hidden, weight, torch.where(targets == 3, target, targets), reduction=reduction)
    frozen = weight.detach()
    (alone,) = torch.autograd.grad(loss(hidden, frozen, targets, reduction=reduction).sum(), [hidden])
    total = loss(hidden, weight, targets, reduction=reduction).sum()
    assert torch.equal(torch.autograd.grad(total, hidden, retain_graph=True)[0], alone)
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        torch.autograd.grad(total, hidden, create_graph=True)
    with torch.no_grad():
        hidden[2] = float("inf")
    assert loss(hidden, weight, targets, reduction=reduction).isfinite().all()


@pytest.mark.parametrize("chunk_size", [0, 7])
def test_sum_of_the_loss(chunk_size: int) -> None:
    """The same value and gradients as the sum over rows, whatever factor comes back; also none of both."""
    hidden, weight = random(20, 8).requires_grad_(), random(50, 8, seed=1).requires_grad_()
    targets = torch.arange(20)
    targets[3] = IGNORE_INDEX
    by_row = 3 * linear_cross_entropy(hidden, weight, targets, chunk_size, 0.1).sum()
    summed = 3 * linear_cross_entropy(hidden, weight, targets, chunk_size, 0.1, "sum")
    torch.testing.assert_close(summed, by_row, rtol=0, atol=1e-10)
    expected = torch.autograd.grad(by_row, (hidden, weight))
    for _ in range(2):  # what is kept is not changed by a backward pass
        found = torch.autograd.grad(summed, (hidden, weight), retain_graph=True)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    with torch.no_grad():
        found_value = linear_cross_entropy(hidden, weight, targets, chunk_size, 0.1, "sum")
    torch.testing.assert_close(3 * found_value, by_row, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="reduction='mean' is not known"):
        linear_cross_entropy(hidden, weight, targets, reduction="mean")  # type: ignore[arg-type]
