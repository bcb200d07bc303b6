"""Which tokens of a shard are predicted: in conversations the assistant's, in texts all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onnuri.base.errors import UserError
from onnuri.tokens.shards import load_array


class TrainedTokens:
    """The runs of trained tokens of one shard, ascending and apart.

    Args:
        table: file of TRAINED rows.

    Raises UserError for a table that is damaged.
    """

    def __init__(self, table: Path) -> None:
        rows = load_array(table)
        self._starts = rows["offset"].astype(np.int64)
        self._lengths = rows["length"].astype(np.int64)
        if np.any(self._starts[1:] < (self._starts + self._lengths)[:-1]):
            raise UserError(f"{table} is damaged: its runs overlap; pack again")
        self._before = np.cumsum(np.concatenate([[0], self._lengths]))
        """int64 [runs + 1]: trained tokens before each run."""

    def count(self, spans: np.ndarray) -> np.ndarray:
        """Trained tokens in each of [n, 2] first token and end: int64 [n]."""
        return np.diff(self._up_to(np.asarray(spans, dtype=np.int64)), axis=1)[:, 0]

    def _up_to(self, positions: np.ndarray) -> np.ndarray:
        runs = np.searchsorted(self._starts, positions, side="right") - 1
        own = np.clip(runs, 0, None)
        inside = np.clip(positions - self._starts[own], 0, self._lengths[own]) if len(self._starts) else 0
        return np.where(runs < 0, 0, self._before[own] + inside)

    def mask(self, start: int, end: int) -> np.ndarray:
        """Whether each token from `start` to `end` is trained: bool [end - start]."""
        first = int(np.searchsorted(self._starts + self._lengths, start, side="right"))
        stop = int(np.searchsorted(self._starts, end, side="left"))
        found = np.zeros(end - start, dtype=bool)
        for run in range(first, stop):
            begin = int(self._starts[run])
            found[max(begin, start) - start : begin + int(self._lengths[run]) - start] = True
        return found


def open_trained(document_files: Sequence[Path]) -> list[TrainedTokens | None]:
    """For each shard its trained tokens; None: all of them."""
    tables = [path.with_name(path.name.replace(".documents.", ".trained.")) for path in document_files]
    return [TrainedTokens(table) if table.is_file() else None for table in tables]
