"""Negative log-likelihood of documents under a causal language model.

A document is scored after the separator token. One longer than the model's context goes through in
windows at a stride of half the context: each token is scored once, and beyond the first window every
token has at least half a context of history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from tqdm import tqdm

LARGEST_LOGITS = 1 << 26
"""Numbers in one logits tensor, about; large vocabularies get smaller batches."""


class Window(NamedTuple):
    """Part of a document: tokens to read, and the positions among them whose successor is scored."""

    document: int
    tokens: list[int]
    first_scored: int


def cut_windows(document: int, tokens: list[int], separator: int, context: int) -> list[Window]:
    """Windows that score every token of a document once. Each holds up to `context` + 1 tokens."""
    stream = [separator, *tokens]
    stride = max(1, context // 2)
    windows, scored, start = [], 0, 0
    while scored < len(tokens):
        piece = stream[start : start + context + 1]
        windows.append(Window(document, piece, scored - start))
        scored = start + len(piece) - 1
        start += stride
    return windows


@torch.inference_mode()
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
    windows = [w for i, ids in enumerate(documents) for w in cut_windows(i, ids, separator, context)]
    windows.sort(key=lambda window: -len(window.tokens))
    limit = max(1, min(batch_tokens, LARGEST_LOGITS // model.config.vocab_size))
    totals = [0.0] * len(documents)
    with tqdm(total=len(windows), desc="scoring", unit="window", disable=None) as bar:
        start = 0
        while start < len(windows):
            count = max(1, limit // len(windows[start].tokens))
            batch = windows[start : start + count]
            for window, nats in zip(batch, _batch_nats(model, batch, separator), strict=True):
                totals[window.document] += nats
            start += count
            bar.update(len(batch))
    return totals


def _batch_nats(model: Any, batch: list[Window], filler: int) -> list[float]:
    """Scored nats of each window. Filling stands on the right, where causal attention never looks."""
    width = len(batch[0].tokens)
    rows = torch.tensor([w.tokens + [filler] * (width - len(w.tokens)) for w in batch])
    targets = rows[:, 1:].clone()
    for row, window in enumerate(batch):
        targets[row, : window.first_scored] = -100
        targets[row, len(window.tokens) - 1 :] = -100
    device = model.device
    logits = model(input_ids=rows[:, :-1].to(device), use_cache=False).logits.float()
    losses = F.cross_entropy(
        logits.transpose(1, 2), targets.to(device), reduction="none", ignore_index=-100
    )
    return losses.double().sum(1).tolist()
