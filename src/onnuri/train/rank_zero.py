"""What rank 0 does alone, and how the others learn that it went wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from onnuri.base.errors import UserError
from onnuri.parallel.process_group import broadcast_from_rank_zero
from onnuri.train.run_plan import RunPlan


@contextlib.contextmanager
def on_rank_zero(plan: RunPlan) -> Iterator[bool]:
    """Around what rank 0 does alone, where this is True: what goes wrong there ends all ranks alike.

    A collective call. Raises UserError.
    """
    problem = ""
    try:
        yield plan.ranks.is_lead
    except OSError as error:
        problem = f"cannot write to run_dir={plan.config.run_dir}: {error.strerror or error}"
        problem += f" ({error.filename})" if error.filename else ""
    except UserError as error:
        problem = str(error)
    problem = broadcast_from_rank_zero(problem)
    if problem:
        raise UserError(problem)
