"""Windows over documents that lie in a new order every epoch, so that each epoch has other neighbours and
other cuts (worth 0.007 to 0.013 nats where data is repeated: qlabs-eng/slowrun).

The documents of an epoch are put in the order of a keyed permutation, laid end to end and cut at every S
tokens. Entering an epoch takes time in proportion to its documents (seconds for millions); then every
window takes binary searches. Memory on each rank: 8 bytes a document, and 12 to 16 for each of the two
epochs that are kept.

D documents, S sequence length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onnuri.tokens.order import permute
from onnuri.tokens.shards import load_array
from onnuri.tokens.windows import Pieces

AT_ONCE = 1 << 20
"""Documents whose positions are computed at a time."""


class Epoch(NamedTuple):
    """The stream of one epoch."""

    order: np.ndarray
    """uint32 or int64 [D]: which document stands at each position."""
    starts: np.ndarray
    """int64 [D + 1]: where each position begins in the stream, and the end."""


class Reshuffled:
    """Windows at stride S over all documents of some shards; the last of an epoch may be short.

    Windows are numbered through the epochs: epoch e has the numbers from e x `num_windows` on. A separator
    stands before the first document, so that an epoch predicts every token once and epochs are of one size.

    Args:
        shards: 1-D arrays of token ids.
        tables: file of each shard's table of documents.
        key: the key of an epoch's order.
    """

    def __init__(
        self,
        shards: Sequence[np.ndarray],
        tables: Sequence[Path],
        sequence_length: int,
        separator: int,
        key: Callable[[int], int],
    ) -> None:
        self.sequence_length, self.separator, self._key = sequence_length, separator, key
        self._shards = [np.asarray(shard) for shard in shards]
        self._shard_starts = np.cumsum([0, *map(len, shards)])
        begins = [
            load_array(table, "r")["offset"].astype(np.int64) + start
            for table, start in zip(tables, self._shard_starts.tolist(), strict=False)
        ]
        self._offsets = np.concatenate([*begins, self._shard_starts[-1:]])
        """int64 [D + 1]: where each document begins in all shards, one after the other, and the end."""
        self.num_tokens = int(self._shard_starts[-1])
        self.num_windows = -(-self.num_tokens // sequence_length)
        self._epoch = lru_cache(2)(self._lay_out)

    def _lay_out(self, epoch: int) -> Epoch:
        count, key = len(self._offsets) - 1, self._key(epoch)
        order = np.empty(count, dtype=np.uint32 if count <= 1 << 32 else np.int64)
        starts = np.zeros(count + 1, dtype=np.int64)
        for start in range(0, count, AT_ONCE):
            stop = min(start + AT_ONCE, count)
            documents = permute(np.arange(start, stop), count, key)
            order[start:stop] = documents
            starts[start + 1 : stop + 1] = self._offsets[documents + 1] - self._offsets[documents]
        return Epoch(order, np.cumsum(starts, out=starts))

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """See Windows."""
        inside = numbers % self.num_windows
        return np.minimum(self.num_tokens - inside * self.sequence_length, self.sequence_length) + 1

    def pieces(self, numbers: np.ndarray) -> Pieces:
        """See Windows."""
        epochs, inside = np.divmod(numbers, self.num_windows)
        nothing = np.empty(0, dtype=np.int64)
        found = [(nothing, nothing, np.empty((0, 2), dtype=np.int64))]
        for epoch in np.unique(epochs).tolist():
            members = np.flatnonzero(epochs == epoch)
            rows, shards, spans = self._pieces_of(self._epoch(epoch), inside[members])
            found.append((members[rows], shards, spans))
        rows, shards, spans = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(rows, kind="stable")
        return rows[order], shards[order], spans[order]

    def _pieces_of(self, epoch: Epoch, inside: np.ndarray) -> Pieces:
        first = inside * self.sequence_length
        end = np.minimum(first + self.sequence_length, self.num_tokens)
        first_position = np.searchsorted(epoch.starts, first, side="right") - 1
        counts = np.searchsorted(epoch.starts, end, side="left") - first_position
        rows = np.repeat(np.arange(len(inside)), counts)
        positions = np.arange(len(rows)) + np.repeat(first_position - np.cumsum(counts) + counts, counts)
        skipped = np.maximum(first[rows] - epoch.starts[positions], 0)
        sizes = np.minimum(epoch.starts[positions + 1], end[rows]) - epoch.starts[positions] - skipped
        begins = self._offsets[epoch.order[positions]] + skipped
        shards = np.searchsorted(self._shard_starts, begins, side="right") - 1
        begins -= self._shard_starts[shards]
        return rows, shards, np.stack([begins, begins + sizes], axis=1)

    def read(self, number: int, row: np.ndarray) -> int:
        """See Windows."""
        _, shards, spans = self.pieces(np.array([number]))
        length = 0
        for shard, (start, end) in zip(shards.tolist(), spans.tolist(), strict=True):
            tokens = self._shards[shard]
            if not length:  # a document ends with a separator, so one stands before each
                row[0] = tokens[start - 1] if start else self.separator
                length = 1
            row[length : length + end - start] = tokens[start:end]
            length += end - start
        return length
