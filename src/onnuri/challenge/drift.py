"""How far apart the weights of two checkpoints are, whatever ranks wrote them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.challenge.faults import Refused

WEIGHT = "weight/"


def weight_sizes(folder: Path) -> dict[str, int]:
    """Elements of each parameter of a checkpoint, from the headers of its files alone.

    Raises Refused for a file that is no safetensors.
    """
    from safetensors import SafetensorError, safe_open

    sizes: dict[str, int] = {}
    for path in sorted(folder.glob("shard-*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    if name.startswith(WEIGHT):
                        count = math.prod(file.get_slice(name).get_shape())
                        sizes[name] = sizes.get(name, 0) + count
        except (SafetensorError, OSError, ValueError) as error:
            raise Refused("bad files", f"{folder.name}/{path.name}: {str(error)[:100]}") from None
    return sizes


def relative_distance(one: Path, other: Path, begin: Path | None) -> float:
    """|one - other| / |other - begin| over all weights, by Euclid; with no `begin` over |other|."""
    difference = movement = 0.0
    for name, size in weight_sizes(other).items():
        first, second, start = (_values(folder, name, size) for folder in (one, other, begin))
        difference += float((first - second).square().sum())
        movement += float((second - start).square().sum())
    return math.sqrt(difference / movement) if movement else math.inf


def _values(folder: Path | None, name: str, size: int) -> Any:
    import torch

    from onnuri.checkpoint.shard_file import TensorSlice
    from onnuri.checkpoint.store import load

    values = torch.zeros(size)
    if folder is not None:
        try:
            load(folder, {name: TensorSlice(values, 0)})
        except UserError as error:
            raise Refused("edited weights", str(error)) from None
    return values.double()
