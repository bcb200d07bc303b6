"""What a route makes of a request: texts to write, and how they are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from onnuri.generate.sampling import Request
from onnuri.serve.engine import Engine
from onnuri.serve.text import Delta


@dataclass
class Tally:
    """What is counted of a request, for answers, metrics and the audit."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    texts: list[str] = field(default_factory=list)
    """What was written, for a log that masks it."""

    def add(self, index: int, delta: Delta) -> None:
        """Count a token."""
        self.completion_tokens += delta.is_token
        self.cached_tokens += delta.event.cached
        self.texts[index] += delta.text


Deltas = AsyncIterator[tuple[int, Delta]]


class Answer(Protocol):
    """How the texts of a request are answered."""

    def events(self, deltas: Deltas, tally: Tally) -> AsyncIterator[bytes]:
        """Server-sent events, without the end of the stream."""
        ...

    async def whole(self, deltas: Deltas, tally: Tally) -> dict[str, Any]:
        """All at once."""
        ...


@dataclass
class Work:
    """A request that has been checked."""

    engine: Engine
    requests: list[Request]
    marks: tuple[str, ...]
    """Stop strings."""
    answer: Answer
    stream: bool
    prompt_tokens: int
    said: list[tuple[str, str]]
    """(role, text) of what was asked, for a log that masks it."""


Plan = Callable[[dict[str, Any], str, Callable[[str], Engine]], Work]
"""From a body, the request's id and the engines by name to work; slow for long texts. Raises ApiError."""
Wait = Callable[[], Awaitable[None]]
