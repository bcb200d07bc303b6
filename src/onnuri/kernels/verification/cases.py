"""Random cases for every operation, and how far an implementation is from float64 on them.

The same cases go through the interpreter on a CPU (`tests/kernels`) and through a GPU
(`scripts/gpu_check.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch

from onnuri.kernels.attention import reference_attention
from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX, linear_cross_entropy
from onnuri.kernels.rms_norm import add_rms_norm, rms_norm
from onnuri.kernels.rope import apply_rope, rope_tables
from onnuri.kernels.swiglu import swiglu

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
"""Largest error allowed, relative to the largest magnitude of the float64 result."""
REFERENCE: dict[str, Callable[..., Any]] = {
    "attention": reference_attention,
    "rms_norm": rms_norm,
    "add_rms_norm": add_rms_norm,
    "rope": apply_rope,
    "swiglu": swiglu,
    "linear_cross_entropy": linear_cross_entropy,
}


@dataclass(frozen=True)
class Case:
    """Arguments of one call."""

    operation: str
    differentiable: dict[str, torch.Tensor]
    """Tensors in float64, to be rounded to the dtype under test; the first arguments, in order."""
    others: dict[str, Any]
    """The other arguments, by name."""
    description: str
    terms: dict[str, float] = field(default_factory=dict)
    """By result: the magnitude of the terms that cancel in it, where that is not the result's own."""

    def __repr__(self) -> str:
        return f"{self.operation}({self.description})"


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Unit normal values in float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def grad_output(number: int, *shape: int) -> torch.Tensor:
    """Weights of an output in the sum that is differentiated."""
    return normal(torch.Generator().manual_seed(number), *shape)


def attention_case(
    batch: int,
    length: int,
    heads: tuple[int, int],
    size: int,
    cuts: Sequence[int],
    window: int,
    seed: int,
    branches: Sequence[int] = (),
) -> Case:
    """`cuts`: where documents begin in the batch x length tokens, beside the rows' own beginnings;
    `branches`: where they branch."""
    generator = torch.Generator().manual_seed(seed)
    num_heads, kv_heads = heads
    boundaries = sorted({*range(0, batch * length + 1, length), *cuts})
    query = normal(generator, batch, length, num_heads, size)
    key, value = (normal(generator, batch, length, kv_heads, size) for _ in range(2))
    return Case(
        "attention",
        {"query": query, "key": key, "value": value},
        {
            "mask": attention_mask(
                batch, length, torch.tensor(boundaries), window, branches=torch.tensor(branches)
            )
        },
        f"batch {batch}, length {length}, heads {heads}, size {size}, documents at {boundaries}, "
        f"window {window}, branches at {[*branches]}, seed {seed}",
        dict.fromkeys(
            ("gradient of query", "gradient of key"), _largest_cancelling_term(query, key, value)
        ),
    )


def several_blocks(size: int, window: int, branches: Sequence[int] = ()) -> Case:
    """700 tokens: whole blocks, both masked ends and skipped ones in every kernel, in any GPU's blocks."""
    return attention_case(1, 700, (2, 1), size, [1, 2, 300, 301, 512], window, size, branches)


