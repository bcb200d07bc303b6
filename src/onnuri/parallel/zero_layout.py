"""Where DeepSpeed keeps the fp32 values of every parameter on this rank: one rule for ZeRO stages 0 to 3.

A stage lays parameters end to end into master tensors and cuts those over the ranks: stage 3 parameter by
parameter, stages 1 and 2 group by group, stage 0 not at all. Whatever the stage, what a rank has of a
parameter is one run of its flattened values. That is all that checkpoints and Muon need to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import nn


class ShardInfo(NamedTuple):
    """The run of a parameter's values that this rank holds; it may be empty."""

    name: str
    """Of the parameter."""
    parameter_numel: int
    """Elements of the whole parameter."""
    start: int
    """First position in the flattened parameter."""
    numel: int
    """Elements of the shard."""
    master: torch.Tensor
    """The fp32 tensor that the optimizer steps on."""
    master_start: int
    """First position in it."""
    group: dict[str, Any]
    """The optimizer's group of parameters."""
    replicated: bool
    """All ranks hold the same, the whole parameter."""

    def of(self, flat: torch.Tensor) -> torch.Tensor:
        """This shard, as a 1-D view, of a tensor that is laid out like the master."""
        return flat.detach().view(-1)[self.master_start : self.master_start + self.numel]

    def owned_range(self) -> tuple[int, int]:
        """First and last position, in the parameter, of what this rank alone owns.

        The shard itself where ranks hold different ones, an equal share where all hold everything.
        """
        if not self.replicated:
            return self.start, self.start + self.numel
        size = -(-self.numel // dist.get_world_size())
        first = min(dist.get_rank() * size, self.numel)
        return first, min(first + size, self.numel)


def inner_optimizer(engine: Any) -> torch.optim.Optimizer:
    """The torch optimizer inside of DeepSpeed's."""
    inner: torch.optim.Optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    return inner


def local_shards(engine: Any) -> list[ShardInfo]:
    """One for each parameter that is trained, in the same order on all ranks."""
    names = {id(parameter): name for name, parameter in engine.module.named_parameters()}
    stage = engine.zero_optimization_stage()
    parts = {0: _whole, 1: _by_group, 2: _by_group, 3: _by_parameter}[stage](engine)
    return [ShardInfo(names[id(part[0])], _numel(part[0]), *part[1:], stage == 0) for part in parts]


def refresh_copies(engine: Any) -> None:
    """Round the weights that the model computes with from the fp32 values. A collective call."""
    stage = engine.zero_optimization_stage()
    if stage == 0:
        for parameter, *_, master, _, _ in _whole(engine):
            parameter.data.copy_(master.data)
    elif stage < 3:
        engine.optimizer.update_lp_params()
    else:
        engine.empty_partition_cache()  # parameters that were gathered whole before would stay as they were
        for parameter, _, numel, master, start, _ in _by_parameter(engine):
            parameter.ds_tensor.data.view(-1)[:numel].copy_(master.data[start : start + numel])  # type: ignore[attr-defined]
        engine.optimizer.invalidate_secondary_tensor()  # hpZ's copies within a node


def set_frozen(engine: Any, parameter: nn.Parameter, values: torch.Tensor) -> None:
    """Give a parameter that no optimizer steps on its whole `values`; `refresh_copies` comes after it."""
    if engine.zero_optimization_stage() < 3:
        parameter.data.copy_(values.view(parameter.shape))
        return
    shard = parameter.ds_tensor.data.view(-1)  # type: ignore[attr-defined]
    start = dist.get_rank() * len(shard)
    held = values.flatten()[start : start + len(shard)]
    shard[: len(held)].copy_(held)


Part = tuple[nn.Parameter, int, int, torch.Tensor, int, dict[str, Any]]
"""Parameter, then start, numel, master, master_start and group of its ShardInfo."""


def _whole(engine: Any) -> Iterator[Part]:
    """Stage 0: all of it, in a tensor of its own (bf16) or the parameter itself (fp32)."""
    groups = inner_optimizer(engine).param_groups
    copies = getattr(engine.optimizer, "fp16_groups", None) or [group["params"] for group in groups]
    for group, parameters in zip(groups, copies, strict=True):
        for parameter, master in zip(parameters, group["params"], strict=True):
            yield parameter, 0, parameter.numel(), master, 0, group


def _by_group(engine: Any) -> Iterator[Part]:
    """Stages 1 and 2: a group's parameters end to end, cut into one part a rank."""
    optimizer, groups = engine.optimizer, inner_optimizer(engine).param_groups
    parameters = getattr(optimizer, "bit16_groups", None) or optimizer.bf16_groups
    for group, members in zip(groups, parameters, strict=True):
        (master,) = group["params"]
        for parameter in members:
            found = parameter._hp_mapping
            if found is None:
                yield parameter, 0, 0, master, 0, group
                continue
            here, there = found.lp_fragment_address, found.hp_fragment_address
            yield parameter, here.start, here.numel, master, there.start, group


def _by_parameter(engine: Any) -> Iterator[Part]:
    """Stage 3: each parameter in ceil(numel / ranks) pieces, those of a sub-group end to end."""
    optimizer, groups = engine.optimizer, inner_optimizer(engine).param_groups
    rank = dist.get_rank()
    for number, members in enumerate(optimizer.fp16_groups):
        master = optimizer.fp32_partitioned_groups_flat[number]
        group = groups[optimizer.sub_group_to_group_id[number]]
        for parameter in members:
            _, master_start, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
            start = min(rank * size, _numel(parameter))
            yield parameter, start, min(size, _numel(parameter) - start), master, master_start, group


def _numel(parameter: nn.Parameter) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))
