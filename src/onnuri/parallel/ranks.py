"""The ranks of a run and the groups that they form.

Data parallelism is the outer axis: `sp_size` consecutive ranks share one micro-batch and split its
sequences, and `ep_size` consecutive data-parallel ranks split the experts of a mixture-of-experts layer.
The batch, the scale of the loss and validation follow the data-parallel rank; checkpoints follow the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnuri.base.errors import UserError
from onnuri.base.process import ProcessRank

if TYPE_CHECKING:
    import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """This process on every axis. Any split that does not fit the world is a UserError."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Among the ranks on this machine."""
    local_world_size: int = 1
    sp_size: int = 1
    """Ranks that share a micro-batch and split its sequences."""
    ep_size: int = 1
    """Data-parallel ranks that split the experts between them."""

    def __post_init__(self) -> None:
        if self.sp_size < 1 or self.world_size % self.sp_size:
            raise UserError(f"sp_size={self.sp_size} does not divide {self.world_size} ranks")
        if self.ep_size < 1 or self.dp_size % self.ep_size:
            raise UserError(f"ep_size={self.ep_size} does not divide {self.dp_size} data-parallel ranks")

    @classmethod
    def of_process(cls, process: ProcessRank) -> Ranks:
        """The ranks as a launcher has set them up, all of them data-parallel."""
        return cls(process.rank, process.world_size, process.local_rank, process.local_world_size)

    @property
    def is_lead(self) -> bool:
        """True on rank 0, which alone writes the run directory's records."""
        return self.rank == 0

    @property
    def dp_rank(self) -> int:
        """Which share of the batch this rank computes."""
        return self.rank // self.sp_size

    @property
    def dp_size(self) -> int:
        """Number of shares."""
        return self.world_size // self.sp_size

    @property
    def sp_rank(self) -> int:
        """Which part of each sequence this rank holds."""
        return self.rank % self.sp_size

    @property
    def ep_rank(self) -> int:
        """Which of the experts this rank holds."""
        return self.dp_rank % self.ep_size

    def groups(self) -> Groups:
        """Form the process groups of the axes that are split. A collective call of all ranks."""
        dp, sp, ep = self.members()
        return Groups(*(_group_of(self.rank, lists, self.world_size) for lists in (dp, sp, ep)))

    def members(self) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        """The world's ranks by data-parallel, sequence and expert group."""
        columns = [list(range(first, self.world_size, self.sp_size)) for first in range(self.sp_size)]
        rows = [list(row) for row in zip(*columns, strict=True)]
        starts = range(0, self.dp_size, self.ep_size)
        experts = [column[start : start + self.ep_size] for column in columns for start in starts]
        return columns, rows, experts


@dataclass(frozen=True)
class Groups:
    """The process group of each axis. None: all ranks, or where an axis is not split, this rank alone."""

    dp: dist.ProcessGroup | None
    sp: dist.ProcessGroup | None
    ep: dist.ProcessGroup | None


def _group_of(rank: int, lists: list[list[int]], world_size: int) -> dist.ProcessGroup | None:
    import torch.distributed as dist

    if len(lists[0]) in (1, world_size):
        return None
    made = {tuple(members): dist.new_group(members) for members in lists}
    return next(group for members, group in made.items() if rank in members)
