"""Which rank this process is: one answer for everything that asks.

torchrun sets a whole set of variables. Part of the set is left over from something else (a pod, an earlier
`export`), and believing it would train on part of every batch: without the whole set the process is alone,
or the launch is refused.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from onnuri.base.errors import UserError

NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables of every rank; all launchers for PyTorch set them."""
COPIES = {"SLURM_STEP_NUM_TASKS": "srun", "OMPI_COMM_WORLD_SIZE": "mpirun", "PMI_SIZE": "mpirun"}
"""How many copies of a command a launcher has started that sets none of the above, and its name."""


@dataclass(frozen=True)
class ProcessRank:
    """This process among all processes of a run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Among the ranks on this machine."""
    local_world_size: int = 1
    launched: bool = False
    """False: the process was started alone."""


def from_environment() -> ProcessRank:
    """The rank that a launcher has given to this process; rank 0 of 1 without one.

    Raises UserError where the variables of ranks contradict each other or some are missing, and where
    another launcher has started several copies that know nothing of each other.
    """
    given = {name: value for name in NEEDED if (value := os.environ.get(name, ""))}
    rank, world_size, local_rank = (_number(name, -1) for name in NEEDED[:3])
    local_world_size = _number("LOCAL_WORLD_SIZE", 1)
    if len(given) == len(NEEDED):
        known = local_rank < local_world_size or not os.environ.get("LOCAL_WORLD_SIZE")
        if not (
            0 <= rank < world_size and local_rank >= 0 and 1 <= local_world_size <= world_size and known
        ):
            raise UserError(
                f"RANK={rank}, WORLD_SIZE={world_size}, LOCAL_RANK={local_rank} and LOCAL_WORLD_SIZE="
                f"{local_world_size} do not fit together; start with torchrun, or unset them to "
                "train on one rank"
            )
        return ProcessRank(rank, world_size, local_rank, local_world_size, launched=True)
    if (rank, world_size) not in ((-1, -1), (-1, 1), (0, 1)):
        shown = ", ".join(f"{name}={given[name]}" for name in NEEDED[:2] if name in given)
        missing = ", ".join(name for name in NEEDED if name not in given)
        raise UserError(
            f"the environment has {shown} without {missing}; start with torchrun, which sets all of them, "
            f"or unset {' and '.join(name for name in NEEDED[:2] if name in given)} to train on one rank"
        )
    for name, launcher in COPIES.items():
        if _number(name, 1) > 1:
            raise UserError(
                f"{launcher} has started {os.environ[name]} copies of this command ({name}) that know "
                f"nothing of each other; have {launcher} start one torchrun on each node instead"
            )
    return ProcessRank()


def own_rank() -> int:
    """The number of this rank; 0 also where the environment is refused, so that somebody says why."""
    with suppress(UserError):
        return from_environment().rank
    return 0


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise UserError(f"the environment has {name}={text}, which must be a whole number") from None