def _largest_cancelling_term(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> float:
    """Each token sees itself: D ** -0.5 (grad_out . value) key is a term of its query's gradient."""
    group = query.shape[2] // key.shape[2]
    grad_weight = (grad_output(0, *query.shape) * value.repeat_interleave(group, 2)).sum(-1, keepdim=True)
    term = grad_weight * key.repeat_interleave(group, 2) * query.shape[-1] ** -0.5
    return term.abs().max().item()


def draw_attention(random: Random, longest: int = 300) -> Case:
    """Any number of documents, of one token too, and as many heads as fit."""
    kv_heads = random.choice([1, 2, 4, 8])
    heads = kv_heads * random.choice([group for group in (1, 2, 4, 8) if group * kv_heads <= 8])
    length = random.randint(1, longest)
    batch = random.randint(1, max(1, min(3, longest // length)))
    tokens = batch * length
    cuts = random.sample(range(tokens), random.choice([0, 1, 4, min(tokens, 40)]) % (tokens + 1))
    if random.random() < 0.3:  # a run of documents of one token
        begin = random.randrange(tokens)
        cuts += range(begin, min(tokens, begin + random.randint(1, 20)))
    window = random.choice([0, 0, 1, random.randint(1, longest)])
    size = random.choice([64, 64, 96, 128, 128, 16])
    seed = random.randrange(2**31)
    branches: list[int] = []
    if window == 0 and random.random() < 0.5:
        branches = sorted(random.sample(range(tokens), min(tokens, random.choice([1, 3, 20]))))
    return attention_case(batch, length, (heads, kv_heads), size, cuts, window, seed, branches)


def draw_rms_norm(random: Random, longest: int = 300) -> Case:
    """Rows of any width, in two or three dimensions."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    size = random.choice([16, 64, 128, 200, 1000, 1024, 4096, 5000])
    lead = [random.randint(1, 6) for _ in range(random.randint(0, 2))]
    rows = random.randint(1, longest // 8 if size <= 200 else 4)
    shape = (*lead, rows, size)
    tensors = {"hidden": normal(generator, *shape), "weight": normal(generator, size)}
    return Case("rms_norm", tensors, {"eps": random.choice([1e-6, 1e-5])}, f"shape {shape}")


def draw_add_rms_norm(random: Random, longest: int = 300) -> Case:
    """A residual beside the rows."""
    case = draw_rms_norm(random, longest)
    hidden, weight = case.differentiable.values()
    residual = normal(torch.Generator().manual_seed(random.randrange(2**31)), *hidden.shape)
    tensors = {"hidden": hidden, "residual": residual, "weight": weight}
    return Case("add_rms_norm", tensors, case.others, case.description)


def draw_rope(random: Random, longest: int = 300) -> Case:
    """Tables by token, by token and row, or by position."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    batch, length, heads = random.randint(1, 3), random.randint(1, longest // 4), random.randint(1, 8)
    size = random.choice([2, 16, 64, 96, 128])
    cosine, sine = rope_tables(length, size, 10000.0)
    positions = torch.randint(length, (batch, length), generator=generator)
    kind = random.choice(["tokens", "rows", "positions"])
    others: dict[str, Any] = {"cosine": cosine, "sine": sine}
    if kind == "rows":
        others = {"cosine": cosine[positions], "sine": sine[positions]}
    if kind == "positions":
        others["positions"] = positions
    tensors = {"heads": normal(generator, batch, length, heads, size)}
    return Case("rope", tensors, others, f"[{batch}, {length}, {heads}, {size}], {kind}")


def draw_swiglu(random: Random, longest: int = 300) -> Case:
    """Rows of any width."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    width = random.choice([1, 100, 1024, 1408, 3000])
    shape = (random.randint(1, 3), random.randint(1, longest // 16), 2 * width)
    return Case("swiglu", {"gate_up": normal(generator, *shape)}, {}, f"shape {shape}")


def draw_linear_cross_entropy(random: Random, longest: int = 300) -> Case:
    """Rows that do not count among them, chunks that do not divide the rows, with and without z-loss."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    rows = 8 * random.randint(1, longest // 32)  # PyTorch's products of a few rows sum naively on CPUs
    size = random.choice([16, 64, 200])
    vocabulary = random.choice([2, 100, 1000, 4096, 9001])
    weight = normal(generator, vocabulary, size) * (random.choice([0.1, 1.0]) * size**-0.5)
    targets = torch.randint(vocabulary, (rows,), generator=generator)
    chunk_size, z_loss = random.choice([0, 24, 32]), random.choice([0.0, 1e-4, 0.1])
    ignored = random.choice([0.2, 0.9])
    targets[torch.rand(rows, generator=generator) < ignored] = IGNORE_INDEX
    return Case(
        "linear_cross_entropy",
        {"hidden": normal(generator, rows, size), "weight": weight},
        {"targets": targets, "chunk_size": chunk_size, "z_loss": z_loss},
        f"rows {rows}, size {size}, vocabulary {vocabulary}, chunk {chunk_size}, z_loss {z_loss}, "
        f"{ignored:.0%} ignored",
    )


DRAW: dict[str, Callable[..., Case]] = {
    "attention": draw_attention,
    "rms_norm": draw_rms_norm,
    "add_rms_norm": draw_add_rms_norm,
    "rope": draw_rope,
    "swiglu": draw_swiglu,
    "linear_cross_entropy": draw_linear_cross_entropy,
}


def _run(
    case: Case, function: Callable[..., Any], dtype: torch.dtype, exact: bool, device: torch.device | str
) -> dict[str, torch.Tensor]:
    """Outputs, and gradients of a random weighted sum of them. `exact`: float64 over the rounded inputs."""
    leaves = {
        name: tensor.to(dtype).to(device, torch.float64 if exact else dtype).requires_grad_()
        for name, tensor in case.differentiable.items()
    }
    others = {
        name: value.to(device) if isinstance(value, torch.Tensor | AttentionMask) else value
        for name, value in case.others.items()
    }
    outputs = function(**leaves, **others)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    weights = [grad_output(number, *out.shape).to(dtype).to(out) for number, out in enumerate(outputs)]
    torch.autograd.backward(outputs, weights)
    results = {f"output {number}": out.detach() for number, out in enumerate(outputs)}
    return results | {
        f"gradient of {name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None
    }


def errors(
    case: Case, function: Callable[..., Any], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Largest error of each output and gradient, relative to the largest magnitude of the float64 one.

    Where all of a result is small, as the query's gradient is for documents of one token (0), the error is
    relative to the terms that cancel in it, and to 1 at least.
    """
    found = _run(case, function, dtype, False, device)
    expected = _run(case, REFERENCE[case.operation], dtype, True, "cpu")
    if found.keys() != expected.keys():
        raise AssertionError(f"{case}: results {list(found)}, expected {list(expected)}")
    relative = {}
    for name, wanted in expected.items():
        scale = max(1.0, case.terms.get(name, 0.0), wanted.abs().max().item())
        error = (found[name].cpu().double() - wanted).abs().max().item() / scale
        relative[name] = float("inf") if math.isnan(error) else error
    return relative
