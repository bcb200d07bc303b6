"""Preference pairs: rows of whole pairs, the chosen answer and then the rejected one, each a document.

A pair that does not fit a window is left out, and a warning says how many are: half a pair teaches nothing.
B rows, S sequence length.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import NamedTuple

import numpy as np

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX, Batch
from onnuri.tokens.best_fit import lay_out
from onnuri.tokens.loader import Loader
from onnuri.tokens.windows import BestFit, Windows


class PairBatch(NamedTuple):
    """Rows of one micro-batch."""

    batch: Batch
    answers: np.ndarray
    """int64 [B, S]: 2i where the chosen answer of the i-th pair of these rows is predicted, 2i + 1 where
    its rejected one is, -1 elsewhere."""
    pairs: np.ndarray
    """int64 [pairs]: number of each pair in the shards."""
    reference: np.ndarray
    """float32 [pairs, 2]: log-probabilities of both answers under the reference; zeros without one."""


class PairLoader(Loader):
    """Batches of pairs; see Loader. What the loss is a mean over are pairs."""

    left_out = 0
    """Pairs longer than a window."""
    reference: np.ndarray | None = None
    """float32 [all pairs, 2]: log-probabilities of the answers under the reference."""
    held_out: HeldOutPairs | None = None
    """Pairs that are not trained on, with a reference of their own."""

    def _windows(self, group: int, members: list[int]) -> Windows:
        length, tables, longest = self.config.sequence_length, [], 0
        for shard in members:
            if not self._trained[shard]:
                name = self.source_names[self.shards.sources[shard]]
                raise UserError(
                    f"the source {name!r} of data={self.config.path} holds text, not pairs; name those of "
                    "pairs in data.mixture"
                )
            pairs = self._pairs(shard)
            fits = pairs["length"] <= length
            self.left_out += int(np.count_nonzero(~fits))
            longest = max([longest, *pairs["length"].tolist()])
            tables.append(pairs[fits])
        if longest and not self.may_be_empty and not any(map(len, tables)):
            raise UserError(f"no pair fits data.sequence_length={length}; the longest has {longest} tokens")
        layouts = [lay_out(tables, length)] if tables else []
        return BestFit([self.shards.shards[i] for i in members], layouts, length, self.separator)

    def _pairs(self, shard: int) -> np.ndarray:
        """DOCUMENT rows of pairs: two documents of a shard as one."""
        documents = self._documents(shard)
        if len(documents) % 2:
            raise UserError(f"{self.shards.document_files[shard]} is damaged: an answer has no other one")
        pairs = np.array(documents[::2])
        pairs["length"] += documents[1::2]["length"]
        return pairs

    @cached_property
    def _first_pairs(self) -> list[int]:
        """Pairs before each shard, and of all shards; those that are left out count too, text does not."""
        counts = [len(self._documents(i)) // 2 if each else 0 for i, each in enumerate(self._trained)]
        return [0, *itertools.accumulate(counts)]

    @property
    def num_pairs(self) -> int:
        """Pairs in the shards, those that are left out too."""
        return self._first_pairs[-1]

    def _num_targets(self, group: int, windows: np.ndarray) -> np.ndarray:
        rows, _, _ = self.groups[group].pieces(windows)
        return np.bincount(rows, minlength=len(windows))

    def micro_batch(  # type: ignore[override]
        self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int
    ) -> PairBatch:
        """See BatchSource."""
        numbers = self.row_numbers(step, micro, rank, world_size, micro_batch_size)
        groups, windows = (each[numbers.start : numbers.stop] for each in self.window_numbers(step))
        return self.pairs_of(groups, windows, micro_batch_size)

    def pairs_of(self, groups: np.ndarray, windows: np.ndarray, size: int) -> PairBatch:
        """Windows as a batch of `size` rows, as `window_rows`, and where their answers are."""
        batch = self.window_rows(groups, windows, size)
        answers = np.full(batch.tokens.shape, -1, dtype=np.int64)
        numbers: list[int] = []
        filled = np.zeros(size, dtype=np.int64)
        for group in np.unique(groups).tolist():
            own = np.flatnonzero(groups == group)
            rows, shards, spans = self.groups[group].pieces(windows[own])
            for row, shard, (begin, end) in zip(own[rows].tolist(), shards.tolist(), spans, strict=True):
                member = self._members[group][shard]
                documents = self._documents(member)
                first = int(np.searchsorted(documents["offset"], begin))
                place, middle = int(filled[row]), int(documents[first]["length"])
                filled[row] += end - begin
                answers[row, place : place + middle] = 2 * len(numbers)
                answers[row, place + middle : filled[row]] = 2 * len(numbers) + 1
                numbers.append(self._first_pairs[member] + first // 2)
        answers[batch.targets == IGNORE_INDEX] = -1
        pairs = np.array(numbers, dtype=np.int64)
        known = np.zeros((len(pairs), 2), np.float32) if self.reference is None else self.reference[pairs]
        return PairBatch(batch, answers, pairs, known)

    def _cut_conversations(self) -> tuple[int, int]:
        """None: pairs are left out instead."""
        return 0, 0

    def warnings(self, first_step: int) -> list[str]:
        """See BatchSource."""
        found = super().warnings(first_step)
        if self.left_out:
            found.append(
                f"{self.left_out} of {self.num_pairs} pairs are longer than data.sequence_length="
                f"{self.config.sequence_length} and are left out"
            )
        return found


class HeldOutPairs(PairLoader):
    """Pairs that are not trained on; there may be none."""

    split = "heldout"
    may_be_empty = True

    def _shards_of(self, name: str) -> list[int]:
        return [shard for shard in super()._shards_of(name) if self._trained[shard]]
