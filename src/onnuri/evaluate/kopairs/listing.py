"""Word lists are written as running text."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The words of a list written as one text."""
    return text.split()
