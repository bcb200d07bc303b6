"""`${now:...}`, the same on every rank and again after an elastic restart.

Hydra resolves it on each rank by itself, at instants that differ (issue 2070): two ranks would train into
two folders. Here the first rank that asks writes the time into the store of torchrun, and all read it.
"""

from __future__ import annotations

import functools
import os
from datetime import datetime, timedelta
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.process import from_environment

KEY = "onnuri/start_time"


def now(pattern: str) -> str:
    """The start of this command, or of all ranks together, as `strftime` writes it."""
    return start_time().strftime(pattern)


@functools.cache
def start_time() -> datetime:
    """When this command started, as all ranks agree, also after a restart by torchrun.

    Raises UserError where they have no store for it.
    """
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if from_environment().world_size == 1 and restarts == "0":
        return datetime.now()
    return datetime.fromisoformat(agent_store().compare_set(KEY, "", datetime.now().isoformat()).decode())


def agent_store() -> Any:
    """The key-value store that torchrun keeps for its ranks, also between restarts."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise UserError(
            "ranks agree on ${now:...} and on the jobs of a sweep through torchrun's store, and there is "
            "none: give run_dir=, or start them with torchrun, without TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
        )
    from torch.distributed import TCPStore

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=False, timeout=timedelta(seconds=60))
