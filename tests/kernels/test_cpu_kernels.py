"""What is compiled for CPUs: what the random cases beside float64 do not reach."""

import subprocess
import sys
from importlib import import_module

import pytest
import torch

from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX
from onnuri.kernels.native.attention import attention
from onnuri.kernels.native.library import missing
from onnuri.kernels.native.linear_cross_entropy import linear_cross_entropy, loss_and_dlogits
from onnuri.kernels.verification.cases import TOLERANCE, attention_case, errors

by_pytorch = import_module("onnuri.kernels.linear_cross_entropy")
DTYPES = [dtype for dtype in (torch.float32, torch.bfloat16) if not missing(dtype)]


def test_it_is_compiled_with_the_package_and_runs() -> None:
    """Or the tests below would test nothing."""
    assert "compiled" not in missing(torch.float32)
    if sys.platform == "linux" and torch.cpu.get_capabilities().get("avx2"):
        assert missing(torch.float32) == ""
    assert missing(torch.float64) == "it takes bf16 and fp32, not float64"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("window", [0, 1, 64, 130, 300])
def test_many_tiles(dtype: torch.dtype, window: int) -> None:
    """Documents that end on, before and behind the edges of tiles; windows that begin in any of them."""
    case = attention_case(2, 700, (4, 2), 64, [64, 65, 192, 321, 700 + 128], window, seed=window)
    found = errors(case, attention, dtype)
    assert max(found.values()) <= TOLERANCE[dtype], found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_branches_over_many_tiles(dtype: torch.dtype) -> None:
    """That begin before, on and behind the edges of tiles and of documents, one token long and many."""
    branches = [3, 63, 64, 191, 192, 193, 320, 321, 700 + 100, 700 + 128, 1399]
    case = attention_case(2, 700, (4, 2), 64, [64, 321, 700 + 128], 0, seed=1, branches=branches)
    found = errors(case, attention, dtype)
    assert max(found.values()) <= TOLERANCE[dtype], found


