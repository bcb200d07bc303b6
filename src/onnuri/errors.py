"""The one error that a person at the keyboard is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input, said in one line: what was wrong, what was found, what to do.

    Doors (`scripts/*.py`) print it without a traceback and exit with status 2.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The hint " (did you mean 'x'?)" for the allowed name closest to `name`, or ""."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def check_choice(option: str, value: str, allowed: Iterable[str]) -> None:
    """Raise UserError unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise UserError(
            f"{option}={value} is not known; allowed: {', '.join(allowed)}{nearest(value, allowed)}"
        )
