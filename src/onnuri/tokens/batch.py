"""Rows of tokens as a batch: inputs, targets, and where documents begin.

Shapes: B rows, S sequence length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnuri.base.errors import UserError

IGNORE_INDEX = -100
"""The target of a position where there is nothing to predict; what torch's cross-entropy leaves out."""


class Batch(NamedTuple):
    """Rows of one micro-batch."""

    tokens: np.ndarray
    """int64 [B, S]."""
    targets: np.ndarray
    """int64 [B, S]: the next token at each position, or IGNORE_INDEX."""
    cu_seqlens: np.ndarray
    """int32 [documents + 1]: where each document begins in the B x S positions, and B x S."""
    branches: np.ndarray = np.empty(0, dtype=np.int64)
    """int64 [branches], rising: where branches of documents begin; see `attention_mask`."""

    @property
    def positions(self) -> np.ndarray:
        """Position of each token in its document, int64 [B, S]. All branches of one count from the same."""
        begins = np.repeat(self.cu_seqlens[:-1], np.diff(self.cu_seqlens))
        places = np.arange(self.tokens.size)
        if len(self.branches):
            own = self.branches[np.searchsorted(self.branches, places, side="right") - 1]
            first = np.searchsorted(self.branches, begins)
            inside = (begins <= own) & (own <= places)
            places[inside] += self.branches[first[inside]] - own[inside]
        return (places - begins).reshape(self.tokens.shape)


def make_batch(
    rows: np.ndarray, lengths: np.ndarray, separator: int, vocab_size: int, longest: int | None = None
) -> Batch:
    """A batch of [B, S + 1] token ids, of which the first `lengths` [B] of each row count.

    A separator begins a document: it is what the first token of the document is predicted from. So does
    every position that `longest` divides: no document is longer.

    Raises UserError for an id that the vocabulary does not have: on a GPU it would end in an assertion.
    """
    if rows.size and (largest := int(rows.max())) >= vocab_size:
        raise UserError(
            f"the shards hold token {largest}, and their vocabulary ends at {vocab_size - 1}: they are "
            "damaged; copy them again or pack again"
        )
    tokens, targets = rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64)
    begins = rows[:, :-1] == separator
    begins[:, 0] = True
    for row in np.flatnonzero(lengths <= tokens.shape[1]).tolist():
        targets[row, lengths[row] - 1 :] = IGNORE_INDEX
        begins[row, lengths[row] - 1 :] = False
        begins[row, lengths[row] - 1] = True
    if longest:
        begins[:, ::longest] = True
    starts = np.flatnonzero(begins)
    cu_seqlens = np.empty(len(starts) + 1, dtype=np.int32)
    cu_seqlens[:-1], cu_seqlens[-1] = starts, begins.size
    return Batch(tokens, targets, cu_seqlens)
