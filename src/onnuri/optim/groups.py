"""Groups of parameters, and the optimizer over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from onnuri.model.spec import Kind, Parameter
from onnuri.optim.config import OptimConfig
from onnuri.optim.muon import Muon
from onnuri.parallel.zero_layout import inner_optimizer, local_shards


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], table: Mapping[str, Parameter], config: OptimConfig
) -> torch.optim.AdamW:
    """AdamW or Muon over groups of parameters by their kind: under zero.Init all look alike.

    Args:
        table: what the model's spec says of each parameter, by name.
    """
    muon = config.name == "muon"

    def of(*kinds: Kind) -> list[nn.Parameter]:
        return [parameter for name, parameter in parameters.items() if table[name].kind in kinds]

    groups: list[dict[str, Any]] = [
        {"params": of("embedding") if muon else of("embedding", "matrix")},
        {"params": of("norm"), "weight_decay": 0.0},
    ]
    if muon:
        groups.append({"params": of("matrix"), "muon": True, "momentum": config.momentum})
    return (Muon if muon else torch.optim.AdamW)(
        groups,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def describe_optimizer(engine: Any) -> str:
    """Which optimizer takes how many of the parameters."""
    counts: dict[str, list[int]] = {}
    for shard in local_shards(engine):
        counts.setdefault("muon" if shard.group.get("muon") else "adamw", []).append(shard.parameter_numel)
    parts = [f"{name} {len(sizes)} parameters, {sum(sizes):,} elements" for name, sizes in counts.items()]
    inner = inner_optimizer(engine)
    if isinstance(inner, Muon):
        parts.append(f"{len(inner.matrices)} matrices orthogonalised a step")
    return "optimizer: " + "; ".join(parts)
