"""What a stage is, and what it is given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Result = dict[str, Any]
"""One line of the results file. `stage` names the stage; lines of the runner itself have an `event`."""


@dataclass(frozen=True)
class Stage:
    """A measurement that runs in a process of its own."""

    name: str
    kind: str
    """Stages of one kind are selected together."""
    run: str
    """"module:function" of a function (Settings, **options) -> iterator of results."""
    seconds: float
    """Limit: the whole process group is killed at it. What was yielded before is in the file."""
    call: str = "A"
    options: dict[str, Any] = field(default_factory=dict)
    beside: str = ""
    """Runs at the same time as the stage of this name, if that is the next: neither times anything."""

    @property
    def least_seconds(self) -> float:
        """With less of the budget left it is skipped: half of it would tell nothing."""
        return self.seconds / 2


@dataclass(frozen=True)
class Settings:
    """What the runner gives a stage."""

    device: str
    """cuda, or cpu in a rehearsal."""
    rehearse: bool
    cases: int
    data: str
    """Folder of token shards."""
    work: str
    """Scratch folder of this stage, removed after it."""
    deadline: float
    """`time.monotonic()` at which the stage is killed."""

    def seconds_left(self) -> float:
        """Until the kill."""
        return self.deadline - time.monotonic()


def not_run(what: str, why: str) -> Result:
    """The result of something that cannot run here."""
    return {"event": "not run", "what": what, "why": why}


def one_line(error: Exception) -> str:
    """The kind of an error and the beginning of its text."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


Results = Iterator[Result]
