"""Training windows: how the tokens of a source are cut into rows of one length.

A row of S + 1 tokens gives S positions to predict. Both ways cover every token once an epoch
(`onnuri.tokens.reshuffle` is a third, with a new order of documents in each):

concatenate: a shard is one stream, cut at every S tokens wherever a document stands. No padding but in the
    last row of a shard; most documents longer than a few S are cut, and many shorter ones.
best_fit: documents are laid into rows whole, the longest first, each where it leaves the least room (best
    fit decreasing; Ding et al., arXiv 2404.10830). Only documents longer than S are cut, for some padding.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Protocol

import numpy as np

Pieces = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row of each piece (counted from 0), shard that it lies in, and [pieces, 2] first token and end in it."""


class Windows(Protocol):
    """Rows of one source, or of several taken together."""

    num_windows: int

    def read(self, number: int, row: np.ndarray) -> int:
        """Write the tokens of a window into `row` [S + 1]. Returns how many they are."""

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens in each window, int64 [n], at most S + 1."""

    def pieces(self, numbers: np.ndarray) -> Pieces:
        """Where the predicted tokens of each window lie."""


class Concatenated:
    """Windows at stride S over each shard; the last of a shard may be short.

    Args:
        shards: 1-D arrays of token ids.
    """

    def __init__(self, shards: Sequence[np.ndarray], sequence_length: int) -> None:
        self.sequence_length = length = sequence_length
        self._shards = [np.asarray(shard) for shard in shards]
        self._sizes = np.array([len(shard) for shard in shards], dtype=np.int64)
        self._starts = np.cumsum([0, *-(-np.maximum(self._sizes - 1, 0) // length)])
        self._start_list = self._starts.tolist()
        self.num_windows = int(self._starts[-1])

    def _locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shards = np.searchsorted(self._starts, numbers, side="right") - 1
        return shards, numbers - self._starts[shards]

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """See Windows."""
        shards, inside = self._locate(numbers)
        return np.minimum(self._sizes[shards] - inside * self.sequence_length, self.sequence_length + 1)

    def read(self, number: int, row: np.ndarray) -> int:
        """See Windows."""
        shard = bisect.bisect_right(self._start_list, number) - 1
        start = (number - self._start_list[shard]) * self.sequence_length
        piece = self._shards[shard][start : start + self.sequence_length + 1]
        row[: len(piece)] = piece
        return len(piece)

    def pieces(self, numbers: np.ndarray) -> Pieces:
        """See Windows."""
        shards, inside = self._locate(numbers)
        starts = inside * self.sequence_length + 1
        ends = starts + self.lengths(numbers) - 1
        return np.arange(len(numbers)), shards, np.stack([starts, ends], axis=1)


class BestFit:
    """Rows of whole documents; their layouts are kept in files, memory-mapped.

    Args:
        shards: 1-D arrays of token ids.
        layouts: pieces and row starts of some shards each, as `best_fit.lay_out` gives them.
        separator: stands before a shard's first document, as before all others.
    """

    def __init__(
        self,
        shards: Sequence[np.ndarray],
        layouts: Sequence[tuple[np.ndarray, np.ndarray]],
        sequence_length: int,
        separator: int,
    ) -> None:
        self.sequence_length, self.separator = sequence_length, separator
        self._shards = [np.asarray(shard) for shard in shards]
        self._layouts = [(np.asarray(pieces), np.asarray(starts)) for pieces, starts in layouts]
        self._starts = np.cumsum([0, *(len(starts) - 1 for _, starts in layouts)])
        self._start_list = self._starts.tolist()
        self.num_windows = int(self._starts[-1])

    def pieces(self, numbers: np.ndarray) -> Pieces:
        """See Windows."""
        layouts = np.searchsorted(self._starts, numbers, side="right") - 1
        inside = numbers - self._starts[layouts]
        nothing = np.empty(0, dtype=np.int64)
        found = [(nothing, nothing, np.empty((0, 2), dtype=np.int64))]
        for layout in np.unique(layouts).tolist():
            members = np.flatnonzero(layouts == layout)
            pieces, starts = self._layouts[layout]
            first, stop = (starts[inside[members] + more].astype(np.int64) for more in (0, 1))
            rows = np.repeat(members, stop - first)
            indices = np.arange(len(rows)) + np.repeat(
                first - np.cumsum(stop - first) + (stop - first), stop - first
            )
            own = pieces[indices]
            begin = own["start"].astype(np.int64)
            ends = begin + own["length"].astype(np.int64)
            found.append((rows, own["shard"].astype(np.int64), np.stack([begin, ends], axis=1)))
        rows, shard_of, spans = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(rows, kind="stable")
        return rows[order], shard_of[order], spans[order]

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """See Windows."""
        rows, _, spans = self.pieces(numbers)
        return 1 + np.bincount(rows, spans[:, 1] - spans[:, 0], len(numbers)).astype(np.int64)

    def read(self, number: int, row: np.ndarray) -> int:
        """See Windows."""
        index = bisect.bisect_right(self._start_list, number) - 1
        pieces, starts = self._layouts[index]
        inside, length = number - self._start_list[index], 0
        for shard, start, size in pieces[int(starts[inside]) : int(starts[inside + 1])].tolist():
            tokens = self._shards[shard]
            if not length:
                row[0] = tokens[start - 1] if start else self.separator
                length = 1
            row[length : length + size] = tokens[start : start + size]
            length += size
        return length
