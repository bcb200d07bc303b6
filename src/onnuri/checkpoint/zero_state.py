"""Weights and optimizer state of a DeepSpeed engine as 1-D sharded tensors.

ZeRO-3 cuts every parameter, flattened, into ceil(numel / ranks) pieces: exactly a 1-D `DTensor` with
`Shard(0)`. The other stages are brought into the same form, so one format serves stages 0 to 3 at any
number of ranks, and torch.distributed.checkpoint does the resharding. Only fp32 master values are kept;
bf16 copies are rounded from them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Shard, init_device_mesh

from onnuri.checkpoint.shard_file import Piece

KINDS = ("weight", "exp_avg", "exp_avg_sq")
"""What is kept of each parameter: its fp32 master value and AdamW's two moments."""


def prime_optimizer(engine: Any) -> None:
    """Give every optimizer tensor its AdamW state, zero, before the first step.

    Loading writes into this state. Some stages take a trial step at start, so counters are reset.
    """
    for master in _master_tensors(engine):
        _inner_optimizer(engine).state[master] = {
            "step": torch.zeros((), dtype=torch.float32, device=master.device),
            "exp_avg": torch.zeros_like(master),
            "exp_avg_sq": torch.zeros_like(master),
        }
    if engine.zero_optimization_stage() in (1, 2):
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def own_pieces(engine: Any) -> dict[str, Piece]:
    """A copy on the CPU of this rank's part of every kept tensor, named `kind/parameter`.

    The state of torch's random numbers is with it, named `rng/rank`. A collective call at stages 1 and 2.
    """
    pieces = {f"rng/{dist.get_rank():05d}": Piece(torch.get_rng_state(), 0)}
    for name, parameter in engine.module.named_parameters():
        start, stop = _bounds(_numel(parameter))
        for kind in KINDS:
            if engine.zero_optimization_stage() == 3:
                local = _read_local(parameter, kind)[: stop - start]
            else:
                local = _read_full(engine, parameter, kind).flatten()[start:stop]
            copy = torch.empty(local.shape, dtype=local.dtype, pin_memory=local.is_cuda)
            pieces[f"{kind}/{name}"] = Piece(copy.copy_(local.detach()), start)
    return pieces


def load_target(engine: Any) -> dict[str, torch.Tensor]:
    """Tensors to load into: DTensors over all ranks at stage 3, whole ones at the other stages."""
    sharded = engine.zero_optimization_stage() == 3
    mesh = init_device_mesh(engine.device.type, (dist.get_world_size(),)) if sharded else None
    target: dict[str, torch.Tensor] = {}
    for name, parameter in engine.module.named_parameters():
        numel = _numel(parameter)
        start, stop = _bounds(numel) if sharded else (0, numel)
        for kind in KINDS:
            local = torch.empty(stop - start, dtype=torch.float32, device=engine.device)
            target[f"{kind}/{name}"] = local
            if mesh is not None:
                target[f"{kind}/{name}"] = DTensor.from_local(
                    local, mesh, [Shard(0)], run_check=False, shape=torch.Size([numel]), stride=(1,)
                )
    return target


def rng_target() -> dict[str, torch.Tensor]:
    """What to load the state of this rank's random numbers into, where the number of ranks is the same."""
    return {f"rng/{dist.get_rank():05d}": torch.empty_like(torch.get_rng_state())}


def restore(engine: Any, state: dict[str, torch.Tensor], step: int) -> None:
    """Write loaded tensors into the engine, refresh its low-precision copies, set AdamW's step counter."""
    for name, parameter in engine.module.named_parameters():
        for kind in KINDS:
            value = state[f"{kind}/{name}"]
            if isinstance(value, DTensor):
                _write_local(parameter, kind, value.to_local())
            else:
                _write_full(engine, parameter, kind, value.view(parameter.shape))
    for master in _master_tensors(engine):
        _inner_optimizer(engine).state[master]["step"].fill_(float(step))


def _inner_optimizer(engine: Any) -> torch.optim.Optimizer:
    inner: torch.optim.Optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    return inner


def _master_tensors(engine: Any) -> list[torch.Tensor]:
    """The fp32 tensors that the inner optimizer steps on."""
    if engine.zero_optimization_stage() == 3:
        return list(engine.optimizer.fp32_partitioned_groups_flat)
    return [tensor for group in _inner_optimizer(engine).param_groups for tensor in group["params"]]


def _numel(parameter: nn.Parameter) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _bounds(numel: int) -> tuple[int, int]:
    """First and last place of this rank's piece of a flat tensor."""
    size = -(-numel // dist.get_world_size())
    start = min(dist.get_rank() * size, numel)
    return start, min(start + size, numel)


def _read_local(parameter: nn.Parameter, kind: str) -> torch.Tensor:
    from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state

    if kind == "weight":
        return safe_get_local_fp32_param(parameter)
    return safe_get_local_optimizer_state(parameter, kind)


def _write_local(parameter: nn.Parameter, kind: str, value: torch.Tensor) -> None:
    from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

    padded = torch.zeros_like(_read_local(parameter, kind))
    padded[: value.numel()] = value
    if kind == "weight":
        safe_set_local_fp32_param(parameter, padded)
        sharded = parameter.ds_tensor.data.view(-1)  # type: ignore[attr-defined]
        sharded.copy_(padded[: sharded.numel()])
    else:
        safe_set_local_optimizer_state(parameter, padded, kind)


def _stage_zero_master(engine: Any, parameter: nn.Parameter) -> torch.Tensor:
    """The fp32 tensor behind a parameter at stage 0: its own, or the one kept beside a bf16 copy."""
    return next(master for copy, master in _stage_zero_pairs(engine) if copy is parameter)


def _stage_zero_pairs(engine: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    copies = getattr(engine.optimizer, "fp16_groups", None)
    masters = [group["params"] for group in _inner_optimizer(engine).param_groups]
    for copy_group, master_group in zip(copies or masters, masters, strict=True):
        yield from zip(copy_group, master_group, strict=True)


def _read_full(engine: Any, parameter: nn.Parameter, kind: str) -> torch.Tensor:
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    if engine.zero_optimization_stage() == 0:
        master = _stage_zero_master(engine, parameter)
        return master if kind == "weight" else _inner_optimizer(engine).state[master][kind]
    if kind == "weight":
        return safe_get_full_fp32_param(parameter)
    return safe_get_full_optimizer_state(parameter, kind)


def _write_full(engine: Any, parameter: nn.Parameter, kind: str, value: torch.Tensor) -> None:
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    if kind == "weight":
        parameter.data.copy_(value)
    if engine.zero_optimization_stage() == 0:
        master = _stage_zero_master(engine, parameter)
        target = master if kind == "weight" else _inner_optimizer(engine).state[master][kind]
        target.data.copy_(value)
    elif kind == "weight":
        safe_set_full_fp32_param(parameter, value)
    else:
        safe_set_full_optimizer_state(parameter, value, kind)
