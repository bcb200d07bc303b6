"""Algorithms as parameters of tests, with the extra that they need; what is made when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

EXTRA = {"morpheme": "morpheme", "morpheme_superword": "morpheme", "unigram": "unigram"}
"""Algorithm to the extra that it needs."""


def algorithms(*names: str) -> list[Any]:
    """Parameters of a test."""
    return [
        pytest.param(name, marks=pytest.mark.extra(EXTRA[name])) if name in EXTRA else name
        for name in names
    ]


BYTE_LEVEL = algorithms("bpe", "superword", "morpheme", "morpheme_superword")
ALGORITHMS = [*BYTE_LEVEL, *algorithms("unigram")]


class Made(dict[str, Any]):
    """What is made when it is first asked for."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self.make = make

    def __missing__(self, name: str) -> Any:
        self[name] = self.make(name)
        return self[name]
