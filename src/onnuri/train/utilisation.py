"""How much of the machine's arithmetic a run uses.

MFU (model FLOPs utilisation, PaLM, arXiv 2204.02311) is FLOPs that the model needs a second over what the
devices could do. The numerator is `ModelConfig.flops_per_token` x tokens a second: 6 a weight and token and
12 x layers x H x D x S for attention; recomputed activations do not count. The denominator is a GPU's dense
peak by its data sheet, and on CPUs, which have none, the best rate of matrix products just measured.
"""

from __future__ import annotations

import time

import torch
import torch.distributed as dist

from onnuri.base.devices import peak_flops_of

SIZE, TIMES = 1024, 8


def peak_flops(device: torch.device, precision: str) -> float:
    """FLOP/s that all ranks' devices can do together; 0 where nobody knows. A collective call."""
    if device.type == "cuda":
        own = peak_flops_of(torch.cuda.get_device_name(device)) if precision == "bf16" else 0.0
    else:
        own = measure(torch.bfloat16 if precision == "bf16" else torch.float32)
    total = torch.tensor(own, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total)


def measure(dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of a few matrix products on this process's threads."""
    left, right = torch.ones(SIZE, SIZE, dtype=dtype), torch.ones(SIZE, SIZE, dtype=dtype)
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - started)
    return float(2 * SIZE**3 / min(seconds))
