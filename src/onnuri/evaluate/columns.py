"""How wide text is where every letter takes one column or two: terminals, labels of charts."""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """Columns that a text takes in a terminal: two for a wide character, none for a combining one."""
    return sum(_width(character) for character in text)


def shorten(text: str, most: int) -> str:
    """A text cut to `most` columns, with an ellipsis where something is left out."""
    if cells(text) <= most:
        return text
    kept, used = [], 1
    for character in text:
        used += _width(character)
        if used > most:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc") or "\u1160" <= character <= "\u11ff":
        return 0  # the vowels and finals of conjoining jamo stand in their initial's cell
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
