"""Negative log-likelihood of documents and requests under a causal language model.

A document is scored after the separator token. One longer than the model's context goes through in
windows at a stride of half the context: each token is scored once, and beyond the first window every
token has at least half a context of history.

B batch, S sequence, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from tqdm import tqdm

from onnuri.evaluate.requests import Plan, Row, batches, nats_of

LARGEST_LOGITS = 1 << 26
"""Elements of one logits tensor, about; large vocabularies get smaller batches."""
Forward = Callable[[torch.Tensor, int], torch.Tensor]
"""Tokens [B, S] and the first position wanted -> logits [B, S - first, V]."""


def cut_windows(tokens: list[int], separator: int, context: int) -> list[Row]:
    """Windows that score every token of a document once, each with the token that follows it."""
    stream = [separator, *tokens]
    stride = max(1, context // 2)
    windows, scored, start = [], 0, 0
    while scored < len(tokens):
        piece = stream[start : start + context + 1]
        windows.append(Row(tuple(piece), scored - start))
        scored = start + len(piece) - 1
        start += stride
    return windows


def forward_of(model: Any) -> Forward:
    """The forward pass of a Hugging Face model, without the logits before the first position."""
    can_skip = "logits_to_keep" in inspect.signature(model.forward).parameters

    def forward(tokens: torch.Tensor, first: int) -> torch.Tensor:
        keep = {"logits_to_keep": tokens.shape[1] - first} if can_skip and first else {}
        logits: torch.Tensor = model(input_ids=tokens, use_cache=False, **keep).logits
        return logits if keep else logits[:, first:]

    return forward


def document_nats(
    model: Any, documents: Sequence[list[int]], separator: int, context: int, batch_tokens: int = 4096
) -> list[float]:
    """Total negative log-likelihood of each document in nats.

    Args:
        model: a Hugging Face causal language model.
        documents: token ids without special tokens.
        context: most tokens the model reads at once.
        batch_tokens: tokens in one forward pass; the result does not depend on it.
    """
    windows = [(i, row) for i, ids in enumerate(documents) for row in cut_windows(ids, separator, context)]
    rows = [Row(row.tokens[:-1], row.first_scored) for _, row in windows]
    last = [[row.tokens[-1]] for _, row in windows]
    nats = _model_nats(model, rows, last, separator, batch_tokens)
    totals = [0.0] * len(documents)
    for (document, _), (value,) in zip(windows, nats, strict=True):
        totals[document] += value
    return totals


def request_nats(model: Any, plan: Plan, separator: int, batch_tokens: int = 4096) -> list[float]:
    """Negative log-likelihood of each request of a plan in nats; see `document_nats`."""
    return nats_of(plan, _model_nats(model, plan.rows, plan.last, separator, batch_tokens))


def _model_nats(
    model: Any, rows: list[Row], last: list[list[int]], filler: int, batch_tokens: int
) -> list[list[float]]:
    size = max(1, min(batch_tokens, LARGEST_LOGITS // model.config.vocab_size))
    flat = row_nats(forward_of(model), rows, last, filler, model.device, size).tolist()
    ends = list(accumulate(map(len, last)))
    return [flat[end - len(each) : end] for end, each in zip(ends, last, strict=True)]


@torch.inference_mode()
def row_nats(
    forward: Forward,
    rows: Sequence[Row],
    last: Sequence[Sequence[int]],
    filler: int,
    device: torch.device | str,
    batch_tokens: int,
    rank: int = 0,
    ranks: int = 1,
) -> torch.Tensor:
    """Nats of each row with each of its last tokens, one after the other, in float64 on the device.

    Of several ranks each runs every `ranks`-th batch, all the same number of them, and has zeros for the
    others: the sum over ranks is the result, and no batch depends on their number.
    """
    offsets = [0, *accumulate(map(len, last))]
    found = torch.zeros(offsets[-1], dtype=torch.float64, device=device)
    todo = list(batches(rows, batch_tokens))
    turns = -(-len(todo) // ranks)
    with tqdm(total=turns, desc="scoring", unit="batch", disable=None, leave=False) as bar:
        for turn in range(turns):
            mine = turn * ranks + rank
            batch = todo[min(mine, len(todo) - 1)]
            values = _batch_nats(
                forward, [rows[i] for i in batch], [last[i] for i in batch], filler, device
            )
            if mine < len(todo):
                positions = [position for i in batch for position in range(offsets[i], offsets[i + 1])]
                found[torch.tensor(positions, device=device)] = values
            bar.update()
    return found


def _batch_nats(
    forward: Forward,
    rows: list[Row],
    last: list[Sequence[int]],
    filler: int,
    device: torch.device | str,
) -> torch.Tensor:
    """Filling stands on the right, where causal attention never looks."""
    width, first = max(len(row.tokens) for row in rows), min(row.first_scored for row in rows)
    tokens = torch.tensor([[*row.tokens, *[filler] * (width - len(row.tokens))] for row in rows]).to(device)
    logits = forward(tokens, first).float()
    log_sum = logits.logsumexp(-1)
    taken = logits[:, :-1].gather(2, tokens[:, first + 1 :, None])[:, :, 0]
    nats = (log_sum[:, :-1] - taken).double()
    starts = torch.tensor([row.first_scored - first for row in rows], device=device)[:, None]
    ends = torch.tensor([len(row.tokens) - 1 - first for row in rows], device=device)[:, None]
    positions = torch.arange(nats.shape[1], device=device)
    before = torch.where((positions >= starts) & (positions < ends), nats, 0).sum(1)
    which = torch.tensor([i for i, tokens_of in enumerate(last) for _ in tokens_of], device=device)
    final = torch.tensor([token for tokens_of in last for token in tokens_of], device=device)
    position = ends[which, 0]
    return before[which] + (log_sum[which, position] - logits[which, position, final]).double()
