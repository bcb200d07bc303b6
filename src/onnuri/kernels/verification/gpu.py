"""Are the GPU kernels right on this GPU, and how fast are they beside their peers?

Every implementation that is installed goes through the cases of the tests against float64, on the GPU. Then
time, bandwidth, arithmetic and the share of the GPU's peak beside PyTorch, flash-attn and Liger.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from random import Random
from typing import Any

import torch

from onnuri.errors import UserError
from onnuri.kernel_config import BACKENDS, GpuCheckConfig, KernelConfig
from onnuri.kernels.backends import FUNCTIONS, load, select
from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX
from onnuri.kernels.verification.cases import DRAW, TOLERANCE, Case, errors, several_blocks
from onnuri.kernels.verification.speed import (
    TABLE_HEAD,
    Workload,
    attention_workload,
    loss_workload,
    measure,
    peak_of,
    row_workloads,
    table_row,
)


def installed(operation: str, device: str, dtype: torch.dtype) -> list[str]:
    """The backends that can run on a device."""
    backends = []
    for backend in BACKENDS[operation]:
        try:
            select(KernelConfig("torch", **{operation: backend}), device, dtype)
        except UserError:
            continue
        backends.append(backend)
    return backends


def cases(name: str, count: int) -> list[Case]:
    """Those of the tests: random ones, and attention over several blocks."""
    drawn = [DRAW[name](Random(seed)) for seed in range(count)]
    if name != "attention":
        return drawn
    return [*drawn, *(several_blocks(size, window) for size in (64, 96, 128) for window in (0, 200))]


def check_numbers(count: int, device: str) -> int:
    """A line for each implementation and dtype; how many of ours are wrong."""
    wrong = 0
    print("| operation | backend | dtype | cases | largest error | allowed | |")
    print("| --- | --- | --- | --: | --: | --: | --- |")
    for operation in FUNCTIONS:
        for dtype, allowed in TOLERANCE.items():
            for backend in installed(operation, device, dtype):
                for name, function in load(operation, backend, device).items():
                    case_name = "rope" if name == "apply_rope" else name
                    each = cases(case_name, count)
                    worst = max(max(errors(case, function, dtype, device).values()) for case in each)
                    good = worst <= allowed
                    wrong += backend == "triton" and not good
                    print(
                        f"| {name} | {backend} | {str(dtype).removeprefix('torch.')} | {len(each)} "
                        f"| {worst:.1e} | {allowed:.0e} | {'' if good else 'OVER'} |",
                        flush=True,
                    )
    return wrong


def differ_from_run_to_run(device: str) -> int:
    """Gradients of attention must have the same bits each time."""
    function = load("attention", "triton", device)["attention"]
    case = several_blocks(128, 0)
    runs = []
    for _ in range(5):
        leaves = [x.to(device, torch.bfloat16).requires_grad_() for x in case.differentiable.values()]
        out = function(*leaves, **case.others)
        runs.append(torch.autograd.grad(out.float().square().sum(), leaves))
    same = all(torch.equal(first, other) for run in runs for first, other in zip(runs[0], run, strict=True))
    print(f"attention gradients, 5 runs: {'the same bits' if same else 'DIFFERENT BITS'}")
    return not same


def liger_peers() -> dict[str, Callable[..., Any]]:
    """Liger's own functions, as a user of Liger would call them; its fused loss is a mean over rows."""
    if find_spec("liger_kernel") is None:
        return {}
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    def loss(
        hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int
    ) -> torch.Tensor:
        del chunk_size
        return LigerFusedLinearCrossEntropyFunction.apply(
            hidden, weight, targets, None, None, IGNORE_INDEX
        )[0]

    return {
        "rms_norm": lambda hidden, weight, eps: LigerRMSNormFunction.apply(
            hidden, weight, eps, 0.0, "llama", False
        ),
        "swiglu": lambda gate_up: LigerSiLUMulFunction.apply(*gate_up.chunk(2, dim=-1)),
        "linear_cross_entropy": loss,
    }


def check_speed(rounds: int) -> None:
    """The table, in bf16."""
    dtype, name = torch.bfloat16, torch.cuda.get_device_name()
    workloads: list[Workload] = [
        attention_workload(16384, heads, size, documents, "cuda", dtype)
        for heads, size in (((32, 8), 128), ((32, 8), 64))
        for documents in (1, 16)
    ]
    workloads += row_workloads(16384, 4096, "cuda", dtype)
    workloads += [loss_workload(8192, 4096, 131072, 1024, "cuda", dtype)]
    operations = {function: operation for operation, names in FUNCTIONS.items() for function in names}
    print(f"\n{name}, torch {torch.__version__}, bf16\n\n{TABLE_HEAD}")
    for workload in workloads:
        operation = operations[workload.operation]
        functions = {
            backend: load(operation, backend, "cuda")[workload.operation]
            for backend in installed(operation, "cuda", dtype)
            if backend != "reference"
        }
        if peer := liger_peers().get(workload.operation):
            functions["liger's own"] = peer
        for backend, function in functions.items():
            try:
                line = table_row(
                    workload, backend, measure(workload, function, "cuda", rounds), peak_of(name)
                )
            except torch.OutOfMemoryError:
                line = f"| {workload.operation} {workload.description} | {backend} | out of memory |"
            print(line, flush=True)


def check(config: GpuCheckConfig) -> int:
    """Numbers first, then the table. Returns the exit status.

    Raises UserError without a GPU.
    """
    if not torch.cuda.is_available() or torch.version.cuda is None:
        raise UserError(f"gpu_check needs an NVIDIA GPU: torch {torch.__version__} finds none")
    wrong = check_numbers(config.cases, "cuda") + differ_from_run_to_run("cuda")
    check_speed(config.rounds)
    return 1 if wrong else 0
