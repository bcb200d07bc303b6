"""Options of the command tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice, check_most
from onnuri.config.paths import path_option

KINDS = ("tasks", "sft", "pairs")


@dataclass
class MakeConfig:
    """Which tasks, and as what."""

    output: str = path_option()
    """Folder to write: tasks.jsonl, sft.jsonl or pairs.jsonl, and manifest.json."""
    families: list[str] = field(default_factory=list)
    """Families, as `onnuri tasks list` names them; empty: all."""
    kind: str = "tasks"
    """tasks: prompts with what their checkers need; sft: conversations with a right answer; pairs: a right
    and a wrong answer to each prompt."""
    count: int = 100
    """Tasks of each family, no prompt twice. A smaller count is the beginning of a larger one."""
    split: str = "train"
    """train or test: no parameter of one is in the other (docs/tasks.md)."""
    difficulty: int = 0
    """1 easy to 3 hard; 0: the three interleaved."""
    seed: int = 1
    """Another seed draws other tasks of the same split."""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("split", self.split, ("train", "test"))
        if self.difficulty not in (0, 1, 2, 3):
            raise UserError(f"difficulty={self.difficulty} must be 1, 2, 3, or 0 for all three")
        if self.count < 1:
            raise UserError(f"count={self.count} must be at least 1")
        check_most("count", self.count, 1_000_000)


@dataclass
class CanariesConfig:
    """How many invented secrets, and how many others of their form to rank each among."""

    output: str = path_option()
    """Folder to write: canaries.jsonl, conversations to pack with the training data, and probes.jsonl, for
    tasks=[chat/canaries], which looks for canaries/probes.jsonl in its tasks_dir."""
    count: int = 20
    """Canaries to plant; there are as many that are not planted, as the control."""
    candidates: int = 127
    """Numbers that each secret is ranked among; 127 measure up to 7 bits."""
    seed: int = 1
    """Another seed makes other people and numbers."""

    def __post_init__(self) -> None:
        for name, most in (("count", 10_000), ("candidates", 4095)):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} must be at least 1")
            check_most(name, getattr(self, name), most)


@dataclass
class ListConfig:
    """Which families to list."""

    families: list[str] = field(default_factory=list)
    """Names; empty: all."""
    difficulty: int = 1
    """Of the example: 1 easy to 3 hard."""

    def __post_init__(self) -> None:
        if self.difficulty not in (1, 2, 3):
            raise UserError(f"difficulty={self.difficulty} must be 1, 2 or 3")
