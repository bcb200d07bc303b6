"""What a task and a family of tasks are, and how the two splits are kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, TypeVar

SPLITS = ("train", "test")
DIFFICULTIES = (1, 2, 3)
TEST_RESIDUES = (2, 5)
"""Numbers with one of these remainders modulo 7 are test parameters; every fourth word of a list is one."""
MODULUS = 7

Item = TypeVar("Item")


@dataclass(frozen=True)
class Task:
    """One question."""

    family: str
    difficulty: int
    split: str
    prompt: str
    answer: str
    """A full answer as an assistant would write it; its checker accepts it."""
    parameters: dict[str, Any]
    """What the checker needs, as JSON."""
    key: str
    """The parameters that set the splits apart: no key occurs in both."""

    @property
    def id(self) -> str:
        """16 hex digits of the sha256 of family and prompt."""
        return hashlib.sha256(f"{self.family}\n{self.prompt}".encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A JSON object, which `from_json` reads."""
        return {"id": self.id, **asdict(self)}

    @staticmethod
    def from_json(row: dict[str, Any]) -> Task:
        """The task of a row of tasks.jsonl."""
        return Task(**{name: value for name, value in row.items() if name != "id"})


@dataclass(frozen=True)
class Result:
    """A checker's verdict."""

    score: int
    """1 or 0."""
    reason: str = ""
    """Why 0, for people."""


RIGHT = Result(1)


def wrong(reason: str) -> Result:
    """A score of 0."""
    return Result(0, reason)


@dataclass(frozen=True)
class Family:
    """Tasks of one kind."""

    name: str
    about: str
    """One line for the list."""
    apart: str
    """What differs between the splits."""
    make: Callable[[Random, int, str], Task]
    """(generator, difficulty, split) to a task."""
    check: Callable[[Task, str], Result]
    """An answer in Normalization Form C that is not blank and does not hold the prompt; see grade.py."""
    mistake: Callable[[Random, Task], str]
    """A plausible wrong answer, for preference pairs; `check` gives it 0."""


def in_split(value: int, split: str) -> bool:
    """Whether a number is a parameter of the split."""
    return (value % MODULUS in TEST_RESIDUES) == (split == "test")


def number_in(generator: Random, low: int, high: int, split: str) -> int:
    """A whole number from low to high with a remainder of the split. The range must hold 7 numbers."""
    while True:
        value = generator.randint(low, high)
        if in_split(value, split):
            return value


def part_of(words: Sequence[Item], split: str) -> list[Item]:
    """Every fourth of a list for the test, the others for training."""
    return [word for index, word in enumerate(words) if (index % 4 == 3) == (split == "test")]
