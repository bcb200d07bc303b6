"""A new token of each of a few texts on CPUs: a block of the decoder in one call, and the logits in one.

Shapes: N texts, H query heads, K key/value heads, D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch

from onnuri.kernels.native.library import library

MOST_ROWS = 32
"""From more texts on the matrix products of PyTorch are faster."""
LANES = 16


@cache
def compiled() -> bool:
    """Whether the library is there."""
    try:
        return hasattr(library(), "decode_block")
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
        context: positions of a slot of the cache.
        eps: of the norms.
    """

    def __init__(self, sizes: tuple[int, int, int, int, int], context: int, eps: float) -> None:
        width, heads, kv_heads, size, inner = sizes
        self.sizes, self.context, self.eps = sizes, context, ctypes.c_float(eps)
        out = max((heads + 2 * kv_heads) * size, 2 * inner, width)
        self.row_floats = max(width, heads * size, inner) + out
        self.scratch = torch.empty(0)

    def block(
        self,
        hidden: torch.Tensor,
        weights: list[torch.Tensor | None],
        positions: torch.Tensor,
        longest: int,
        cosine: torch.Tensor,
        sine: torch.Tensor,
    ) -> None:
        """Run a block on `hidden` [N, E], in place.

        Args:
            weights: norm, query-key-value, query norm, key norm (None without), attention output, norm,
                gate and up, down; keys and values [slots, K, context, D], which get those of the tokens.
            positions: int64 [N] of the tokens; text n is in slot n.
            longest: the largest of them, and 1.
            cosine, sine: of all positions, [context, D / 2] in float32.
        """
        _, heads, kv_heads, size, _ = self.sizes
        threads, rows = torch.get_num_threads(), len(hidden)
        needed = rows * self.row_floats + threads * (longest + heads // kv_heads * size)
        if len(self.scratch) < needed:
            self.scratch = torch.empty(2 * needed)
        numbers = (rows, *self.sizes, self.context, longest, threads, hidden.itemsize)
        addresses = [None if each is None else each.data_ptr() for each in weights]
        library().decode_block(
            (ctypes.c_int64 * len(numbers))(*numbers),
            self.eps,
            (ctypes.c_void_p * len(addresses))(*addresses),
            *map(_address, (positions, cosine, sine, hidden, self.scratch)),
        )


def logits(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Products [N, V] in float32 of `hidden` [N, E] and `weight` [V, E], rounded to its dtype."""
    wide = hidden.float().contiguous()
    found = torch.empty(len(hidden), len(weight))
    numbers = (*hidden.shape, len(weight), torch.get_num_threads(), weight.itemsize)
    sizes = (ctypes.c_int64 * len(numbers))(*numbers)
    library().decode_logits(sizes, *map(_address, (weight, wide, found)))
    return found


def _address(tensor: torch.Tensor) -> Any:
    return ctypes.c_void_p(tensor.data_ptr())
