"""How long a call takes: the median by CUDA events on GPUs, by the clock on CPUs.

Inputs, outputs and incoming gradients are made before the timed region.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch._functorch.config

WARM_UP_MS, MEASURED_MS = 20, 80
CPU_ROUNDS = 1


def milliseconds(work: Callable[[], object], device: str, measured_ms: int = MEASURED_MS) -> float:
    """The median of the calls that fit into `measured_ms`."""
    if device == "cuda":
        from triton.testing import do_bench

        return float(do_bench(work, warmup=WARM_UP_MS, rep=measured_ms, return_mode="median"))
    times = []
    for _ in range(CPU_ROUNDS):
        started = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started))
    return median(times)


def forward_and_backward(
    function: Callable[..., Any], arguments: dict[str, Any], device: str
) -> tuple[float, float]:
    """Milliseconds of the forward pass without a graph, and of the backward pass alone."""
    # A graph that is gone through again must keep its buffers; Inductor's give theirs away.
    torch._functorch.config.donated_buffer = False
    leaves = [x for x in arguments.values() if isinstance(x, torch.Tensor) and x.requires_grad]
    with torch.no_grad():
        forward = milliseconds(lambda: function(**arguments), device)
    outputs = function(**arguments)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    gradients = [torch.randn_like(out) for out in outputs]
    backward = milliseconds(
        lambda: torch.autograd.grad(outputs, leaves, gradients, retain_graph=True), device
    )
    return forward, backward


def normal(device: str, *shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """Unit normal values made on the device, that gradients are wanted of."""
    generator = torch.Generator(device).manual_seed(0)
    values = torch.randn(*shape, generator=generator, device=device, dtype=torch.float32)
    return values.to(dtype).requires_grad_()
