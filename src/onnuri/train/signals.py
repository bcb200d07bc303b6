"""Signals that ask a run to save and stop."""

from __future__ import annotations

import signal
from types import FrameType


class StopRequest:
    """Remembers SIGTERM or SIGUSR1 (a scheduler's warning) or SIGINT (Ctrl-C) until the step is over, so
    that the ranks can stop together."""

    def __init__(self) -> None:
        self.received = False
        """On this rank."""
        self.agreed = False
        """On some rank, as all of them know since the last step."""
        self.status = 128 + signal.SIGTERM
        """Exit status: 143, or 128 and the number of the signal that this rank got."""
        numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def close(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received, self.status = True, 128 + number
