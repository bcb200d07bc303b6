"""A file of JSON lines, each chained to the one before by its hash: nothing in it can be changed unseen.

A line holds `previous`, the hash of the line before, and `hash`, the sha256 of its own canonical JSON
without `hash`. Lines are only ever added: work that was lost with a crash stays on record, and of two lines
for a step the later one counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest, hash_json

LEDGER_FILE = "ledger.jsonl"
BEGINNING = "0" * 64
WAY_OUT = (
    "restore it from a copy, or, to train on with no record of the steps so far, put an empty file in its "
    "place (`onnuri ledger verify` then reports those steps)"
)


class Ledger:
    """The ledger of a run, open for adding.

    Raises UserError if what is there is no full chain, or not that of the checkpoint. A last line that a
    crash has cut is dropped.

    Args:
        resumed: the manifest of the checkpoint that the run resumes from; None at the start of a run.
    """

    def __init__(self, run_dir: Path, resumed: Manifest | None = None) -> None:
        self.path = run_dir / LEDGER_FILE
        if resumed and not self.path.is_file():
            raise UserError(f"{self.path} is missing; {WAY_OUT}")
        try:
            lines = read(run_dir) if self.path.is_file() else []
        except UserError as error:
            raise UserError(f"{error}; {WAY_OUT}") from None
        if resumed and lines and not _knows(lines, resumed):
            step = resumed.settings["step"]
            raise UserError(f"{self.path} is not that of the checkpoint of step {step}; {WAY_OUT}")
        self.head = lines[-1]["hash"] if lines else BEGINNING
        self.saved = max((line["step"] for line in lines if line["event"] == "checkpoint"), default=0)
        """Step of the newest checkpoint on record."""
        self._stream = self.path.open("ab", buffering=0)
        self._stream.truncate(self.path.read_bytes().rfind(b"\n") + 1)

    def add(self, event: str, facts: Mapping[str, Any]) -> None:
        """Append a line, whole or not at all. It is on disk after the next `sync`."""
        line = {"event": event, "time": round(time.time(), 3), **facts, "previous": self.head}
        head = hash_json(line)
        text = json.dumps(line | {"hash": head}, ensure_ascii=False, separators=(",", ":"))
        rest, before = memoryview(f"{text}\n".encode()), os.fstat(self._stream.fileno()).st_size
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except BaseException:  # the disk is full, or the program ends: the next line must follow the last
            self._stream.truncate(before)
            raise
        self.head = head

    def sync(self) -> None:
        """Put every line on disk."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Give up the file."""
        with contextlib.suppress(OSError):  # whoever added a line that could not be written knows
            self._stream.close()


def read(run_dir: Path) -> list[dict[str, Any]]:
    """All lines of a run's ledger.

    Raises UserError naming the first line that does not follow from the one before it.
    """
    path = run_dir / LEDGER_FILE
    if not path.is_file():
        raise UserError(f"{run_dir} has no {LEDGER_FILE}")
    lines: list[dict[str, Any]] = []
    head = BEGINNING
    *texts, _ = path.read_bytes().split(b"\n")  # what follows the last line break was cut off
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            content = {name: value for name, value in line.items() if name != "hash"}
            found, previous = line["hash"], line["previous"]
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise UserError(f"{path} line {number} is damaged") from None
        if previous != head:
            raise UserError(f"{path} line {number} does not follow line {number - 1}")
        if hash_json(content) != found:
            raise UserError(f"{path} line {number} was changed: its hash is another")
        head = found
        lines.append(line)
    return lines


def _knows(lines: Sequence[dict[str, Any]], checkpoint: Manifest) -> bool:
    """True if a chain has the line that a checkpoint was written after, or began again with it."""
    begun = lines[0].get("identity")
    return begun == checkpoint.identity or any(
        line["hash"] == checkpoint.counts["ledger"] for line in lines
    )


def recorded_files(lines: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Files that steps were made from, by path: line (from 1) and sha256 of the last record."""
    return {
        line["path"]: (number, line["sha256"])
        for number, line in enumerate(lines, start=1)
        if line["event"] == "file"
    }


def last_of_each_step(lines: Sequence[dict[str, Any]]) -> dict[int, tuple[int, dict[str, Any]]]:
    """The line that counts for each step, with its number: of a step that was done again, the last."""
    return {
        line["step"]: (number, line)
        for number, line in enumerate(lines, start=1)
        if line["event"] == "step"
    }
