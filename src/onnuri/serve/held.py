"""Text that is held back while it may be the beginning of a mark."""

from __future__ import annotations

from collections.abc import Sequence


class Held:
    """Looks for the first of some marks in a text that comes in pieces."""

    def __init__(self, marks: Sequence[str]) -> None:
        self.marks = marks
        self.text = ""

    def push(self, piece: str) -> tuple[str, str, str]:
        """(text before any mark, the mark that was found or "", what follows it)."""
        text = self.text + piece
        found = [(at, -len(mark), mark) for mark in self.marks if (at := text.find(mark)) >= 0]
        if found:
            at, _, mark = min(found)
            self.text = ""
            return text[:at], mark, text[at + len(mark) :]
        keep = max((_overlap(text, mark) for mark in self.marks), default=0)
        self.text = text[len(text) - keep :]
        return text[: len(text) - keep], "", ""

    def finish(self) -> str:
        """What was held back."""
        text, self.text = self.text, ""
        return text


def _overlap(text: str, mark: str) -> int:
    """Length of the longest beginning of `mark`, short of all of it, that `text` ends with."""
    longest = min(len(mark) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(mark[:size])), 0)
