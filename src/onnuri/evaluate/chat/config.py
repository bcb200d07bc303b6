"""Options of the chat tasks of `onnuri evaluate`. Light to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_most


@dataclass
class ChatConfig:
    """What a chat model is asked, for tasks=[chat] and tasks=[chat/FAMILY]."""

    families: list[str] = field(default_factory=list)
    """Families of tasks=[chat], as `onnuri tasks list` names them; empty: all."""
    count: int = 40
    """Tasks of each family, from its test split; a smaller count is the beginning of a larger one."""
    difficulty: int = 0
    """1 easy to 3 hard; 0: the three interleaved."""
    max_tokens: int = 256
    """Tokens after which an answer is cut off, and so wrong."""

    def __post_init__(self) -> None:
        if self.difficulty not in (0, 1, 2, 3):
            raise UserError(f"chat.difficulty={self.difficulty} must be 1, 2, 3, or 0 for all three")
        for name in ("count", "max_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"chat.{name}={getattr(self, name)} must be at least 1")
            check_most(f"chat.{name}", getattr(self, name), 1_000_000)
