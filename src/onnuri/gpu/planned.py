"""What the planner says of a run on one device of this kind, to be held against what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from onnuri.config import CONFIG_ROOT, compose
from onnuri.plan.config import PlanConfig
from onnuri.plan.machine import Setting, settle
from onnuri.plan.memory import GIB, KINDS, peak
from onnuri.plan.speed import speed

ADDED = "context and fragmentation"


@dataclass(frozen=True)
class Planned:
    """One run, as scripts/plan.py would plan it."""

    tokens_per_second: float
    compute_seconds: float
    """Of a step, at the cluster file's efficiency, which it is inversely proportional to."""
    other_seconds: float
    step_tokens: int
    efficiency: float
    memory_gib: float
    fleeting_gib: float
    """What comes and goes within a step: the part that fragmentation is counted of."""


def plan(words: list[str], cluster: str) -> Planned:
    """The plan of options of scripts/pretrain.py on one device of a kind in configs/cluster."""
    setting = settle(
        compose(PlanConfig, [*words, f"cluster={cluster}", "cluster.gpus=1"], CONFIG_ROOT, "plan")
    )
    found = speed(setting)
    return Planned(
        tokens_per_second=found.tokens_per_second,
        compute_seconds=found.compute,
        other_seconds=found.network + found.optimizer,
        step_tokens=found.tokens,
        efficiency=setting.cluster.efficiency_here,
        **_memory(setting),
    )


def _memory(setting: Setting) -> dict[str, float]:
    moment = peak(setting)
    fleeting = KINDS[KINDS.index("gathered parameters") : KINDS.index("work of the optimizer") + 1]
    return {
        "memory_gib": moment.total / GIB,
        "fleeting_gib": sum(moment.bytes.get(kind, 0) for kind in fleeting) / GIB,
    }


def cluster_of(device: str, memory_gib: float) -> str:
    """The name in configs/cluster for a GPU by the name that the driver gives; empty if there is none."""
    if "A100" in device:
        return "a100-80" if memory_gib > 60 else "a100-40"
    return next((name.lower() for name in ("H100", "H200", "B200") if name in device), "")


def cluster_here(device: str) -> str:
    """For the device of this process."""
    if device == "cpu":
        return "cpu"
    properties = torch.cuda.get_device_properties(0)
    return cluster_of(properties.name, properties.total_memory / GIB)
