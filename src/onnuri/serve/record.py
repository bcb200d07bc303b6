"""What is counted and kept of a request while it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnuri.serve.exchange import Exchange
from onnuri.serve.keys import Key
from onnuri.serve.work import Tally

if TYPE_CHECKING:
    from onnuri.serve.service import Service


class Record:
    """Opened before anything is written, closed once, before the end of the answer is sent.

    Args:
        said: (role, text) of what was asked, for a log that masks it.
    """

    def __init__(
        self,
        service: Service,
        exchange: Exchange,
        key: Key | None,
        model: str,
        said: Sequence[tuple[str, str]],
        tally: Tally,
    ) -> None:
        self.service, self.exchange, self.key, self.said, self.tally = service, exchange, key, said, tally
        self.facts = {"request": exchange.id, "key": key.id if key else "", "model": model}
        self.closed = False

    def open(self, route: str) -> None:
        """Raises ApiError if the audit cannot be written."""
        self.service.note(
            "request", {**self.facts, "route": route, "prompt_tokens": self.tally.prompt_tokens}
        )

    def close(self, complete: bool) -> None:
        """`complete`: every text came to its end."""
        if not self.closed:
            self.closed = True
            self.service.finish(self, complete)
