"""KoPairs as a file: a first line that names it, then one JSON object an item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from onnuri.base.errors import UserError, system_error
from onnuri.evaluate.kopairs.generate import VERSION, generate
from onnuri.evaluate.kopairs.items import Item

CANARY = "KoPairs benchmark data; do not train on this file. canary 5b0f6a3e-8c1d-4f27-9a64-d2e7b1c93f58"
"""Stands in every file, so that a corpus that took one in can be found by one search."""


def _line(item: Item) -> str:
    return json.dumps(item._asdict(), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def _stored(item: Item) -> str:
    """A line with all sentences as one text as well: alone they are too short for a copy to be noticed."""
    fields = item._asdict() | {"text": " ".join(item.sentences)}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def identity(items: Iterable[Item]) -> str:
    """sha256 of the items' canonical JSON lines, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(_line(item).encode())
    return digest.hexdigest()


def write(path: Path, seed: int = 1) -> Sequence[Item]:
    """Write the items of a seed as JSONL and return them. Raises UserError where the system refuses."""
    items = generate(seed)
    facts = {
        "canary": CANARY,
        "version": VERSION,
        "seed": seed,
        "items": len(items),
        "identity": identity(items),
    }
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(facts, ensure_ascii=False) + "\n")
            file.writelines(_stored(item) for item in items)
    except OSError as error:
        raise system_error(error, path) from None
    return items


def read(path: Path) -> list[Item]:
    """The items of a file. Raises UserError when it is no KoPairs file, of another version, or altered."""
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        facts = json.loads(first)
    except OSError as error:
        raise system_error(error, path) from None
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or facts.get("canary") != CANARY:
        raise UserError(f"{path} is no KoPairs file (its first line lacks the canary); write it again")
    if facts.get("version") != VERSION:
        raise UserError(
            f"{path} holds KoPairs version {facts.get('version')}, not {VERSION}; write it again"
        )
    try:
        items = [
            Item(**{name: fields[name] for name in Item._fields} | {"sentences": (*fields["sentences"],)})
            for fields in map(json.loads, lines)
        ]
    except (ValueError, TypeError, KeyError):
        items = []
    if identity(items) != facts.get("identity"):
        raise UserError(
            f"{path} was altered: its items do not have the identity in its first line; write it again"
        )
    return items
