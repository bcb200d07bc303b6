"""Which tiles are fastest: every candidate of the three attention kernels, the other two kernels unchanged.

All candidates are compiled first, on all cores at once, into Triton's cache; then they are timed alone.
One that spills a register does not count: its time would hang on one version's compiler.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch

from onnuri.gpu.attention import HEADS, KV_HEADS, make_heads
from onnuri.gpu.stage import Result, Results, Settings, not_run, one_line
from onnuri.gpu.timing import milliseconds
from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.triton.tiles import AttentionTiles, Tile, attention_tiles, device_capability

BATCH, LENGTH = 4, 4096
CANDIDATES: dict[int, dict[str, tuple[tuple[int, ...], ...]]] = {
    128: {
        "forward": (
            (128, 64, 8, 2), (128, 64, 8, 3), (128, 64, 8, 4), (64, 128, 8, 2), (64, 128, 8, 3),
            (64, 64, 4, 3), (64, 128, 4, 3), (128, 32, 8, 4), (128, 128, 8, 2), (128, 64, 8, 3, 1),
            (128, 128, 8, 2, 1), (128, 64, 8, 4, 1),
        ),
        "query_gradient": (
            (128, 64, 8, 2), (128, 64, 8, 3), (64, 64, 8, 3), (64, 64, 4, 3), (128, 32, 8, 3),
            (64, 32, 4, 3),
        ),
        "key_value_gradient": (
            (64, 128, 8, 2), (32, 128, 8, 2), (32, 128, 8, 3), (64, 64, 8, 2), (32, 64, 8, 2),
            (32, 64, 8, 3), (32, 64, 4, 2),
        ),
    },
    64: {
        "forward": (
            (128, 64, 8, 2), (128, 64, 8, 3), (128, 64, 4, 3), (128, 128, 8, 2), (128, 128, 8, 3),
            (64, 128, 4, 3), (64, 64, 4, 3), (256, 64, 8, 3), (128, 64, 8, 3, 1), (128, 128, 8, 2, 1),
            (128, 128, 8, 3, 1),
        ),
        "query_gradient": (
            (128, 64, 8, 2), (128, 64, 8, 3), (128, 128, 8, 2), (64, 128, 4, 2), (64, 64, 4, 3),
            (128, 32, 8, 3),
        ),
        "key_value_gradient": (
            (64, 128, 8, 2), (32, 128, 8, 2), (32, 128, 8, 3), (64, 64, 8, 3), (64, 64, 4, 2),
            (32, 64, 4, 3),
        ),
    },
}  # fmt: skip
"""By head size: queries, keys, warps, stages, TMA. For sm_90 nearly all compile without spills."""


@dataclass(frozen=True)
class Candidate:
    """A tile of one kernel for one head size."""

    kernel: str
    head_dim: int
    tile: Tile

    def among(self, capability: int) -> AttentionTiles:
        """With the other two kernels as the table has them."""
        tiles = attention_tiles(capability, self.head_dim, torch.bfloat16)
        return tiles._replace(**{self.kernel: self.tile})

    def in_use(self, capability: int) -> bool:
        """Whether the table has it: what is timed even if it spills, to be compared with."""
        tiles = attention_tiles(capability, self.head_dim, torch.bfloat16)
        return bool(getattr(tiles, self.kernel) == self.tile)


def run(settings: Settings) -> Results:
    """What each compiles to, then how long those without spills take."""
    capability = device_capability(torch.device(settings.device))
    candidates = list(all_candidates(settings, capability))
    spills = {}
    for candidate, found in zip(candidates, compile_all(candidates, settings, capability), strict=True):
        yield found
        if not found["spills"] or (found["compiled"] and candidate.in_use(capability)):
            spills[candidate] = found["spills"]
    if settings.rehearse:
        yield not_run(
            "the driver's count of spills; times of tiles", "the interpreter stands in for the GPU"
        )
    for candidate, count in spills.items():
        yield time_one(candidate, settings, capability) | {"spills": count}


def all_candidates(settings: Settings, capability: int) -> Iterator[Candidate]:
    """What the table has now, then the others; in a rehearsal the first alone."""
    for size, kernels in CANDIDATES.items():
        now = attention_tiles(capability, size, torch.bfloat16)
        for kernel, tiles in kernels.items():
            others = () if settings.rehearse else tiles
            for tile in dict.fromkeys([getattr(now, kernel), *(Tile(*each) for each in others)]):
                yield Candidate(kernel, size, tile)


def compile_all(candidates: list[Candidate], settings: Settings, capability: int) -> Iterator[Result]:
    """In processes with Triton's compiler, also where this one has its interpreter."""
    before = os.environ.pop("TRITON_INTERPRET", None)
    target = 90 if settings.rehearse else capability
    try:
        cores = min(len(candidates), len(os.sched_getaffinity(0)))
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            tasks = [pool.submit(compile_one, each, target, settings.rehearse) for each in candidates]
            for candidate, task in zip(candidates, tasks, strict=True):
                yield _describe(candidate) | task.result()
    finally:
        if before is not None:
            os.environ["TRITON_INTERPRET"] = before


