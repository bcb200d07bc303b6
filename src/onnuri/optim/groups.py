"""Groups of parameters, and the optimizer over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from onnuri.model.spec import Kind, Parameter
from onnuri.optim.adamw import CautiousAdamW
from onnuri.optim.config import OptimConfig
from onnuri.optim.muon import Muon
from onnuri.parallel.zero_layout import inner_optimizer, local_shards


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], table: Mapping[str, Parameter], config: OptimConfig
) -> torch.optim.AdamW:
    """AdamW or Muon over groups of parameters by their kind: under zero.Init all look alike.

    Frozen parameters are in none of them.

    Kinds with the same settings share a group: it is what ZeRO's stages 1 and 2 shard and reduce at once.

    Args:
        table: what the model's spec says of each parameter, by name.
    """
    muon = config.name == "muon"
    order: tuple[Kind, ...] = ("embedding", "output", "norm", "matrix", "adapter")
    if not muon:
        order = ("embedding", "output", "matrix", "norm", "adapter")
    settings = {kind: group_settings(kind, config) for kind in order}
    groups: list[dict[str, Any]] = []
    for chosen in (settings[kind] for kind in order):
        if any(chosen.items() <= group.items() for group in groups):
            continue
        members = [
            p for name, p in parameters.items() if p.requires_grad and settings[table[name].kind] == chosen
        ]
        if members:
            groups.append({"params": members, **chosen})
    return (Muon if muon else CautiousAdamW)(
        groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=True
    )


def group_settings(kind: Kind, config: OptimConfig) -> dict[str, Any]:
    """What a group of this kind of parameters has of its own."""
    ratios = {
        "embedding": config.embedding_lr_ratio,
        "output": config.output_lr_ratio,
        "norm": config.norm_lr_ratio,
    }
    decays = {
        "embedding": config.embedding_weight_decay,
        "output": config.output_weight_decay,
        "norm": config.norm_weight_decay,
    }
    decay = decays.get(kind)
    decay = config.weight_decay if decay is None else decay
    settings = {
        "lr_ratio": ratios.get(kind, 1.0),
        "weight_decay": decay,
        "peak_weight_decay": decay,
        "cautious": config.cautious_decay,
    }
    if kind == "matrix" and config.name == "muon":
        names = ("momentum", "normuon", "update_scale", "beta2")
        settings |= {"muon": True, **{name: getattr(config, name) for name in names}}
    return settings


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
