"""Which positions of a packed batch attend to which, made once for a batch and shared by all layers.

B rows of S tokens are read as one sequence of T = B x S positions. Attention is causal and stays within a
document; no document crosses from one row to the next. A document may branch: several continuations of one
beginning, each of which sees the beginning and itself (prefix sharing, arXiv 2410.20305, 2506.05433).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from onnuri.base.errors import UserError


class AttentionMask(NamedTuple):
    """Documents and window of one batch. Position q attends to the positions k from first_key[q] to q for
    which q < end_query[k].

    All but CONSTANTS are tensors, on which no graph depends.
    """

    cu_seqlens: torch.Tensor
    """int32 [documents + 1] on the CPU: where each document begins in the T positions, and T."""
    device_cu_seqlens: torch.Tensor
    """The same on the device of the model."""
    first_key: torch.Tensor
    """int32 [T] on the device: position q attends to nothing before first_key[q]. Never decreases."""
    end_query: torch.Tensor
    """int32 [T] on the device: position k is attended to by k to end_query[k] - 1. Never decreases, but
    where a document branches."""
    longest: torch.Tensor
    """int32 [] on the CPU: tokens of the longest document."""
    window: int
    """A position attends to itself and the `window` - 1 before it; 0: to all of its document."""
    branched: bool
    """Whether a document branches: then end_query has to be asked too, else first_key says it all."""

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


CONSTANTS = {"window": "int", "branched": "bool"}
"""Fields of an `AttentionMask` that are no tensors, and their types."""


def attention_mask(
    batch: int,
    length: int,
    cu_seqlens: torch.Tensor | None = None,
    window: int = 0,
    device: torch.device | str = "cpu",
    branches: torch.Tensor | None = None,
) -> AttentionMask:
    """The mask of `batch` rows of `length` tokens.

    Args:
        cu_seqlens: int [documents + 1] on the CPU, from 0 to batch x length; every row begins a document,
            a document may be empty. None: each row is one document.
        window: see `AttentionMask`.
        branches: int [branches] on the CPU, rising: where the branches of documents begin. What lies before
            the first branch of a document is seen by all of it; a branch ends where the next one, or the
            document, does, and no other sees it.

    Raises:
        ValueError: there are no tokens, `cu_seqlens`, `window` or `branches` is not as described, or a mask
            with a window is to branch.
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
    branched = False
    if branches is not None and len(branches):
        if window:
            raise ValueError(f"a document that branches takes no window, window={window}")
        branched, end_query = True, _branch_ends(branches, cu_seqlens, end_query)
    mask = AttentionMask(cu_seqlens, cu_seqlens, first_key, end_query, sizes.max(), window, branched)
    return mask.to(device)


def _branch_ends(branches: torch.Tensor, cu_seqlens: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """`ends` of documents, int32 [T], with those of branches for the positions within one."""
    if branches.is_floating_point() or branches.dtype == torch.bool:
        raise ValueError(f"branches must be integers, are {branches.dtype}")
    begins = branches.to(torch.int64)
    if begins.dim() != 1 or begins[0] < 0 or begins[-1] >= len(ends) or bool((begins.diff() <= 0).any()):
        raise ValueError(f"branches must rise within {len(ends)} positions, are {branches.tolist()}")
    positions = torch.arange(len(ends))
    own = torch.searchsorted(begins, positions, right=True) - 1
    documents = torch.repeat_interleave(cu_seqlens[:-1], cu_seqlens.diff())
    within = begins[own.clamp(min=0)] >= documents  # of the document that the position is in
    following = torch.cat([begins, torch.tensor([len(ends)])])[own + 1]
    return torch.where((own >= 0) & within, torch.minimum(ends, following), ends).to(torch.int32)


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


def check_unbranched(mask: AttentionMask, backend: str) -> None:
    """Raise UserError if documents branch, for a backend that cannot follow them."""
    if mask.branched:
        raise UserError(
            f"kernels.attention={backend} takes no documents that branch (grpo.share_prompts); "
            "set kernels.attention=auto"
        )


def check_boundaries(cu_seqlens: torch.Tensor, tokens: int) -> None:
    """Raise ValueError unless `cu_seqlens`, on the CPU, rises from 0 to `tokens`."""
    if cu_seqlens.dim() != 1 or len(cu_seqlens) < 2 or cu_seqlens.is_floating_point():
        raise ValueError(
            f"cu_seqlens must be integers [documents + 1], is {cu_seqlens.dtype} {[*cu_seqlens.shape]}"
        )
    if cu_seqlens[0] != 0 or cu_seqlens[-1] != tokens or bool((cu_seqlens.diff() < 0).any()):
        raise ValueError(f"cu_seqlens must rise from 0 to {tokens}, is {cu_seqlens.tolist()}")
