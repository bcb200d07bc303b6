"""Block sizes of attention by compute capability and head size: the table in tiles.json.

`scripts/gpu_check.py` times candidates on a GPU, and `benchmarks/gpu_report.py` writes the fastest into
the table; an entry whose source is "compiler" was never timed: of the tiles that compile without a spilled
register, the largest. `benchmarks/kernel_budgets.py` holds every entry to that.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from onnuri.base.errors import UserError

TABLE = Path(__file__).with_name("tiles.json")
HEAD_DIMS = (64, 128)
"""Sizes that have an entry; another one takes the next larger."""


class Tile(NamedTuple):
    """One kernel's blocks of queries and keys, warps, and stages of its load pipeline."""

    queries: int
    keys: int
    warps: int
    stages: int
    tma: int = 0
    """1: the forward pass copies keys and values by the Tensor Memory Accelerator (9.0 and up)."""

    def launch(self) -> dict[str, int]:
        """Keyword arguments of a kernel launch."""
        return {"M": self.queries, "N": self.keys, "num_warps": self.warps, "num_stages": self.stages}


class AttentionTiles(NamedTuple):
    """The tiles of the three attention kernels."""

    forward: Tile
    query_gradient: Tile
    key_value_gradient: Tile


_SMALL_SHARED_MEMORY = {86: 120, 87: 80, 89: 120}
"""Between 8.0 and 9.0 some have 163 KiB of shared memory a block and some have 99, like 12.0."""


@cache
def table() -> dict[str, Any]:
    """tiles.json: "half" by compute capability and head size, "float32" by head size (products in full
    float32 have no matrix units and cost registers, on every GPU)."""
    found: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def padded_head_size(head_dim: int) -> int:
    """The power of two that holds a head; matrix units want 16 at least."""
    return max(16, 1 << (head_dim - 1).bit_length())


def table_capability(capability: int) -> int:
    """The entry for a compute capability (90 for 9.0): its own, or the nearest below."""
    capability = _SMALL_SHARED_MEMORY.get(capability, capability)
    known = [int(each) for each in table()["half"]]
    return max((each for each in known if each <= capability), default=min(known))


def attention_tiles(capability: int, head_dim: int, dtype: torch.dtype) -> AttentionTiles:
    """The tiles for a compute capability (90 for 9.0).

    Raises:
        UserError: heads larger than 128.
    """
    if head_dim > HEAD_DIMS[-1]:
        raise UserError(
            f"attention=triton takes head sizes up to {HEAD_DIMS[-1]}, found {head_dim}; "
            "set kernels.attention=torch"
        )
    size = str(next(size for size in HEAD_DIMS if head_dim <= size))
    of_dtype = (
        table()["float32"] if dtype == torch.float32 else table()["half"][str(table_capability(capability))]
    )
    return AttentionTiles(*(Tile(*of_dtype[size][kernel]) for kernel in AttentionTiles._fields))


def device_capability(device: torch.device) -> int:
    """90 for compute capability 9.0. The interpreter, on CPU tensors, stands in for 8.0."""
    if device.type != "cuda":
        return 80
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor
