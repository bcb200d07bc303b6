"""An audit: a hash chain a day, in files that only grow.

The first line of a day holds the last hash of the day before.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from onnuri.base.errors import UserError
from onnuri.base.manifest import sync
from onnuri.run.chain import LEDGER_FILE, Ledger, read

AUDIT, DAYS = "audit", "????-??-??"
Opened = TypeVar("Opened")


def day(now: float) -> str:
    """The date, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(now))


class Audit:
    """Open for adding, by one server at a time: the lines of two would break the chain. Raises UserError if
    another has it, or if the newest chain is damaged."""

    def __init__(self, state: Path, option: str = "state") -> None:
        """`option`: what names the folder on the command line."""
        self.folder = state / AUDIT
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync(state)
        self._lock = (state / "audit.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{option}={state} is in use by another server: give each a folder of its own"
            ) from None
        self.day = ""
        self.ledger: Ledger | None = None
        try:
            self._open(day(time.time()))
        except UserError:
            self._lock.close()
            raise

    def _open(self, today: str) -> None:
        before = max((path.name for path in self.folder.glob(DAYS) if path.name < today), default="")
        head = (_newest(read, self.folder / before) or [{"hash": ""}])[-1]["hash"] if before else ""
        folder = self.folder / today
        new = not (folder / LEDGER_FILE).exists()
        folder.mkdir(exist_ok=True, mode=0o700)
        sync(self.folder)
        if self.ledger:
            self.ledger.sync()
            self.ledger.close()
        self.ledger, self.day = _newest(Ledger, folder), today
        if new:
            self.ledger.add("day", {"day": today, "before": before, "before_hash": head})
            self.ledger.sync()
            sync(folder)

    def add(self, event: str, facts: dict[str, Any]) -> None:
        """A line, in the file before this returns, and on disk with the next `sync`."""
        if (today := day(time.time())) > self.day:
            self._open(today)
        assert self.ledger is not None
        self.ledger.add(event, facts)

    def sync(self) -> None:
        """Put every line on disk."""
        if self.ledger:
            self.ledger.sync()

    def close(self) -> None:
        """Put every line on disk, and let another server have the audit."""
        self.sync()
        if self.ledger:
            self.ledger.close()
        self._lock.close()


def _newest(opened: Callable[[Path], Opened], folder: Path) -> Opened:
    """What is opened of the newest day. Raises UserError with the way out."""
    try:
        return opened(folder)
    except UserError as error:
        found = str(error).partition(";")[0]  # the rest is advice to whoever trains a model
        raise UserError(
            f"{found}; restore it from a copy, or move {folder} elsewhere and keep it: the audit continues "
            "without that day"
        ) from None


def lines(state: Path) -> Iterator[dict[str, Any]]:
    """All lines, verified. Raises UserError naming the first that does not follow from the one before."""
    head = ""
    for folder in sorted((state / AUDIT).glob(DAYS)):
        found = read(folder)
        if found and head and found[0].get("before_hash") != head:
            raise UserError(f"{folder / LEDGER_FILE} does not follow the day before")
        head = found[-1]["hash"] if found else head
        yield from found
