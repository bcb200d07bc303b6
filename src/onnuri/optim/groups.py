"""Groups of parameters, and the optimizer over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from onnuri.optim.config import OptimConfig
from onnuri.optim.muon import Muon
from onnuri.parallel.zero_layout import fragments, inner_optimizer


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], matrices: Collection[str], config: OptimConfig
) -> torch.optim.AdamW:
    """AdamW or Muon over groups of parameters, told apart by name: under zero.Init all look alike.

    Args:
        matrices: names of the parameters that Muon orthogonalises; AdamW takes them with the others.
    """
    chosen = matrices if config.name == "muon" else ()
    norms = [name for name in parameters if name.endswith("norm.weight")]
    others = [name for name in parameters if name not in chosen and name not in norms]
    groups: list[dict[str, Any]] = [
        {"params": [parameters[name] for name in others]},
        {"params": [parameters[name] for name in norms], "weight_decay": 0.0},
    ]
    if chosen:
        groups.append(
            {"params": [parameters[name] for name in chosen], "muon": True, "momentum": config.momentum}
        )
    return (Muon if chosen else torch.optim.AdamW)(
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
    for fragment in fragments(engine):
        counts.setdefault("muon" if fragment.group.get("muon") else "adamw", []).append(
            fragment.parameter_numel
        )
    parts = [f"{name} {len(sizes)} parameters, {sum(sizes):,} elements" for name, sizes in counts.items()]
    inner = inner_optimizer(engine)
    if isinstance(inner, Muon):
        parts.append(f"{len(inner.matrices)} matrices orthogonalised a step")
    return "optimizer: " + "; ".join(parts)
