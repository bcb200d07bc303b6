"""Which blocks of the cache hold which tokens: shared between texts that begin alike, reused, given back.

A full block is known by the blocks before it and by its own tokens, compared one by one, so no text ever
gets the keys and values of another beginning. Blocks that no text uses any more stay known until their room
is needed; the one that was left longest ago goes first (Zheng et al., SGLang, arXiv 2312.07104).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BLOCK = 16
"""Tokens of a block."""
ROOT = 0
"""What comes before the first block of a text."""
NOWHERE = -1
"""End of a chain that gets no more blocks."""


def blocks_of(tokens: int) -> int:
    """Blocks that so many tokens take."""
    return -(-tokens // BLOCK)


class Prefix(NamedTuple):
    """Blocks that hold the beginning of a text."""

    blocks: list[int]
    end: int
    """Names the chain up to the last of them."""
    following: tuple[int, tuple[int, ...]]
    """What names the block after them."""


class _Known(NamedTuple):
    block: int
    name: int


class Blocks:
    """`count` blocks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = [*range(count)][::-1]
        self._users = [0] * count
        self._known: dict[tuple[int, tuple[int, ...]], _Known] = {}
        self._keys: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._unused: dict[int, None] = {}
        """Known blocks without a user, those left first in front."""
        self._names = ROOT

    @property
    def available(self) -> int:
        """Blocks that no text uses."""
        return len(self._free) + len(self._unused)

    def find(self, ids: Sequence[int]) -> Prefix:
        """Known blocks of the beginning of `ids`, at least the last id left out: its logits are wanted."""
        found: list[int] = []
        end = ROOT
        while True:
            start = len(found) * BLOCK
            key = (end, tuple(ids[start : start + BLOCK]))
            known = self._known.get(key) if start + BLOCK < len(ids) else None
            if known is None:
                return Prefix(found, end, key)
            found.append(known.block)
            end = known.name

    def take(self, shared: list[int], more: int) -> list[int] | None:
        """`shared`, known ones, and `more` others for a text; None if there are not so many."""
        if more > self.available - sum(block in self._unused for block in shared):
            return None
        for block in shared:
            self._unused.pop(block, None)
            self._users[block] += 1
        return shared + [self._fresh() for _ in range(more)]

    def _fresh(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block = next(iter(self._unused))
            del self._unused[block]
            del self._known[self._keys.pop(block)]
        self._users[block] = 1
        return block

    def leave(self, blocks: list[int]) -> None:
        """A text ends. Its last blocks are forgotten before its first, which others may begin with."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                if block in self._keys:
                    self._unused[block] = None
                else:
                    self._free.append(block)

    def learn(self, end: int, tokens: Sequence[int], block: int) -> int:
        """`block` holds `tokens`, which follow the chain `end`. Returns the longer chain's name.

        Where the same is known already, of another block, that stays.
        """
        if end == NOWHERE:
            return NOWHERE
        key = (end, tuple(tokens))
        if key not in self._known:
            self._names += 1
            self._known[key] = _Known(block, self._names)
            self._keys[block] = key
        return self._known[key].name

    def forget(self) -> None:
        """Nothing is known any more, as when the weights have changed."""
        self._known.clear()
        self._keys.clear()
        self._free += self._unused
        self._unused.clear()
