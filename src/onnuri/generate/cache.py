"""Keys and values of the tokens that a batch of texts has so far, and attention over them.

Shapes: N slots in use, H query heads, K key/value heads, G = H / K, L length, D head size, T tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from onnuri.model.config import ModelConfig


def cache_bytes(config: ModelConfig, slots: int, context: int, dtype: torch.dtype) -> int:
    """Bytes of a cache: two tensors [slots, K, context, D] a layer."""
    elements = 2 * config.num_layers * slots * config.num_kv_heads * context * config.head_dim
    return elements * dtype.itemsize


class KeyValueCache:
    """Preallocated: two tensors [slots, K, context, D] for each layer.

    They begin as zeros: what is masked has the weight 0, and 0 times whatever lay in the memory may be NaN.
    """

    def __init__(
        self,
        config: ModelConfig,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        shape = (slots, config.num_kv_heads, context, config.head_dim)
        layers = range(config.num_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]

    def store(
        self,
        layer: int,
        slots: torch.Tensor,
        positions: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
    ) -> None:
        """Keep `key` and `value` [T, K, D] of tokens at `positions` [T] of the texts in `slots` [T]."""
        self.keys[layer][slots, :, positions] = key
        self.values[layer][slots, :, positions] = value

    def attend(
        self, layer: int, query: torch.Tensor, length: int, seen: torch.Tensor | None
    ) -> torch.Tensor:
        """Attention of one token for each of the first N slots, over what they hold.

        Args:
            query: [N, H, D].
            length: L, of the longest text.
            seen: bool [N, 1, 1, L], the positions that each text has. None: all have L.

        Returns:
            [N, H, D].
        """
        rows = len(query)
        keys, values = (kept[layer][:rows, :, :length] for kept in (self.keys, self.values))
        # The G heads that share keys go as G queries of one head: nothing is repeated.
        grouped = query.view(rows, keys.shape[1], -1, query.shape[-1])
        out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=seen)
        return out.reshape(query.shape)

    def move(self, source: int, target: int, length: int) -> None:
        """Put the first `length` positions of a slot into another."""
        for kept in (*self.keys, *self.values):
            kept[target, :, :length] = kept[source, :, :length]
