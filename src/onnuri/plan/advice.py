"""Which switch makes a run fit, the cheapest first."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from onnuri.plan.machine import Setting
from onnuri.plan.memory import GIB, peak
from onnuri.plan.speed import speed

MOST_DEVICES = 16384


class Advice(NamedTuple):
    """Options to add, and what comes of them."""

    words: list[str]
    setting: Setting
    tokens_per_second: float


def fits(setting: Setting) -> bool:
    """The peak of a rank is within its device, and what is on the host within the host."""
    cluster = setting.cluster
    device, host = peak(setting).total, host_bytes(setting)
    if cluster.gpu:
        return device <= cluster.memory_gib * GIB and host <= cluster.host_memory_gib * GIB
    within = min(cluster.gpus_per_node, cluster.gpus)
    return device <= cluster.memory_gib * GIB and device * within + host <= cluster.host_memory_gib * GIB


def host_bytes(setting: Setting) -> int:
    """On the host of a node: the copy of a checkpoint that is being written, and what is offloaded."""
    cluster = setting.cluster
    within = min(cluster.gpus_per_node, cluster.gpus)
    of_rank = checkpoint_bytes(setting) // setting.ranks
    if setting.offload != "none":
        of_rank += (checkpoint_bytes(setting) + 4 * setting.num_trained) // setting.ranks
    if setting.offload == "all":
        of_rank += setting.width * setting.num_held // setting.ranks
    return within * of_rank


def checkpoint_bytes(setting: Setting) -> int:
    """One checkpoint on disk: fp32 weights, their average if there is one, and optimizer states."""
    from onnuri.plan.memory import FP32, optimizer_bytes

    return FP32 * setting.num_trained * (2 if setting.average else 1) + optimizer_bytes(setting)


def advise(setting: Setting) -> Advice | None:
    """The fewest switches that make it fit, of those the fastest; None if none do."""
    choices = list(_choices(setting))
    for number in range(1, len(choices) + 1):
        found = []
        for chosen in itertools.combinations(choices, number):
            for values in itertools.product(*(changes for _, changes in chosen)):
                tried = _changed(setting, dict(zip((name for name, _ in chosen), values, strict=True)))
                if tried and fits(tried):
                    words = [
                        f"engine.{name}={value}" for (name, _), value in zip(chosen, values, strict=True)
                    ]
                    found.append(Advice(words, tried, speed(tried).tokens_per_second))
        if found:
            return max(found, key=lambda advice: advice.tokens_per_second)
    return None


def devices_needed(setting: Setting) -> int:
    """How many devices it takes with every switch thrown, in doublings; 0: more than MOST_DEVICES."""
    count = 2 * setting.cluster.gpus
    while count <= min(MOST_DEVICES, setting.first_batch_size):
        cluster = dataclasses.replace(setting.cluster, gpus=count)
        if fits(_least(dataclasses.replace(setting, cluster=cluster))):
            return count
        count *= 2
    return 0


def _least(setting: Setting) -> Setting:
    return dataclasses.replace(
        setting, stage=3, micro_batch_size=1, activation_checkpointing=1, offload="none"
    )


def _choices(setting: Setting) -> Iterator[tuple[str, list[int | str]]]:
    """Each switch, and what it can be set to."""
    every = setting.activation_checkpointing or setting.model.num_layers + 1
    yield "activation_checkpointing", [number for number in (4, 2, 1) if number < every]
    yield "stage", list(range(setting.stage + 1, 4))
    smaller = setting.micro_batch_size
    sizes: list[int | str] = []
    while smaller > 1:
        smaller //= 2
        sizes.append(smaller)
    yield "micro_batch_size", sizes
    if setting.cluster.gpu:
        yield "offload", ["optimizer", "all"] if setting.offload == "none" else ["all"]


def _changed(setting: Setting, switches: dict[str, int | str]) -> Setting | None:
    """With other switches; None where they do not go together."""
    values: dict[str, object] = dict(switches)
    size = values.get("micro_batch_size")
    if isinstance(size, int):
        values["accumulation"] = -(-setting.global_batch_size // (size * setting.ranks))
    tried = dataclasses.replace(setting, **values)  # type: ignore[arg-type]
    impossible = (tried.offload == "all" and tried.stage < 3) or (
        tried.offload != "none" and not tried.stage
    )
    return None if impossible else tried
