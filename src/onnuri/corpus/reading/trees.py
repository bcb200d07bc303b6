"""Values inside nested records (JSON, YAML, Parquet), by dotted keys that go through lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_LEVELS = 64


def walk(value: Any, keys: list[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """What `keys` lead to below `value`, with the path it was found at, such as sections.3.pages.0.

    Lists are gone through, also at the end: their elements are what was looked for.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, keys, f"{path}.{index}".lstrip("."))
    elif not keys:
        yield path, value
    elif isinstance(value, dict) and keys[0] in value:
        yield from walk(value[keys[0]], keys[1:], f"{path}.{keys[0]}".lstrip("."))


def records(value: Any, keys: str) -> Iterator[tuple[str, Any]]:
    """The records that a source's `records` lead to; of a list at the top its elements, with path ""."""
    for path, found in _lists(value, keys.split(".") if keys else [], ""):
        if isinstance(found, list):
            for index, item in enumerate(found):
                yield f"{path}.{index}".lstrip("."), item
        else:
            yield path, found


def lead_on(value: Any, keys: list[str]) -> bool:
    """Whether `keys` lead somewhere from a value, or from each element if it is a list."""
    if isinstance(value, list) and keys:
        return all(lead_on(item, keys) for item in value)
    return next(_lists(value, keys, ""), None) is not None


def _lists(value: Any, keys: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """As `walk`, but a list at the end is given whole: a dialogue's turns are one record."""
    if not keys:
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _lists(item, keys, f"{path}.{index}".lstrip("."))
    elif isinstance(value, dict) and keys[0] in value:
        yield from _lists(value[keys[0]], keys[1:], f"{path}.{keys[0]}".lstrip("."))


def text_at(record: Any, path: str) -> str:
    """The text that `path` leads to; texts and numbers of a list are joined by line feeds.

    Raises ValueError when there is none, or it is of another type.
    """
    if not isinstance(record, dict):
        found = _leaves(record, 0)
        if found is None:
            raise ValueError(f"the record is a {type(record).__name__}, not text")
        return found
    value = record.get(path, record)
    if value is None or isinstance(value, str):
        return value or ""
    if value is not record:
        found = _leaves(value, 0) if isinstance(value, list) else None
        if found is None:
            raise ValueError(f"field '{path}' is {_kind(value, path)}, not text")
        return found
    found_values = [value for _, value in walk(record, path.split("."))]
    if not found_values:
        lists = [key for key, value in record.items() if isinstance(value, list) and _has_records(value)]
        hint = f" (records: {lists[0]} leads to a list of records)" if len(lists) == 1 else ""
        raise ValueError(f"field '{path}' is missing{hint}")
    found = _leaves(found_values, 0)
    if found is None:
        raise ValueError(f"field '{path}' is {_kind(found_values, path)}, not text")
    return found


def _has_records(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, dict) for item in value)


def _kind(value: Any, path: str) -> str:
    """What a value is that is no text, and where the texts in it could be."""
    several = isinstance(value, list)
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        keys = ", ".join(f"{path}.{key}" for key in list(value)[:5])
        return f"{'a list of records' if several else 'a record'} (text_column could be {keys})"
    return f"a {'list' if several else type(value).__name__}"


def _leaves(value: Any, level: int) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and level < MOST_LEVELS:
        found = [_leaves(item, level + 1) for item in value]
        if value and all(text is None for text in found) and any(item is not None for item in value):
            return None
        return "\n".join(text.strip("\n") for text in found if text is not None)
    if isinstance(value, int | float) and not isinstance(value, bool) and level:
        return str(value)
    return None


def own_values(record: Any, paths: Mapping[str, str]) -> dict[str, str]:
    """What a record says of itself: our names to what `paths` lead to, where there is something."""
    if not isinstance(record, dict):
        return {}
    values = {}
    for name, path in paths.items():
        value = record.get(path)
        if value is None and "." in path:
            value = next((found for _, found in walk(record, path.split("."))), None)
        if value not in (None, "") and not isinstance(value, dict | list):
            values[name] = str(value)
    return values
