"""What JSON allows and no reader can keep: an object with one name twice, half of a surrogate pair."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from onnuri.corpus.reading.raw_text import storable


class Twice(ValueError):
    """A name stands twice in one object."""


class Object(dict[str, Any]):
    """A JSON object that remembers a name which it was given twice: readers differ in the value they take.

    For `object_pairs_hook` of json.
    """

    twice: str | None = None

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        for name, value in pairs:
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            self.twice = name
        super().__setitem__(name, value)


def read(text: str) -> Any:
    """The value of a text. Raises Twice, or another ValueError if it is no JSON."""
    return checked(json.loads(text, object_pairs_hook=Object))[0]


def checked(value: Any) -> tuple[Any, int]:
    """A value of JSON with U+FFFD for lone surrogates, and how many there were.

    Raises Twice.
    """
    broken, inner = False, [value]
    while inner:
        each = inner.pop()
        if isinstance(each, str):
            broken = broken or storable(each) is not each
        elif isinstance(each, dict):
            if (twice := getattr(each, "twice", None)) is not None:
                raise Twice(f"{storable(twice)[:60]!r} twice in one object")
            inner += each.keys()
            inner += each.values()
        elif isinstance(each, list):
            inner += each
    return _mended(value) if broken else (value, 0)


def _mended(value: Any) -> tuple[Any, int]:
    if isinstance(value, str):
        text = storable(value)
        return text, text.count("\ufffd") - value.count("\ufffd")
    if isinstance(value, dict):
        pairs = [(_mended(name), _mended(each)) for name, each in value.items()]
        return {name: each for (name, _), (each, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
    if isinstance(value, list):
        found = [_mended(each) for each in value]
        return [each for each, _ in found], sum(count for _, count in found)
    return value, 0
