"""Training batches as a pure function of (shards, seed, step).

Step t reads windows t x B to t x B + B - 1 of a shuffled order that is reshuffled every epoch. The order
knows nothing of ranks: a rank takes its rows out of the same global batch on any number of machines, and
seeking to a step costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnuri.errors import UserError
from onnuri.tokens.order import permute
from onnuri.tokens.shards import TokenShards


class Loader:
    """Windows of `sequence_length` + 1 tokens at stride `sequence_length` over a stream of shards."""

    def __init__(
        self, shards: TokenShards, sequence_length: int, global_batch: int, seed: int, fingerprint: str
    ) -> None:
        self.shards, self.sequence_length, self.global_batch = shards, sequence_length, global_batch
        self.seed, self.fingerprint = seed, fingerprint
        self.num_windows = (shards.num_tokens - 1) // sequence_length
        if self.num_windows < 1:
            raise UserError(
                f"the shards hold {shards.num_tokens} tokens, fewer than one window of "
                f"{sequence_length + 1}; lower data.sequence_length or pack more text"
            )

    def window_numbers(self, step: int, rows: np.ndarray) -> np.ndarray:
        """Which windows stand in the given rows of the global batch of `step` (0-based)."""
        places = step * self.global_batch + np.asarray(rows, dtype=np.int64)
        epochs, inside = np.divmod(places, self.num_windows)
        numbers = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            key = (self.seed << 64) | int(epoch)
            numbers[chosen] = permute(inside[chosen], self.num_windows, key)
        return numbers

    def rows(self, step: int, rows: np.ndarray) -> np.ndarray:
        """Some rows of the global batch of `step`: int64 [len(rows), sequence_length + 1]."""
        length = self.sequence_length
        windows = [self.shards.read(int(n) * length, length + 1) for n in self.window_numbers(step, rows)]
        return np.stack(windows).astype(np.int64)

    def batch(self, step: int) -> np.ndarray:
        """The whole global batch of `step`: int64 [global_batch, sequence_length + 1]."""
        return self.rows(step, np.arange(self.global_batch))

    def micro_batch(
        self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int
    ) -> np.ndarray:
        """The rows of `rank` in micro-step `micro`: int64 [micro_batch_size, sequence_length + 1]."""
        start = (micro * world_size + rank) * micro_batch_size
        return self.rows(step, np.arange(start, start + micro_batch_size))

    def state(self, step: int) -> dict[str, Any]:
        """Everything needed to go on after `step` steps; holds no rank and no world size."""
        return {
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "step": step,
            "sequence_length": self.sequence_length,
            "global_batch": self.global_batch,
        }

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise UserError naming what differs between a saved state and this loader."""
        for name, now in self.state(state["step"]).items():
            if state.get(name) != now:
                raise UserError(
                    f"the checkpoint's data order has {name}={state.get(name)}, now it is {now}"
                )
