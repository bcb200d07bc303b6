"""RMSNorm, RoPE and SwiGLU by Triton, PyTorch eager and compiled, Liger. They are bound by memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from onnuri.gpu.stage import Results, Settings, not_run, one_line
from onnuri.gpu.timing import forward_and_backward
from onnuri.kernels.backends import FUNCTIONS, load
from onnuri.kernels.choice import ROW_OPERATIONS
from onnuri.kernels.verification.speed import row_workloads

TOKENS, HIDDEN = 16384, 2048


def run(settings: Settings) -> Results:
    """Each operation by each implementation."""
    tokens, hidden = (16, 128) if settings.rehearse else (TOKENS, HIDDEN)
    operations = {name: operation for operation in ROW_OPERATIONS for name in FUNCTIONS[operation]}
    for workload in row_workloads(tokens, hidden, settings.device, torch.bfloat16):
        name = workload.operation
        eager = load(operations[name], "torch", settings.device)[name]
        functions: dict[str, Callable[..., Any]] = {
            "triton": load(operations[name], "triton", settings.device)[name],
            "torch": eager,
            "torch compiled": torch.compile(
                eager, backend="aot_eager" if settings.rehearse else "inductor"
            ),
        }
        if peer := liger(settings.device).get(name):
            functions["Liger's own"] = peer
        for implementation, function in functions.items():
            result = {
                "measured": "rows",
                "operation": operations[name],
                "function": name,
                "implementation": implementation,
                "shape": workload.description,
            }
            torch._dynamo.reset()
            try:
                forward, backward = forward_and_backward(function, workload.arguments, settings.device)
            except Exception as error:  # the others are measured all the same
                yield result | {"error": one_line(error)}
                continue
            yield result | {
                "forward_ms": forward,
                "backward_ms": backward,
                "forward_gbs": workload.moved_bytes / forward / 1e6,
                "backward_gbs": 2 * workload.moved_bytes / backward / 1e6,
            }
    if not liger(settings.device):
        yield not_run("row operations by Liger", "liger-kernel on an NVIDIA GPU is needed")
    if settings.rehearse:
        yield not_run("row operations compiled by Inductor", "a rehearsal does not wait for it")


def liger(device: str) -> dict[str, Callable[..., Any]]:
    """Liger's own functions, as its users call them."""
    if find_spec("liger_kernel") is None or device != "cuda":
        return {}
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> Any:
        return LigerRMSNormFunction.apply(hidden, weight, eps, 0.0, "llama", False)

    return {
        "rms_norm": rms_norm,
        "swiglu": lambda gate_up: LigerSiLUMulFunction.apply(*gate_up.chunk(2, dim=-1)),
    }
