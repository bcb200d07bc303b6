"""Time, bandwidth, arithmetic and memory of an operation on a CPU, forward alone and with backward.

Bytes are what an implementation has to move once: inputs, outputs and gradients. FLOPs are those of the
matrix products over the positions that see each other; attention's backward pass counts 2.5 times its
forward pass.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.rope import rope_tables


@dataclass(frozen=True)
class Workload:
    """One call of an operation at a real size."""

    operation: str
    description: str
    arguments: dict[str, Any]
    flops: float
    """Of the forward pass."""
    backward_flops: float
    moved_bytes: float
    """By the forward pass; the backward pass moves about twice that."""


@dataclass(frozen=True)
class Timing:
    """What one implementation takes."""

    forward: float
    """Seconds, the fastest call: what other work on the machine adds is noise."""
    both: float
    """Seconds of forward and backward, the fastest."""
    extra_bytes: int
    """Peak memory of forward and backward, outputs and gradients included, inputs not."""


def _normal(device: str, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator).to(device, dtype).requires_grad_()


def attention_workload(
    tokens: int, heads: tuple[int, int], size: int, documents: int, device: str, dtype: torch.dtype
) -> Workload:
    """`documents` of unequal length in one row."""
    weights = torch.linspace(1, 3, documents)
    boundaries = [0, *(weights.cumsum(0) / weights.sum() * tokens).round().int().tolist()]
    mask = attention_mask(1, tokens, torch.tensor(boundaries))
    query = _normal(device, dtype, 1, tokens, heads[0], size)
    key, value = (_normal(device, dtype, 1, tokens, heads[1], size) for _ in range(2))
    pairs = (torch.arange(tokens) + 1 - mask.first_key).sum().item()
    flops = 4.0 * pairs * size * heads[0]
    moved = 2.0 * tokens * size * (heads[0] + heads[1]) * query.element_size()
    arguments = {"query": query, "key": key, "value": value, "mask": mask.to(device)}
    name = f"{tokens} tokens, {documents} documents, heads {heads[0]}/{heads[1]} x {size}"
    return Workload("attention", name, arguments, flops, 2.5 * flops, moved)


def row_workloads(tokens: int, hidden_size: int, device: str, dtype: torch.dtype) -> list[Workload]:
    """RMSNorm, its form with addition, RoPE and SwiGLU."""
    hidden, residual = (_normal(device, dtype, tokens, hidden_size) for _ in range(2))
    weight = _normal(device, dtype, hidden_size)
    heads = _normal(device, dtype, 1, tokens, hidden_size // 128, 128)
    cosine, sine = rope_tables(tokens, 128, 10000.0, device)
    gate_up = _normal(device, dtype, tokens, 7 * hidden_size)
    once = hidden.numel() * hidden.element_size()
    rows = f"{tokens} x {hidden_size}"
    norm = {"hidden": hidden, "weight": weight, "eps": 1e-6}
    turned = {"heads": heads, "cosine": cosine, "sine": sine}
    return [
        Workload("rms_norm", rows, norm, 0, 0, 2 * once),
        Workload("add_rms_norm", rows, {**norm, "residual": residual}, 0, 0, 4 * once),
        Workload("apply_rope", rows, turned, 0, 0, 2 * once),
        Workload("swiglu", f"{tokens} x 7 x {hidden_size}", {"gate_up": gate_up}, 0, 0, 10.5 * once),
    ]


def loss_workload(
    tokens: int, hidden_size: int, vocabulary: int, chunk_size: int, device: str, dtype: torch.dtype
) -> Workload:
    """Linear cross-entropy."""
    hidden = _normal(device, dtype, tokens, hidden_size)
    weight = (_normal(device, dtype, vocabulary, hidden_size) * hidden_size**-0.5).detach().requires_grad_()
    targets = torch.randint(vocabulary, (tokens,), device=device)
    flops = 2.0 * tokens * hidden_size * vocabulary
    moved = float((hidden.numel() + weight.numel()) * hidden.element_size())
    arguments = {"hidden": hidden, "weight": weight, "targets": targets, "chunk_size": chunk_size}
    name = f"{tokens} x {hidden_size}, vocabulary {vocabulary}, chunk {chunk_size}"
    return Workload("linear_cross_entropy", name, arguments, flops, 2 * flops, moved)


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes that PyTorch's allocator holds during a call, above those before it."""
    gc.collect()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        work()
    assert profile.profiler is not None
    events = profile.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    steps = (event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns()))
    return max(itertools.accumulate(steps), default=0)


def _seconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(workload: Workload, function: Callable[..., Any], rounds: int) -> Timing:
    """The fastest of some calls, after three that compile and warm up."""
    leaves = [v for v in workload.arguments.values() if isinstance(v, torch.Tensor) and v.requires_grad]

    def forward() -> None:
        with torch.no_grad():
            function(**workload.arguments)

    def both() -> None:
        outputs = function(**workload.arguments)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.autograd.grad(outputs, leaves, [torch.ones_like(out) for out in outputs])

    for work in (forward, both, both):
        work()
    peak = peak_bytes(both)
    return Timing(_seconds(forward, rounds), _seconds(both, rounds), peak)


def table_row(workload: Workload, backend: str, timing: Timing) -> str:
    """One line of the table of `TABLE_HEAD`."""
    flops = (workload.flops + workload.backward_flops) / timing.both / 1e12
    bandwidth = 3 * workload.moved_bytes / timing.both / 1e9
    extra = timing.extra_bytes / 2**20
    return (
        f"| {workload.operation} {workload.description} | {backend} | {timing.forward * 1e3:.3f} "
        f"| {timing.both * 1e3:.3f} | {bandwidth:.1f} | {flops:.2f} | {extra:.0f} |"
    )


TABLE_HEAD = (
    "| operation | backend | forward ms | forward + backward ms | GB/s | TFLOP/s | extra MiB |\n"
    "| --- | --- | --: | --: | --: | --: | --: |"
)
