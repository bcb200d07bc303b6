"""Block sizes of attention by compute capability and head size, chosen by what the compiler reports.

Every entry compiles without a register spilled to memory; `scripts/bench/kernel_budgets.py` holds them to
it. Among those without spills the largest blocks were taken; none was timed on a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from onnuri.errors import UserError

HEAD_SIZES = (64, 128)
"""Sizes that have an entry; another one takes the next larger."""


class Tile(NamedTuple):
    """One kernel's blocks of queries and keys, warps, and stages of its load pipeline."""

    queries: int
    keys: int
    warps: int
    stages: int

    def launch(self) -> dict[str, int]:
        """Keyword arguments of a kernel launch."""
        return {"M": self.queries, "N": self.keys, "num_warps": self.warps, "num_stages": self.stages}


class AttentionTiles(NamedTuple):
    """The tiles of the three attention kernels."""

    forward: Tile
    query_gradient: Tile
    key_value_gradient: Tile


_HALF_PRECISION = {
    (80, 64): AttentionTiles(Tile(128, 64, 8, 2), Tile(128, 64, 8, 2), Tile(64, 128, 8, 2)),
    (80, 128): AttentionTiles(Tile(64, 64, 4, 2), Tile(64, 64, 8, 2), Tile(64, 64, 8, 2)),
    (90, 64): AttentionTiles(Tile(128, 64, 8, 2), Tile(128, 64, 8, 2), Tile(64, 128, 8, 2)),
    (90, 128): AttentionTiles(Tile(128, 64, 8, 3), Tile(128, 64, 8, 2), Tile(32, 128, 8, 2)),
    (100, 64): AttentionTiles(Tile(128, 64, 4, 2), Tile(128, 64, 8, 2), Tile(64, 128, 8, 2)),
    (100, 128): AttentionTiles(Tile(128, 128, 8, 2), Tile(128, 64, 8, 2), Tile(64, 128, 8, 2)),
    (120, 64): AttentionTiles(Tile(128, 64, 8, 2), Tile(128, 64, 8, 2), Tile(64, 128, 8, 2)),
    (120, 128): AttentionTiles(Tile(128, 64, 8, 2), Tile(64, 64, 8, 2), Tile(32, 64, 8, 2)),
}
_SMALL_SHARED_MEMORY = {86: 120, 87: 80, 89: 120}
"""Between 8.0 and 9.0 some have 163 KiB of shared memory a block and some have 99, like 12.0."""
_FLOAT32 = {
    64: AttentionTiles(Tile(32, 32, 8, 1), Tile(32, 32, 8, 1), Tile(32, 32, 8, 1)),
    128: AttentionTiles(Tile(32, 32, 8, 1), Tile(16, 16, 8, 1), Tile(32, 32, 8, 1)),
}
"""On every GPU: products in full float32 have no matrix units and cost registers."""


def padded_head_size(head_size: int) -> int:
    """The power of two that holds a head; matrix units want 16 at least."""
    return max(16, 1 << (head_size - 1).bit_length())


def attention_tiles(capability: int, head_size: int, dtype: torch.dtype) -> AttentionTiles:
    """The tiles for a compute capability (90 for 9.0); an unknown one takes those of the nearest below.

    Raises:
        UserError: heads larger than 128.
    """
    if head_size > HEAD_SIZES[-1]:
        raise UserError(
            f"attention=triton takes head sizes up to {HEAD_SIZES[-1]}, found {head_size}; "
            "set kernels.attention=torch"
        )
    size = next(size for size in HEAD_SIZES if head_size <= size)
    if dtype == torch.float32:
        return _FLOAT32[size]
    capability = _SMALL_SHARED_MEMORY.get(capability, capability)
    known = [each for each, of_size in _HALF_PRECISION if of_size == size]
    return _HALF_PRECISION[max((each for each in known if each <= capability), default=known[0]), size]


def device_capability(device: torch.device) -> int:
    """90 for compute capability 9.0. The interpreter, on CPU tensors, stands in for 8.0."""
    if device.type != "cuda":
        return 80
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor
