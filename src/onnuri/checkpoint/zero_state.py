"""Weights and optimizer state of a DeepSpeed engine as pieces of flat tensors, the same for all stages.

Each rank saves the runs of values that it answers for and loads those that it holds, wherever they lie in
the files: any number of ranks and any stage continues any other. Only fp32 master values are kept; bf16
copies are rounded from them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist

from onnuri.checkpoint.shard_file import TensorSlice
from onnuri.parallel.zero_layout import ShardInfo, inner_optimizer, local_shards, refresh_copies

ADAMW_KINDS, MUON_KINDS = ("exp_avg", "exp_avg_sq"), ("momentum_buffer",)
Beside = Mapping[str, Mapping[torch.Tensor, torch.Tensor]]
"""Tensors kept beside the optimizer state: by kind, for each master one that is laid out like it."""
NOTHING: Beside = {}


def kinds(group: dict[str, Any]) -> tuple[str, ...]:
    """What the optimizer keeps of each value in a group of parameters."""
    return MUON_KINDS if group.get("muon") else ADAMW_KINDS


def prime_optimizer(engine: Any) -> None:
    """Give every master tensor its optimizer state, zero, before the first step.

    Loading writes into this state. Some stages take a trial step at start, so counters are reset.
    """
    state = inner_optimizer(engine).state
    groups = {shard.master: shard.group for shard in local_shards(engine)}
    for master in groups:  # what DeepSpeed has made goes first, so that two of it never live at once
        state.pop(master, None)
    for master, group in groups.items():
        state[master] = {kind: torch.zeros_like(master.data) for kind in kinds(group)}
        if not group.get("muon"):
            state[master]["step"] = torch.zeros((), dtype=torch.float32, device=master.device)


def owned_slices(engine: Any, beside: Beside = NOTHING) -> dict[str, TensorSlice]:
    """A copy on the CPU of this rank's part of every kept tensor, named `kind/parameter`.

    The state of torch's random numbers is with it, named `rng/rank`.
    """
    pieces = {f"rng/{dist.get_rank():05d}": TensorSlice(torch.get_rng_state(), 0)}
    for shard in local_shards(engine):
        start, stop = shard.owned_range()
        for kind, values in _values(engine, shard, beside):
            owned = values[start - shard.start : stop - shard.start]
            copy = torch.empty(owned.shape, dtype=owned.dtype, pin_memory=owned.is_cuda)
            pieces[f"{kind}/{shard.name}"] = TensorSlice(copy.copy_(owned), start)
    for name, values in _row_moments(engine):
        pieces[name] = TensorSlice(values.cpu().clone(), 0)
    return pieces


def load_target(engine: Any, beside: Beside = NOTHING) -> dict[str, TensorSlice]:
    """Views of what this rank holds of every kept tensor: loading into them restores the engine."""
    target = {
        f"{kind}/{shard.name}": TensorSlice(values, shard.start)
        for shard in local_shards(engine)
        for kind, values in _values(engine, shard, beside)
    }
    return target | {name: TensorSlice(values, 0) for name, values in _row_moments(engine)}


def rng_target() -> dict[str, TensorSlice]:
    """What to load the state of this rank's random numbers into, where the number of ranks is the same."""
    return {f"rng/{dist.get_rank():05d}": TensorSlice(torch.empty_like(torch.get_rng_state()), 0)}


def after_load(engine: Any, updates: int) -> None:
    """Refresh low-precision copies and set AdamW's step counters. A collective call."""
    refresh_copies(engine)
    for state in inner_optimizer(engine).state.values():
        if "step" in state:
            state["step"].fill_(float(updates))


def _values(engine: Any, shard: ShardInfo, beside: Beside) -> Iterator[tuple[str, torch.Tensor]]:
    yield "weight", shard.of(shard.master)
    state = inner_optimizer(engine).state[shard.master]
    for kind in kinds(shard.group):
        yield kind, shard.of(state[kind])
    for kind, tensors in beside.items():
        yield kind, shard.of(tensors[shard.master])


def _row_moments(engine: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """What NorMuon keeps of the rows of each matrix that this rank owns."""
    inner = inner_optimizer(engine)
    for (parameter, first_row), values in getattr(inner, "row_moments", {}).items():
        yield f"row_moment/{parameter}/{first_row}", values