def draw(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


def results(
    joined: torch.Tensor, boundaries: list[int] | None, copied: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of [B, S, 2 query + 1 key + 1 value heads, D], and the gradient by all of it."""
    leaf = joined.clone().requires_grad_()
    parts = leaf.split((2, 1, 1), dim=2)
    parts = tuple(part.transpose(1, 2).contiguous().transpose(1, 2) for part in parts) if copied else parts
    mask = None if boundaries is None else attention_mask(*joined.shape[:2], torch.tensor(boundaries))
    out = attention(*parts, mask)
    out.backward(torch.ones_like(out) * out.detach())
    assert leaf.grad is not None
    return out.detach(), leaf.grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bits_depend_on_neither_threads_nor_layout(dtype: torch.dtype) -> None:
    """Nor on whether rows are called documents, nor on the integers that boundaries are given in."""
    joined, threads = draw(dtype, 3, 150, 4, 32), torch.get_num_threads()
    expected = results(joined, None)
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            for found in (results(joined, [0, 150, 300, 450]), results(joined, None, copied=True)):
                assert all(map(torch.equal, found, expected))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_finite_stays_so_and_stays_in_its_document(dtype: torch.dtype) -> None:
    for bad in (float("nan"), float("inf")):
        joined = draw(dtype, 1, 200, 4, 32)
        joined[0, 120, 0] = bad
        out, grad = results(joined, [0, 100, 200])
        assert out[0, :100].isfinite().all() and grad[0, :100].isfinite().all()
        assert not out[0, 120].isfinite().all() and not grad[0, 100:].isfinite().all()


def test_scores_of_any_size() -> None:
    """Weights of 0 and 1, where an exponential without its largest score would overflow."""
    for size in (100, 1e10):
        joined = draw(torch.float32, 1, 300, 4, 6) * size
        out, grad = results(joined, None)
        assert out.isfinite().all() and grad.isfinite().all()
        assert torch.equal(out[0, 0], joined[0, 0, [3, 3]])


def test_a_mask_of_another_batch_is_refused() -> None:
    heads = draw(torch.float32, 1, 10, 4, 32)
    with pytest.raises(ValueError, match="the mask is of 5 positions, the heads of 10"):
        attention(heads, heads, heads, attention_mask(1, 5))


@pytest.mark.parametrize(
    ("key", "value"),
    [((1, 10, 2, 8), (1, 10, 2, 8)), ((1, 9, 1, 8), (1, 9, 1, 8)), ((1, 10, 1, 8), (1, 10, 1, 6))],
)
def test_heads_that_do_not_fit_are_refused(key: tuple[int, ...], value: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="query, key, value do not fit"):
        attention(torch.ones(1, 10, 3, 8), torch.ones(key), torch.ones(value))


def test_odd_head_sizes_and_other_dtypes_are_left_to_pytorch() -> None:
    for joined in (draw(torch.float32, 1, 10, 4, 5), draw(torch.float64, 1, 10, 4, 8)):
        out, _ = results(joined, None)
        assert out.dtype == joined.dtype and out.shape == (1, 10, 2, joined.shape[-1])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bits_of_the_loss_do_not_depend_on_threads(dtype: torch.dtype) -> None:
    """Nor on the rows beside one; a target of -100 counts for nothing."""
    logits, targets, threads = draw(dtype, 70, 3001) * 9, torch.arange(70) - 3, torch.get_num_threads()
    targets[targets < 0] = IGNORE_INDEX
    expected = loss_and_dlogits(logits[40:].clone(), targets[40:], 1e-4)
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            losses, dlogits = loss_and_dlogits(logits.clone(), targets, 1e-4)
            assert torch.equal(losses[40:], expected[0]) and torch.equal(dlogits[40:], expected[1])
            assert not losses[:3].any() and not dlogits[:3].any() and losses[3:].gt(0).all()
    finally:
        torch.set_num_threads(threads)


def test_a_loss_that_is_not_finite_stays_so() -> None:
    hidden, weight = draw(torch.float32, 8, 16), draw(torch.float32, 100, 16)
    hidden[5, 0] = float("nan")
    hidden.requires_grad_()
    losses = linear_cross_entropy(hidden, weight, torch.arange(8))
    losses.sum().backward()
    assert losses.isfinite().tolist() == [True] * 5 + [False] + [True] * 2
    assert hidden.grad is not None and not hidden.grad[5].isfinite().any()


def test_targets_that_are_none_are_refused() -> None:
    for target in (100, -1):
        with pytest.raises(IndexError, match=r"1 target.* not in 0 to 99"):
            linear_cross_entropy(torch.ones(2, 4), torch.ones(100, 4), torch.tensor([5, target]))


def test_other_dtypes_of_logits_are_left_to_pytorch() -> None:
    """Autocast decides about logits, not the inputs."""
    hidden, weight, targets = draw(torch.float32, 8, 16), draw(torch.float32, 100, 16), torch.arange(8)
    expected = linear_cross_entropy(hidden, weight, targets)
    with torch.autocast("cpu", torch.float16):
        found = linear_cross_entropy(hidden, weight, targets)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


def test_without_gradients_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_pytorch, "_with_gradients", lambda *_: pytest.fail("gradients were computed"))
    hidden, weight = draw(torch.float32, 8, 16), draw(torch.float32, 100, 16).requires_grad_()
    with torch.no_grad():
        assert linear_cross_entropy(hidden, weight, torch.arange(8)).gt(0).all()


def test_a_product_that_fails_is_an_error_of_python() -> None:
    """Not the end of the process."""
    program = (
        "import torch; from onnuri.kernels.native.attention import attention; "
        "torch.backends.mkldnn.set_flags(False); attention(*torch.ones(3, 1, 9, 1, 8).bfloat16())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "RuntimeError: attention in C++ failed" in result.stderr
