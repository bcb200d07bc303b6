"""What all ranks have to know of a step: its loss, and whether any of them wants to stop or to save."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.distributed as dist


class StepTotals:
    """The loss and more [n], summed over ranks, and flags that are set where they are set on any rank.

    Making one is a collective call and waits for no GPU. The host waits when it first reads one; by then it
    has read the gradient norm, which is computed later, so there is nothing left to wait for.
    """

    def __init__(self, sums: torch.Tensor, *flags: bool) -> None:
        self._size = len(sums)
        self._sums = sums.new_zeros(self._size + len(flags))
        self._sums[: self._size] = sums
        for index, flag in enumerate(flags, self._size):
            if flag:
                self._sums[index] = 1
        dist.all_reduce(self._sums)

    def __float__(self) -> float:
        return self._read[0]

    @property
    def means(self) -> list[float]:
        """What came with the loss."""
        return self._read[1 : self._size]

    @property
    def flags(self) -> tuple[bool, ...]:
        """In the order in which they were given."""
        return tuple(count > 0 for count in self._read[self._size :])

    @cached_property
    def _read(self) -> list[float]:
        values: list[float] = self._sums.tolist()
        return values