def _describe(candidate: Candidate) -> Result:
    return {"kernel": candidate.kernel, "head_dim": candidate.head_dim, "tile": list(candidate.tile)}


def _sizes(rehearse: bool) -> tuple[int, int]:
    return (1, 128) if rehearse else (BATCH, LENGTH)


def compile_one(candidate: Candidate, capability: int, rehearse: bool) -> Result:
    """Registers and spills of the candidate's kernel, in a process without a GPU's context."""
    from onnuri.kernels.triton.attention import attention_in_tiles
    from onnuri.kernels.verification.compiled import compile_launch, recorded_launches

    torch.set_num_threads(1)
    batch, length = _sizes(rehearse)
    query, key, value = (
        torch.empty(batch, length, count, candidate.head_dim, dtype=torch.bfloat16, requires_grad=True)
        for count in (HEADS, KV_HEADS, KV_HEADS)
    )
    tiles = candidate.among(capability)
    with recorded_launches() as launches:
        out = attention_in_tiles(query, key, value, attention_mask(batch, length), tiles)
        out.backward(torch.empty_like(out))
    number = list(AttentionTiles._fields).index(candidate.kernel)
    try:
        found = compile_launch(launches[number], capability)
    except FileNotFoundError as error:  # no cuobjdump beside this Triton: the driver counts at the launch
        return {"compiled": True, "capability": capability, "spills": None, "error": str(error)[:160]}
    except Exception as error:  # too many registers or too much shared memory
        return {"compiled": False, "spills": -1, "error": one_line(error)}
    spills = found.spills + found.local_bytes
    facts = {"registers": found.registers, "spills": spills, "shared_bytes": found.shared_bytes}
    return {"compiled": True, "capability": capability, **facts}


def time_one(candidate: Candidate, settings: Settings, capability: int) -> Result:
    """Milliseconds of the kernel: forward alone, or both of the backward pass."""
    from onnuri.kernels.triton.attention import backward_in_tiles, forward_in_tiles

    batch, length = (1, 32) if settings.rehearse else _sizes(False)
    heads = make_heads(settings.device, batch, length, candidate.head_dim)
    query, key, value = (each.detach() for each in heads.values())
    mask = attention_mask(batch, length, device=settings.device)
    tiles = candidate.among(capability)
    result = {"measured": "sweep", **_describe(candidate)}
    try:
        with spills_by_the_driver() as counts:
            out, log_sum = forward_in_tiles(query, key, value, mask, tiles)
            work: Callable[[], object] = partial(forward_in_tiles, query, key, value, mask, tiles)
            if candidate.kernel != "forward":
                saved = (query, key, value, out, log_sum, mask, tiles)
                work = partial(backward_in_tiles, torch.randn_like(out), *saved)
            work()
        found = milliseconds(work, settings.device)
    except Exception as error:  # out of resources at the launch
        return result | {"error": one_line(error)}
    return result | {"ms": found, "driver_spills": counts.get(f"{candidate.kernel}_kernel")}


@contextmanager
def spills_by_the_driver() -> Iterator[dict[str, int]]:
    """What the driver says of the kernels launched inside the block: bytes of spilled registers by name."""
    from triton.runtime.jit import JITFunction

    counts: dict[str, int] = {}
    original = JITFunction.run

    def launch(kernel: Any, *arguments: Any, **keywords: Any) -> Any:
        compiled = original(kernel, *arguments, **keywords)
        counts[kernel.fn.__name__] = getattr(compiled, "n_spills", None)  # type: ignore[assignment]
        return compiled

    JITFunction.run = launch
    try:
        yield counts
    finally:
        JITFunction.run = original
