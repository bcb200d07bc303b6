"""Which texts take part in a step, and with which of their tokens.

Every text in progress writes a token in each step. Beside them prompts are read, a limited number of tokens
a step, so that a long prompt delays nobody else for long (Agrawal et al., Sarathi-Serve, arXiv 2403.02310).
A request gets all of the blocks that it can ever need when it begins, or waits: nothing in progress can run
out of them. Requests begin in their order, except that one which begins like a prompt that is being read
waits for it, to share its blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from onnuri.generate.blocks import BLOCK, NOWHERE, ROOT, Blocks, blocks_of
from onnuri.generate.sampling import Adjustment, PromptLogprob, Request

LOOK_AHEAD = 64
"""Waiting requests that are looked at in a step."""


@dataclass(eq=False)
class Text:
    """A request that waits or is in progress."""

    number: int
    request: Request
    last: int
    """Tokens with which it ends, the prompt's included."""
    adjustment: Adjustment | None
    ids: list[int] = field(init=False)
    """Of the prompt, and what came of it."""
    slot: int = -1
    """Row of the table of blocks."""
    blocks: list[int] = field(default_factory=list)
    read: int = 0
    """Tokens whose keys and values are in the cache."""
    cached: int = 0
    """Tokens that were there when it began."""
    chain: int = ROOT
    """Names the known blocks of its beginning, `known` of them."""
    known: int = 0
    scores: list[PromptLogprob] = field(default_factory=list)
    """Of the prompt, if the request asks for them."""

    def __post_init__(self) -> None:
        self.ids = [*self.request.ids]

    @property
    def reading(self) -> bool:
        """Whether a part of its prompt is not read yet."""
        return self.read < len(self.request.ids)

    @property
    def following(self) -> tuple[int, tuple[int, ...]]:
        """What names the first block that is not known yet."""
        start = self.known * BLOCK
        return self.chain, tuple(self.ids[start : start + BLOCK])


class Segment(NamedTuple):
    """Tokens of a text in a step."""

    text: Text
    start: int
    """Position of the first."""
    size: int

    @property
    def ids(self) -> list[int]:
        """The tokens."""
        return self.text.ids[self.start : self.start + self.size]

    @property
    def last(self) -> bool:
        """Whether the next token of the text follows."""
        return self.start + self.size == len(self.text.ids)


class Scheduler:
    """Texts in progress and waiting ones.

    Args:
        slots: most texts in progress at a time.
        blocks: of the cache.
        prompt_tokens: most tokens of prompts in a step.
        reuse: whether texts share blocks.
    """

    def __init__(self, slots: int, blocks: Blocks, prompt_tokens: int, reuse: bool) -> None:
        self.blocks, self.prompt_tokens, self.reuse = blocks, prompt_tokens, reuse
        self.waiting: deque[Text] = deque()
        self.texts: list[Text] = []
        """In progress, in the order in which they began."""
        self._slots = [*range(slots)][::-1]

    def step(self) -> list[Segment]:
        """What the next step computes: a token of each text that writes, then parts of prompts."""
        self._begin()
        segments = [Segment(text, text.read, 1) for text in self.texts if not text.reading]
        left = self.prompt_tokens
        for text in self.texts:
            if text.reading and left > 0:
                count = min(len(text.ids) - text.read, left)
                segments.append(Segment(text, text.read, count))
                left -= count
        return segments

    def _begin(self) -> None:
        """Let waiting requests begin while there are slots and blocks."""
        while self._slots and (text := self._next()) is not None:
            self.waiting.remove(text)
            text.slot = self._slots.pop()
            self.texts.append(text)

    def _next(self) -> Text | None:
        """The first request that needs not wait for a prompt that is being read, with its blocks."""
        being_read = {text.following for text in self.texts if text.reading} if self.reuse else set()
        for text in islice(self.waiting, LOOK_AHEAD):
            shared: list[int] = []
            if self.reuse and not text.request.prompt_logprobs:
                found = self.blocks.find(text.ids)
                if found.following in being_read and len(found.following[1]) == BLOCK:
                    continue
                shared, text.chain = found.blocks, found.end
            blocks = self.blocks.take(shared, blocks_of(text.last) - len(shared))
            if blocks is None:
                return None
            text.blocks, text.known = blocks, len(shared)
            text.read = text.cached = len(shared) * BLOCK
            return text
        return None

    def computed(self, segments: Iterable[Segment]) -> None:
        """The keys and values of what a step computed are in the cache."""
        for text, start, size in segments:
            text.read = start + size
            while self.reuse and (text.known + 1) * BLOCK <= text.read:
                chain, tokens = text.following
                text.chain = self.blocks.learn(chain, tokens, text.blocks[text.known])
                text.known += 1

    def end(self, texts: Iterable[Text]) -> None:
        """Give back what texts in progress have."""
        for text in texts:
            self.texts.remove(text)
            self._slots.append(text.slot)
            self.blocks.leave(text.blocks)

    def cancel(self, number: int) -> None:
        """Drop a request, waiting or in progress."""
        self.waiting = deque(text for text in self.waiting if text.number != number)
        self.end([text for text in self.texts if text.number == number])

    def clear(self) -> None:
        """Drop all of them."""
        self.waiting.clear()
        self.end([*self.texts])

    def forget(self) -> None:
        """Share nothing of what was computed so far."""
        self.blocks.forget()
        for text in self.texts:
            text.chain = NOWHERE
