"""`onnuri tune` whose ranks all end with SIGKILL at one place.

Run as killed_tuning.py OVERRIDE... with KILL_AT in the environment: `reference`, once the log-probabilities
of the first weights are on disk, or the number of a micro-batch, counted from the start of the process.
"""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace
from typing import Any, NoReturn

from onnuri.cli.tune import main
from onnuri.train.objectives import OBJECTIVES, dpo

AT = os.environ["KILL_AT"]


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def arm(name: str) -> None:
    """Put the end into the objective's loss."""
    objective, calls = OBJECTIVES[name], itertools.count(1)

    def loss_sum(*given: Any) -> Any:
        return die() if next(calls) == int(AT) else objective.loss_sum(*given)

    OBJECTIVES[name] = replace(objective, loss_sum=loss_sum)


if __name__ == "__main__":
    if AT == "reference":
        dpo.load_array = die  # type: ignore[assignment]
    else:
        for each in ("sft", "dpo"):
            arm(each)
    main()
