"""Which positions of a packed batch attend to which, made once for a batch and shared by all layers.

B rows of S tokens are read as one sequence of T = B x S positions. Attention is causal and stays within a
document; no document crosses from one row to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class AttentionMask(NamedTuple):
    """Documents and window of one batch; all but the window are tensors, on which no graph depends."""

    cu_seqlens: torch.Tensor
    """int32 [documents + 1] on the CPU: where each document begins in the T positions, and T."""
    device_cu_seqlens: torch.Tensor
    """The same on the device of the model."""
    first_key: torch.Tensor
    """int32 [T] on the device: position q attends to positions first_key[q] to q. Never decreases."""
    end_query: torch.Tensor
    """int32 [T] on the device: position k is attended to by k to end_query[k] - 1. Never decreases."""
    longest: torch.Tensor
    """int32 [] on the CPU: tokens of the longest document."""
    window: int
    """A position attends to itself and the `window` - 1 before it; 0: to all of its document."""

    def to(self, device: torch.device | str) -> AttentionMask:
        """The same for a model on `device`; copies to a GPU do not wait."""
        if torch.device(device).type == "cpu":
            return self

        def move(values: torch.Tensor) -> torch.Tensor:
            return values.pin_memory().to(device, non_blocking=True)

        return self._replace(
            device_cu_seqlens=move(self.cu_seqlens),
            first_key=move(self.first_key),
            end_query=move(self.end_query),
        )


def attention_mask(
    batch: int,
    length: int,
    cu_seqlens: torch.Tensor | None = None,
    window: int = 0,
    device: torch.device | str = "cpu",
) -> AttentionMask:
    """The mask of `batch` rows of `length` tokens.

    Args:
        cu_seqlens: int [documents + 1] on the CPU, from 0 to batch x length; every row begins a document,
            a document may be empty. None: each row is one document.
        window: see `AttentionMask`.

    Raises:
        ValueError: there are no tokens, or `cu_seqlens` or `window` is not as described.
    """
    if batch < 1 or length < 1:
        raise ValueError(f"a mask needs tokens: found {batch} rows of {length}")
    if not isinstance(window, int) or window < 0:
        raise ValueError(f"window={window} must be an integer, at least 0")
    tokens = batch * length
    if cu_seqlens is None:
        cu_seqlens = torch.arange(batch + 1, dtype=torch.int32) * length
    else:
        check_boundaries(cu_seqlens, tokens)
        if not torch.isin(torch.arange(batch) * length, cu_seqlens).all():
            raise ValueError(f"every row of {length} tokens must begin a document: {cu_seqlens.tolist()}")
        cu_seqlens = cu_seqlens.to(torch.int32).contiguous()
    sizes = cu_seqlens.diff()
    first_key = torch.repeat_interleave(cu_seqlens[:-1], sizes, output_size=tokens)
    end_query = torch.repeat_interleave(cu_seqlens[1:], sizes, output_size=tokens)
    if window > 0:
        positions = torch.arange(tokens, dtype=torch.int32)
        first_key = torch.maximum(first_key, positions - (window - 1))
        end_query = torch.minimum(end_query, positions + window)
    mask = AttentionMask(cu_seqlens, cu_seqlens, first_key, end_query, sizes.max(), window)
    return mask.to(device)


def whole_rows(rows: torch.Tensor) -> AttentionMask:
    """The mask of `rows` [B, S, ...], each one document, on their device."""
    return attention_mask(rows.shape[0], rows.shape[1], device=rows.device)


def check_heads(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask) -> None:
    """Raise ValueError unless query [B, S, H, D], key, value [B, S, K, D] and mask fit. Reads no value."""
    batch, length, heads, size = query.shape
    fits = key.dim() == 4 and key.shape == value.shape == (batch, length, key.shape[2], size)
    if not fits or heads % key.shape[2]:
        shapes = [*map(tuple, (query.shape, key.shape, value.shape))]
        raise ValueError(f"query, key, value do not fit: {shapes}")
    if len(mask.first_key) != batch * length:
        raise ValueError(f"the mask is of {len(mask.first_key)} positions, the heads of {batch * length}")


def check_boundaries(cu_seqlens: torch.Tensor, tokens: int) -> None:
    """Raise ValueError unless `cu_seqlens`, on the CPU, rises from 0 to `tokens`."""
    if cu_seqlens.dim() != 1 or len(cu_seqlens) < 2 or cu_seqlens.is_floating_point():
        raise ValueError(
            f"cu_seqlens must be integers [documents + 1], is {cu_seqlens.dtype} {[*cu_seqlens.shape]}"
        )
    if cu_seqlens[0] != 0 or cu_seqlens[-1] != tokens or bool((cu_seqlens.diff() < 0).any()):
        raise ValueError(f"cu_seqlens must rise from 0 to {tokens}, is {cu_seqlens.tolist()}")
