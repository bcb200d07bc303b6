"""Budgets of compiled kernels: what each may take on each GPU, and the launches that are held to them."""

from __future__ import annotations

import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

import torch

from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.triton.attention import attention_in_tiles
from onnuri.kernels.triton.linear_cross_entropy import linear_cross_entropy
from onnuri.kernels.triton.rms_norm import add_rms_norm, rms_norm
from onnuri.kernels.triton.rope import apply_rope
from onnuri.kernels.triton.swiglu import swiglu
from onnuri.kernels.triton.tiles import AttentionTiles, Tile, attention_tiles
from onnuri.kernels.verification.compiled import (
    SHARED_MEMORY_LIMIT,
    Launch,
    Resources,
    compile_launch,
    recorded_launches,
)

CAPABILITIES = (80, 90, 100, 120)
"""GPUs to compile for, by compute capability."""
TMA_CAPABILITIES, TMA_TILE = (90, 100), Tile(128, 128, 8, 2, tma=1)
"""Where the forward pass by TMA is held to a budget, as a candidate of the sweep, and its blocks."""
FLOAT32 = "fp32"
RESERVED_SHARED_BYTES = 1024
"""What the driver takes of each block's shared memory."""


def attention_launches(
    head_dim: int, dtype: torch.dtype, tiles: AttentionTiles, tokens: int = 256, branched: bool = False
) -> list[Launch]:
    """Forward, dQ and dK/dV with four query heads to a key/value head."""
    mask = attention_mask(1, tokens, branches=torch.tensor([1])) if branched else None
    query = torch.empty(1, tokens, 8, head_dim, dtype=dtype, requires_grad=True)
    key, value = (torch.empty(1, tokens, 2, head_dim, dtype=dtype, requires_grad=True) for _ in range(2))
    with recorded_launches() as recorded:
        attention_in_tiles(query, key, value, mask, tiles).backward(torch.empty_like(query))
    return recorded


def _row_launches() -> dict[str, Launch]:
    """The kernels that work on rows, at the sizes of a model of some billions."""
    bf16 = torch.bfloat16
    hidden, residual = (torch.empty(64, 4096, dtype=bf16, requires_grad=True) for _ in range(2))
    weight = torch.empty(4096, dtype=bf16, requires_grad=True)
    wide = torch.empty(16, 8192, dtype=bf16, requires_grad=True)
    wide_weight = torch.empty(8192, dtype=bf16, requires_grad=True)
    heads = torch.empty(1, 64, 32, 128, dtype=bf16, requires_grad=True)
    head_weight = torch.empty(128, dtype=bf16, requires_grad=True)
    tables = torch.empty(64, 64), torch.empty(64, 64)
    gate_up = torch.empty(16, 2 * 14336, dtype=bf16, requires_grad=True)
    output = torch.empty(131072, 64, dtype=bf16, requires_grad=True)
    rows = torch.empty(16, 64, dtype=bf16, requires_grad=True)
    named: dict[str, Launch] = {}

    def record(names: list[str], result: torch.Tensor) -> None:
        result.sum().backward()
        named.update(zip(names, recorded, strict=True))
        recorded.clear()

    with recorded_launches() as recorded:
        record(["rms_norm forward 4096", "rms_norm backward 4096"], rms_norm(hidden, weight, 1e-6))
        record(["rms_norm forward 8192", "rms_norm backward 8192"], rms_norm(wide, wide_weight, 1e-6))
        record(["rms_norm forward 128", "rms_norm backward 128"], rms_norm(heads, head_weight, 1e-6))
        out, total = add_rms_norm(hidden, residual, weight, 1e-6)
        record(["add_rms_norm forward 4096", "add_rms_norm backward 4096"], out + total)
        record(["rope forward 128", "rope backward 128"], apply_rope(heads, *tables))
        record(["swiglu forward 14336", "swiglu backward 14336"], swiglu(gate_up))
        losses = linear_cross_entropy(rows, output, torch.zeros(16, dtype=torch.int64), reduction="sum")
        record(["cross_entropy 131072"], losses)
    return named


def launches(capability: int) -> dict[str, Launch]:
    """Every kernel in the configuration that the code chooses for a compute capability."""
    named: dict[str, Launch] = {}
    bf16, fp32 = torch.bfloat16, torch.float32
    masks = itertools.product([(bf16, 64), (bf16, 96), (bf16, 128), (fp32, 64), (fp32, 128)], [False, True])
    for (dtype, head_dim), branched in masks:
        parts = [str(head_dim), FLOAT32 if dtype == fp32 else "", "branched" if branched else ""]
        suffix = " ".join(filter(None, parts))
        names = (f"attention {kernel} {suffix}" for kernel in ("forward", "dQ", "dK dV"))
        tiles = attention_tiles(capability, head_dim, dtype)
        compiled = attention_launches(head_dim, dtype, tiles, branched=branched)
        named.update(zip(names, compiled, strict=True))
    if capability in TMA_CAPABILITIES:
        for head_dim in (64, 128):
            tiles = attention_tiles(capability, head_dim, torch.bfloat16)
            forward = attention_launches(head_dim, torch.bfloat16, tiles._replace(forward=TMA_TILE))[0]
            named[f"attention forward {head_dim} TMA"] = forward
    return named | _row_launches()


def compile_all(capability: int) -> dict[str, Resources]:
    """Compile everything for one GPU. The names begin with it: "sm_90 swiglu forward 14336"."""
    named = launches(capability)
    return {f"sm_{capability} {name}": compile_launch(each, capability) for name, each in named.items()}


def measure(capabilities: tuple[int, ...], processes: int = 2) -> dict[str, Resources]:
    """Compile everything for these GPUs."""
    found: dict[str, Resources] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for resources in pool.map(compile_all, capabilities):
            found |= resources
    return found


def violations(found: dict[str, Resources], budget: dict[str, dict[str, int]]) -> list[str]:
    """One line for everything that is over its budget, or missing from it."""
    lines = [
        f"{key}: in the budget, but no longer compiled; run with --update"
        for key in budget
        if key not in found
    ]
    for key, resources in found.items():
        limit = SHARED_MEMORY_LIMIT[int(key.split()[0].removeprefix("sm_"))] - RESERVED_SHARED_BYTES
        if resources.spills or resources.local_bytes:
            lines.append(
                f"{key}: {resources.spills} spills, {resources.local_bytes} bytes of local memory; "
                "take smaller tiles"
            )
        if resources.shared_bytes > limit:
            lines.append(f"{key}: {resources.shared_bytes} bytes of shared memory, over {limit}")
        if "attention" in key and FLOAT32 not in key and resources.matrix_instructions == 0:
            lines.append(f"{key}: no matrix instructions")
        if key not in budget:
            lines.append(f"{key}: not in the budget; run with --update")
            continue
        for name, value in asdict(resources).items():
            if name == "matrix_instructions":
                changed = value != budget[key][name]
            else:
                changed = value > budget[key][name]
            if changed:
                lines.append(f"{key}: {name} {value}, budget {budget[key][name]}")
    return lines
