"""The interpreter itself: bf16 as the hardware computes it, and faults that must be found."""

import pytest
import torch
import triton
import triton.language as tl

SIZE = 16


@triton.jit
def _compute(left, right, out, OPERATION: tl.constexpr, SIZE: tl.constexpr):
    rows = tl.arange(0, SIZE)
    places = rows[:, None] * SIZE + rows[None, :]
    a = tl.load(left + places)
    b = tl.load(right + places)
    if OPERATION == "add":
        c = a + b
    elif OPERATION == "multiply":
        c = a * b
    elif OPERATION == "maximum":
        c = tl.maximum(a, b)
    elif OPERATION == "select":
        c = tl.where(a > b, a, b)
    elif OPERATION == "absolute":
        c = tl.abs(a)
    elif OPERATION == "dot":
        c = tl.dot(a, tl.trans(b)).to(tl.bfloat16)
    elif OPERATION == "sum":
        c = tl.sum(a, 1)[:, None] + tl.zeros([SIZE, SIZE], tl.bfloat16)
    elif OPERATION == "cast":
        c = (a.to(tl.float32) * 1.001).to(tl.bfloat16)
    elif OPERATION == "exponential":
        c = tl.exp(a.to(tl.float32)).to(tl.bfloat16)
    tl.store(out + places, c)


EXPECTED = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "maximum": torch.maximum,
    "select": torch.maximum,
    "absolute": lambda a, b: a.abs(),
    "dot": lambda a, b: (a.double() @ b.double().T).bfloat16(),
    "sum": lambda a, b: a.double().sum(1, keepdim=True).bfloat16().expand(SIZE, SIZE),
    "cast": lambda a, b: (a.float() * 1.001).bfloat16(),
    "exponential": lambda a, b: a.float().exp().bfloat16(),
}


@pytest.mark.parametrize("operation", EXPECTED)
def test_bf16_is_what_torch_computes(operation: str) -> None:
    """Bit for bit where one operation rounds once; to one rounding where a sum has an order."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(SIZE, SIZE, generator=generator).bfloat16() for _ in range(2))
    out = torch.empty_like(left)
    _compute[(1,)](left, right, out, operation, SIZE)
    expected = EXPECTED[operation](left, right)
    rounding = 2**-8 if operation in ("dot", "sum", "exponential") else 0
    torch.testing.assert_close(out, expected, rtol=rounding, atol=0)


@triton.jit
def _copy(source, target, count, STEP: tl.constexpr, SIZE: tl.constexpr, SHIFT: tl.constexpr):
    places = tl.program_id(0) * STEP + tl.arange(0, SIZE)
    values = tl.load(source + places + SHIFT, mask=places < count, other=0.0)
    tl.store(target + places, values, mask=places < count)


@triton.jit
def _add_atomically(target, SIZE: tl.constexpr):
    tl.atomic_add(target + tl.arange(0, SIZE), 1.0)


@triton.jit
def _store_twice(target, SIZE: tl.constexpr):
    tl.store(target + tl.arange(0, SIZE) // 2, 1.0)


def test_a_clean_kernel_passes() -> None:
    source, target = torch.arange(50.0), torch.empty(50)
    _copy[(4,)](source, target, 50, 16, 16, 0)
    assert torch.equal(source, target)


def test_faults_are_found() -> None:
    source, target = torch.arange(50.0), torch.zeros(50)
    with pytest.raises(Exception, match="out-of-bounds load"):
        _copy[(4,)](source, target, 51, 16, 16, 0)
    with pytest.raises(Exception, match="out-of-bounds store"):
        _copy[(4,)](torch.zeros(64), target, 51, 16, 16, 0)
    with pytest.raises(Exception, match="store where another program stored"):
        _copy[(4,)](source, target, 50, 12, 16, 0)
    with pytest.raises(Exception, match="store where another program loaded"):
        _copy[(3,)](target, target, 34, 16, 16, 16)
    with pytest.raises(Exception, match="two lanes"):
        _store_twice[(1,)](target, 16)
    with pytest.raises(Exception, match="not checked"):
        _add_atomically[(1,)](target, 16)


def test_a_gap_between_the_elements_of_a_view_is_out_of_bounds() -> None:
    both = torch.zeros(8, 20)
    with pytest.raises(Exception, match="out-of-bounds store"):
        _copy[(1,)](torch.zeros(16), both[:, :10], 16, 16, 16, 0)
