"""The one error that a person at the keyboard is meant to read."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A mistake in the input, reported in one line: what was wrong, what was found, what to do.

    Commands print it without a traceback and exit with status 2; a program catches it, or any ValueError.
    """


def system_error(error: OSError, path: object) -> UserError:
    """What the operating system refused, in one line; `path` stands for a file that it does not name."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "; free some space and run the same command again" if full else ""
    named = (
        (error.filename2 if full else None) or error.filename or path
    )  # of a copy, the second is the target
    return UserError(f"{named}: {error.strerror or error}{way_out}")


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


def check_most(option: str, value: float, most: float) -> None:
    """Raise UserError for a number that is larger than any that can be meant."""
    if value > most:
        raise UserError(f"{option}={value} must be at most {most:,}")


@contextmanager
def optional_package(extra: str, needed_by: str) -> Iterator[None]:
    """Around the import of a package that only an extra of Onnuri brings: without it, a UserError with the
    command that installs it."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{needed_by} needs the package {error.name}: pip install 'onnuri[{extra}]'"
        ) from None


class JobsFailed(Exception):
    """Jobs of a sweep did not end well; the command reports it in one line and exits with status 1."""
