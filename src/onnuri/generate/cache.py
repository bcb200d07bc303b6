"""Keys and values of the tokens of a batch of texts, in blocks, and attention over them.

Shapes: N texts, S tokens of each, T tokens, H query heads, K key/value heads, G = H / K, L length, D head
size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from onnuri.generate.blocks import BLOCK
from onnuri.model.config import ModelConfig


def cache_bytes(config: ModelConfig, tokens: int, dtype: torch.dtype) -> int:
    """Bytes of a cache for so many tokens."""
    elements = 2 * config.num_layers * config.num_kv_heads * tokens * config.head_dim
    return elements * dtype.itemsize


class KeyValueCache:
    """For each layer keys [blocks, K, D, BLOCK], as `Decode` reads them, and values [blocks, K, BLOCK, D].

    They begin as zeros: what is masked has the weight 0, and 0 times whatever lay in the memory may be NaN.
    """

    def __init__(
        self, config: ModelConfig, blocks: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        kv_heads, size = config.num_kv_heads, config.head_dim

        def zeros(*shape: int) -> list[torch.Tensor]:
            layers = range(config.num_layers)
            return [torch.zeros(blocks, kv_heads, *shape, dtype=dtype, device=device) for _ in layers]

        self.keys, self.values = zeros(size, BLOCK), zeros(BLOCK, size)

    def store(
        self,
        layer: int,
        blocks: torch.Tensor,
        offsets: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
    ) -> None:
        """Keep `key` and `value` [T, K, D] at `offsets` [T] of `blocks` [T]."""
        self.keys[layer][blocks, :, :, offsets] = key
        self.values[layer][blocks, :, offsets] = value

    def attend(
        self, layer: int, query: torch.Tensor, tables: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Attention of tokens over those of their texts that are not behind them.

        Args:
            query: [N, S, H, D].
            tables: int64 [N, blocks]: those of each text, in their order.
            positions: int64 [N, S].

        Returns:
            [N, S, H, D].
        """
        keys = self.keys[layer][tables].permute(0, 2, 1, 4, 3).flatten(2, 3)
        values = self.values[layer][tables].transpose(1, 2).flatten(2, 3)
        texts, tokens, heads, size = query.shape
        kv_heads, length = keys.shape[1:3]
        # The G heads that share keys go as G queries of one head: nothing is repeated.
        grouped = query.view(texts, tokens, kv_heads, -1, size).permute(0, 2, 3, 1, 4)
        seen = torch.arange(length, device=query.device) <= positions[:, None, :, None]
        seen = seen.repeat(1, 1, heads // kv_heads, 1)
        out = F.scaled_dot_product_attention(grouped.flatten(2, 3), keys, values, attn_mask=seen)
        return out.view(grouped.shape).permute(0, 3, 1, 2, 4).reshape(query.shape)
