"""Blocks of the decoder for the new tokens of some texts on CPUs in one call, and their logits in one.

What comes of a token does not depend, to the last bit, on the others of the call.

Shapes: T tokens, N texts, H query heads, K key/value heads, D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from onnuri.kernels.native.library import library

LANES = 16
WEIGHTS = 14
"""Tensors of a block, see `Decode.blocks`."""
QUERIES = 4
"""Of decode.cpp: queries that a thread takes at a time."""


@cache
def compiled() -> bool:
    """Whether the library is there."""
    try:
        return hasattr(library(), "decode_blocks")
    except OSError:
        return False


def usable(sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a model of such hidden, inner and head sizes can run here."""
    fits = all(size % LANES == 0 for size in sizes)
    return device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and fits and compiled()


class Decode:
    """The steps of one batch of texts through all blocks.

    Args:
        sizes: (E, H, K, D, inner size) of the model.
        eps: of the norms.
    """

    def __init__(self, sizes: tuple[int, int, int, int, int], eps: float) -> None:
        self.sizes, self.eps = sizes, ctypes.c_float(eps)
        self.scratch = torch.empty(0)

    def _room(self, floats: int) -> torch.Tensor:
        if len(self.scratch) < floats:
            self.scratch = torch.empty(2 * floats)
        return self.scratch

    def blocks(
        self,
        hidden: torch.Tensor,
        weights: Sequence[torch.Tensor | None],
        texts: torch.Tensor,
        positions: torch.Tensor,
        tables: torch.Tensor,
        longest: int,
        cosine: torch.Tensor,
        sine: torch.Tensor,
    ) -> None:
        """Run blocks on `hidden` [T, E], in place.

        Args:
            weights: of each block: norm, query-key-value, query norm, key norm (None without), attention
                output, norm, gate and up, down; keys [blocks, K, D, 16] and values [blocks, K, 16, D] of
                the cache, which get those of the tokens. Behind each matrix stand its scales: float32
                [rows] if it is int8, else None.
            texts, positions: int64 [T], of the tokens. Those of a text follow one another.
            tables: int64 [N, blocks of a text]: where its tokens are in the cache, 16 in each block.
            longest: the largest position, and 1.
            cosine, sine: of all positions, [context, D / 2] in float32.
        """
        width, heads, kv_heads, size, inner = self.sizes
        threads, rows = torch.get_num_threads(), len(hidden)
        widest, out = max(width, heads * size, inner), max((heads + 2 * kv_heads) * size, 2 * inner, width)
        each = QUERIES * (size + longest + LANES)
        scratch = self._room(2 * (rows + 1) + rows * (widest + out) + threads * each)
        if len(weights) % WEIGHTS:
            raise ValueError(f"{len(weights)} weights are not {WEIGHTS} for each block")
        count = len(weights) // WEIGHTS
        numbers = (rows, *self.sizes, tables.shape[1], longest, threads, hidden.itemsize, count)
        addresses = [None if each is None else each.data_ptr() for each in weights]
        library().decode_blocks(
            (ctypes.c_int64 * len(numbers))(*numbers),
            self.eps,
            (ctypes.c_void_p * len(addresses))(*addresses),
            *map(_address, (texts, positions, tables, cosine, sine, hidden, scratch)),
        )

    def logits(
        self, hidden: torch.Tensor, norm: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor | None
    ) -> torch.Tensor:
        """Products [T, V] in float32 of the normed `hidden` [T, E] and `weight` [V, E], with `scales` [V]
        if it is int8, rounded to the dtype of `hidden`."""
        hidden, found = hidden.contiguous(), torch.empty(len(hidden), len(weight))
        numbers = (*hidden.shape, len(weight), torch.get_num_threads(), hidden.itemsize)
        library().decode_logits(
            (ctypes.c_int64 * len(numbers))(*numbers),
            self.eps,
            *map(_address, (norm, weight, scales, hidden, found, self._room(hidden.numel()))),
        )
        return found


def _address(tensor: torch.Tensor | None) -> Any:
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())
