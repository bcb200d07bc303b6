"""What a training loop needs of its data."""

from __future__ import annotations

from typing import Any, Protocol


class BatchSource(Protocol):
    """Global batches by step, counted from 0: the same whatever the ranks and the micro-batch."""

    unique_tokens: dict[str, int]
    """Tokens of one epoch, by the names that `epochs` has."""

    def num_targets(self, step: int) -> int:
        """What the loss of the global batch is a mean over: tokens that are predicted, or pairs."""

    def num_tokens(self, step: int) -> int:
        """Tokens of the global batch that go through the model."""

    def num_rows(self, step: int) -> int:
        """Rows of the global batch."""

    def row_numbers(
        self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int
    ) -> range:
        """Indices in the global batch of the rows of `micro_batch`."""

    def micro_batch(self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int) -> Any:
        """The rows of one data-parallel rank in one micro-step, for `Objective.to_inputs`; empty where the
        global batch has ended."""

    def document_ids(self, step: int) -> list[str]:
        """Documents whose tokens count in the global batch."""

    def epochs(self, step: int) -> dict[str, float]:
        """Epochs of each source of the mixture in the steps before this one; "": all data is one pool."""

    def targets_by_source(self, step: int, since: int = 0) -> dict[str, int]:
        """Tokens predicted in the steps from `since` to the one before `step`, by name of the source."""

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint after `step` steps keeps; holds no rank and no world size."""

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise UserError naming what differs between a checkpoint's state and this source."""

    def warnings(self, first_step: int) -> list[str]:
        """What is allowed and hardly meant, in one line each, for a run that resumes after `first_step`."""
