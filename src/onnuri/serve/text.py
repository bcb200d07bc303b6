"""Tokens of texts to text as it comes: whole characters, and nothing that a stop string takes away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from onnuri.generate.events import Event
from onnuri.generate.sampling import Request
from onnuri.serve.engine import Running
from onnuri.serve.errors import ApiError
from onnuri.serve.grammar import Following
from onnuri.serve.held import Held
from onnuri.serve.models import ServedModel


class Delta(NamedTuple):
    """What a token adds to a text."""

    text: str
    event: Event
    offset: int
    """Characters of the text before the token, stop strings included."""
    ended: str
    """stop, length, or "" while it goes on."""

    @property
    def is_token(self) -> bool:
        """False for what only reports a prompt."""
        return self.event.token >= 0


class _Text:
    """One text."""

    def __init__(self, model: ServedModel, stops: frozenset[int], marks: Sequence[str]) -> None:
        self.utf8, self.stops, self.held = model.utf8.another(), stops, Held(marks)
        self.characters = 0

    def push(self, event: Event) -> Delta:
        """A character that is still incomplete when the text ends is left out."""
        offset, ended = self.characters, str(event.ended)
        stopped = event.token < 0 or (event.ended == "stop" and event.token in self.stops)
        piece = "" if stopped else self.utf8.push(event.token)
        self.characters += len(piece)
        text, mark, _ = self.held.push(piece)
        if mark:
            ended = "stop"
        elif ended:
            text += self.held.finish()
        return Delta(text, event, offset, ended)


async def deltas(
    running: Running, requests: Sequence[Request], marks: Sequence[str] = ()
) -> AsyncIterator[tuple[int, Delta]]:
    """(index of the request, what came), until all have ended.

    Raises ApiError if the model fails, or a grammar grows too complex.
    """
    texts = [_Text(running.engine.model, request.stops, marks) for request in requests]
    async for index, event in running:
        delta = texts[index].push(event)
        if delta.ended:
            running.stop(index)
            check_grammar(requests[index])
        yield index, delta


def check_grammar(request: Request) -> None:
    """Raise ApiError if the text ended because its grammar gave up."""
    constraint = request.constraint
    if isinstance(constraint, Following) and constraint.failed:
        raise ApiError(400, f"the grammar is too complex: {constraint.failed}", None, "grammar_too_complex")
