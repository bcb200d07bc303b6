"""Are the kernels right on this device? The cases of the tests against float64; gradients bit by bit.

Each case compiles its kernels, which is what takes the time: the cases are cut into slices that run in more
processes than there are cores. Tolerances are those of `onnuri.kernels.verification.cases`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random
from typing import Any

import torch

from onnuri.base.errors import UserError
from onnuri.gpu.stage import Result, Results, Settings, not_run, one_line
from onnuri.kernels.backends import FUNCTIONS, WITHOUT_BRANCHES, load, select
from onnuri.kernels.config import KernelConfig
from onnuri.kernels.verification.cases import DRAW, TOLERANCE, Case, errors, several_blocks

OURS = "triton"
CHECKED = {
    "attention": (OURS, "varlen", "flash", "torch"),
    "rms_norm": (OURS,),
    "rope": (OURS,),
    "swiglu": (OURS,),
    "linear_cross_entropy": (OURS, "liger"),
}
"""Backends of each operation. Only ours decide; a peer's error on the same cases says how hard they are."""
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
PARTS = 4
"""Slices of the cases of one function in one dtype."""
SPARE_PROCESSES = 5
"""Beyond the cores: some always wait for the device."""
BRANCHES = (4, 130, 131, 290, 300, 400, 512, 600)
"""Within and across the blocks of every kernel, a few tokens long and many."""
RUNS = 5
"""Backward passes whose bits are compared."""


@dataclass(frozen=True)
class Slice:
    """Some of the cases of one function by one backend in one dtype."""

    operation: str
    function: str
    backend: str
    dtype: str
    part: int
    parts: int


def run(settings: Settings) -> Results:
    """A line for each slice as it ends."""
    for operation, backends in CHECKED.items():
        for backend in backends:
            if why := missing(operation, backend, settings.device):
                yield not_run(f"numbers of {operation} {backend}", why)
    slices = all_slices(settings)
    cores = len(os.sched_getaffinity(0))
    processes = min(len(slices), cores if settings.rehearse else cores + SPARE_PROCESSES)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        futures = [
            pool.submit(same_bits, backend, settings)
            for backend in (OURS, "varlen")
            if not missing("attention", backend, settings.device)
        ]
        futures += [pool.submit(check_slice, each, settings) for each in slices]
        for future in as_completed(futures):
            yield future.result()


def _prepare() -> None:
    """In each process."""
    torch.set_num_threads(1)
    if os.environ.get("TRITON_INTERPRET") == "1":
        from onnuri.kernels.verification import interpreter

        interpreter.install()


def missing(operation: str, backend: str, device: str, dtype: torch.dtype = torch.bfloat16) -> str:
    """Why a backend cannot run here, or nothing."""
    try:
        select(KernelConfig("torch", **{operation: backend}), device, dtype)
    except UserError as error:
        return str(error).partition(": ")[2].partition(";")[0]
    return ""


def all_slices(settings: Settings) -> list[Slice]:
    """Ours before the peers, bf16 before the others: what matters most is done first."""
    slices = []
    for (dtype, torch_dtype), operation in itertools.product(DTYPES.items(), CHECKED):
        parts = 1 if settings.rehearse else PARTS
        for backend in CHECKED[operation]:
            if not missing(operation, backend, settings.device, torch_dtype):
                for function, part in itertools.product(FUNCTIONS[operation], range(parts)):
                    slices.append(Slice(operation, function, backend, dtype, part, parts))
    return sorted(slices, key=lambda each: each.backend != OURS)


def draw(function: str, settings: Settings) -> list[Case]:
    """Random cases, and attention over several blocks of every kernel."""
    name = "rope" if function == "apply_rope" else function
    if settings.rehearse and name == "attention":
        return [DRAW[name](Random(seed), 60) for seed in range(settings.cases)]
    drawn = [DRAW[name](Random(seed)) for seed in range(settings.cases)]
    if name != "attention":
        return drawn
    blocks = itertools.product((64, 96, 128), [(0, ()), (200, ()), (0, BRANCHES)])
    return [*drawn, *(several_blocks(size, *kind) for size, kind in blocks)]


def check_slice(each: Slice, settings: Settings) -> Result:
    """The largest error over the cases of a slice, and where it is."""
    dtype = DTYPES[each.dtype]
    function = load(each.operation, each.backend, settings.device)[each.function]
    cases = [
        case
        for case in draw(each.function, settings)[each.part :: each.parts]
        if each.backend not in WITHOUT_BRANCHES or not case.others["mask"].branched
    ]
    worst, where = 0.0, ""
    for case in cases:
        found = _error(case, function, dtype, settings.device)
        if isinstance(found, str) or not found <= worst:
            worst, where = (float("inf"), found) if isinstance(found, str) else (found, case.description)
        if worst == float("inf"):
            break
    over = not worst <= TOLERANCE[dtype]
    return {
        "check": "numbers",
        "function": each.function,
        "backend": each.backend,
        "ours": each.backend == OURS,
        "dtype": each.dtype,
        "cases": len(cases),
        "worst": worst if worst != float("inf") else None,
        "allowed": TOLERANCE[dtype],
        "over": over,
        "where": where[:300] if over else "",
    }


def _error(case: Case, function: Callable[..., Any], dtype: torch.dtype, device: str) -> float | str:
    try:
        return max(errors(case, function, dtype, device).values())
    except Exception as error:  # what a compiler or driver raises is a result
        return f"{one_line(error)} in {case.description}"


def same_bits(backend: str, settings: Settings) -> Result:
    """Gradients of attention, several times: a run that resumes needs the same bits."""
    function = load("attention", backend, settings.device)["attention"]
    case = DRAW["attention"](Random(1), 60) if settings.rehearse else several_blocks(128, 0)
    runs = []
    for _ in range(RUNS):
        leaves = [
            x.to(settings.device, torch.bfloat16).requires_grad_() for x in case.differentiable.values()
        ]
        others = {name: value.to(settings.device) for name, value in case.others.items()}
        out = function(*leaves, **others)
        runs.append(torch.autograd.grad(out.float().square().sum(), leaves))
    same = all(torch.equal(first, other) for run in runs for first, other in zip(runs[0], run, strict=True))
    return {"check": "bits", "backend": backend, "ours": backend == OURS, "runs": RUNS, "same_bits": same}
