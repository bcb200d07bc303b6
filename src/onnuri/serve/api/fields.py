"""Checks of the fields of a request: each has a known name and a value that means something, or is refused.

A route states its fields in a table. A field that it does not have is an error and so is one that OpenAI
has and this server has not, unless its value asks for nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnuri.base.errors import nearest
from onnuri.serve.errors import ApiError, invalid

Check = Callable[[str, Any], Any]
"""From the name and value of a field to what the server works with; raises ApiError."""
Refused = Mapping[str, tuple[tuple[Any, ...], str]]
"""Fields that are not supported: the values that ask for nothing, and why not."""
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body. Raises ApiError."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        found = json.loads(body, parse_constant=refuse)
        if SURROGATE.search(body):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise invalid(None, "the body has half a surrogate pair, which UTF-8 cannot hold") from None
    except UnicodeDecodeError:
        raise invalid(None, "the body is not UTF-8, which JSON must be in") from None
    except RecursionError:
        raise invalid(None, "the body is nested too deeply") from None
    except ValueError as error:
        raise invalid(None, f"the body is no JSON: {str(error)[:120]}") from None
    if not isinstance(found, dict):
        raise invalid(None, "the body must be a JSON object")
    return found


def check(body: Mapping[str, Any], known: Mapping[str, Check], refused: Refused) -> dict[str, Any]:
    """The fields of a request as the server works with them; null counts as absent. Raises ApiError."""
    found = {}
    for name, value in body.items():
        if value is None and (name in known or name in refused):
            continue
        if name in known:
            found[name] = known[name](name, value)
        elif name in refused:
            harmless, reason = refused[name]
            if not any(type(value) is type(each) and value == each for each in harmless):
                raise invalid(name, f"not supported: {reason}", "unsupported_parameter")
        else:
            shown = name[:64]
            raise invalid(shown, f"unknown field{nearest(shown, known)}", "unknown_parameter")
    return found


def number(low: float, high: float, above: bool = False) -> Check:
    """A finite number from `low` (or above it) to `high`."""

    def run(name: str, value: Any) -> float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        if not fits or not (low <= value <= high) or (above and value == low):
            raise invalid(name, f"needed: a number {'above' if above else 'from'} {low} to {high}")
        return float(value)

    return run


def integer(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def run(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise invalid(name, f"needed: a whole number from {low} to {high}")
        return value

    return run


def boolean(name: str, value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise invalid(name, "needed: true or false")
    return value


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise invalid(name, "needed: a string")
    return value


def one_of(*allowed: str) -> Check:
    """One of these strings."""

    def run(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise invalid(name, f"needed: one of {', '.join(allowed)}")
        return value

    return run


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise invalid(name, "needed: an object")
    return value


def sequence(name: str, value: Any, most: int) -> list[Any]:
    """A list of at most so many elements."""
    if not isinstance(value, list) or len(value) > most:
        raise invalid(name, f"needed: a list of at most {most:,}")
    return value


def token_ids(name: str, value: Sequence[Any]) -> list[int]:
    """A list of ids; whether the model has them is asked later."""
    if not all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 1 << 31 for each in value
    ):
        raise invalid(name, "needed: token ids, whole numbers from 0")
    return list(value)


MOST_STOPS, LONGEST_STOP = 16, 1000


def stops(name: str, value: Any) -> tuple[str, ...]:
    """Texts before which an answer ends: one, or a list."""
    values = [value] if isinstance(value, str) else sequence(name, value, MOST_STOPS)
    if not all(isinstance(each, str) and 0 < len(each) <= LONGEST_STOP for each in values):
        raise invalid(name, f"needed: strings of 1 to {LONGEST_STOP:,} characters")
    return tuple(values)


def logit_bias(name: str, value: Any) -> dict[int, float]:
    """From ids, as strings, to numbers added to their logits."""
    found = {}
    one = number(-100, 100)
    for key, added in mapping(name, value).items():
        if not key.isascii() or not key.isdigit() or len(key) > 9:
            raise invalid(name, "needed: token ids as keys")
        found[int(key)] = one(name, added)
    return found


def fields(
    name: str, value: Any, known: Mapping[str, Check], refused: Refused | None = None
) -> dict[str, Any]:
    """The fields of an object inside of a request; their names in errors are `outer.inner`."""
    try:
        return check(mapping(name, value), known, refused or {})
    except ApiError as error:
        if error.param == name:
            raise
        raise invalid(f"{name}.{error.param}", error.message.partition(": ")[2], error.code) from None


SAMPLING: dict[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1, above=True),
    "top_k": integer(-1, 1 << 31),
    "min_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "repetition_penalty": number(0, 10, above=True),
    "logit_bias": logit_bias,
    "seed": integer(-(1 << 63), (1 << 63) - 1),
    "stop": stops,
}
"""What every route that writes text has."""
