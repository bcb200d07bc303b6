"""Which places of a packed batch see each other."""

from __future__ import annotations

from typing import Any

import torch

Bounds = tuple[torch.Tensor, torch.Tensor]
_latest: dict[tuple[Any, ...], Bounds] = {}
"""The last answer of `attention_bounds`: all layers of a step ask the same."""


def document_borders(rows: torch.Tensor, cu_seqlens: torch.Tensor | None) -> torch.Tensor:
    """`cu_seqlens`, or where the rows of [B, S, ...] begin and end: int32, on the CPU."""
    if cu_seqlens is not None:
        return cu_seqlens
    batch, length = rows.shape[:2]
    return torch.arange(batch + 1, dtype=torch.int32) * length


def attention_bounds(rows: torch.Tensor, cu_seqlens: torch.Tensor | None, window: int) -> Bounds:
    """Both ends of what each of the B x S places sees and is seen by, int32 on the device of `rows`.

    Returns:
        first_key: place q sees places first_key[q] to q.
        end_query: place k is seen by places k to end_query[k] - 1.
        Neither ever decreases.
    """
    content = None if cu_seqlens is None else cu_seqlens.numpy().tobytes()
    question = (*rows.shape[:2], rows.device, window, torch.is_inference_mode_enabled(), content)
    if answer := _latest.get(question):
        return answer
    tokens = rows.shape[0] * rows.shape[1]
    borders = document_borders(rows, cu_seqlens).to(rows.device, torch.int32, non_blocking=True)
    sizes = borders.diff()
    first_key = torch.repeat_interleave(borders[:-1], sizes, output_size=tokens)
    end_query = torch.repeat_interleave(borders[1:], sizes, output_size=tokens)
    if window > 0:
        places = torch.arange(tokens, dtype=torch.int32, device=rows.device)
        first_key = torch.maximum(first_key, places - (window - 1))
        end_query = torch.minimum(end_query, places + window)
    _latest.clear()
    _latest[question] = first_key, end_query
    return first_key, end_query
