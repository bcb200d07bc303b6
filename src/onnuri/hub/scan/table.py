"""The state of each content of a repository: pending, safe, suspicious, unsafe or failed.

What a content can do depends on what loads it, so that a content is scanned once for each kind of name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    select,
)

from onnuri.hub.git import FOLDER, Entry
from onnuri.hub.schema import METADATA
from onnuri.hub.trees import Trees

PENDING, SAFE, SUSPICIOUS, UNSAFE, FAILED = "pending", "safe", "suspicious", "unsafe", "failed"
PICKLE, KERAS, SAFETENSORS, GGUF, CODE, CONFIG, OTHER = (
    "pickle",
    "keras",
    "safetensors",
    "gguf",
    "code",
    "config",
    "other",
)
SUFFIXES = {
    **dict.fromkeys(
        (".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"), PICKLE
    ),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), KERAS),
    ".safetensors": SAFETENSORS,
    ".gguf": GGUF,
    ".py": CODE,
}
CONFIGS = frozenset(("config.json", "tokenizer_config.json", "processor_config.json"))
AT_ONCE = 500
"""Hashes of one query."""

scans = Table(
    "scans",
    METADATA,
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("path", Text, nullable=False),  # under which it came first
    Column("size", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("reasons", JSON, nullable=False, default=list),
    Column("facts", JSON, nullable=False, default=dict),  # of safetensors: parameters by type
    Column("changed", Float, nullable=False),
    Index("scans_by_state", "state", "changed"),
)


class Status(NamedTuple):
    """What is known of a file."""

    state: str
    reasons: list[str]
    facts: dict[str, Any]


UNKNOWN = Status(PENDING, [], {})


def kind_of(path: str) -> str:
    """What loads a file of this name."""
    name = path.rpartition("/")[2].lower()
    if name in CONFIGS:
        return CONFIG
    return SUFFIXES.get("." + name.rpartition(".")[2], OTHER)


def queue(connection: Connection, repository: int, entries: Mapping[str, Entry | None]) -> None:
    """Have the contents of a commit scanned that were not yet."""
    wanted = {
        (entry.sha256, kind_of(path)): {"path": path, "size": entry.size}
        for path, entry in entries.items()
        if entry and entry.kind != FOLDER
    }
    known = _rows(connection, repository, (sha256 for sha256, _ in wanted))
    rows = [
        {"repository": repository, "sha256": sha256, "kind": kind, "state": PENDING, **facts}
        for (sha256, kind), facts in wanted.items()
        if (sha256, kind) not in known
    ]
    if rows:
        now = time.time()
        connection.execute(scans.insert(), [{**row, "changed": now} for row in rows])


def statuses(
    connection: Connection, repository: int, files: Iterable[tuple[str, Entry]]
) -> dict[str, Status]:
    """By path. A file that was never queued is pending."""
    wanted = [(path, entry.sha256) for path, entry in files if entry.kind != FOLDER]
    known = _rows(connection, repository, (sha256 for _, sha256 in wanted))
    return {path: known.get((sha256, kind_of(path)), UNKNOWN) for path, sha256 in wanted}


def of_content(connection: Connection, repository: int, sha256: str, path: str = "") -> list[Status]:
    """Of a content under one name, or under all that were committed."""
    known = _rows(connection, repository, [sha256])
    if path:
        return [known.get((sha256, kind_of(path)), UNKNOWN)]
    return list(known.values()) or [UNKNOWN]


def _rows(connection: Connection, repository: int, hashes: Iterable[str]) -> dict[tuple[str, str], Status]:
    table, asked = scans.c, list(dict.fromkeys(hashes))
    found: dict[tuple[str, str], Status] = {}
    for start in range(0, len(asked), AT_ONCE):
        query = select(table.sha256, table.kind, table.state, table.reasons, table.facts).where(
            table.repository == repository, table.sha256.in_(asked[start : start + AT_ONCE])
        )
        for sha256, kind, *rest in connection.execute(query):
            found[sha256, kind] = Status(*rest)
    return found


def parameters(connection: Connection, trees: Trees, repository: int, tree: str) -> dict[str, Any]:
    """Elements of a model's tensors by type, and in total, as far as its safetensors files were scanned:
    those of the top folder, and of a set of them those of the name that transformers loads."""
    top = trees.read(connection, repository, tree)
    files = [(name, entry) for name, entry in top.items() if kind_of(name) == SAFETENSORS]
    files = [each for each in files if each[0].startswith("model")] or files
    by_type: dict[str, int] = {}
    for status in statuses(connection, repository, files).values():
        for name, count in status.facts.get("parameters", {}).items():
            by_type[name] = by_type.get(name, 0) + count
    return {"parameters": by_type, "total": sum(by_type.values())} if by_type else {}


def shown(status: Status) -> dict[str, Any]:
    """As clients read it of a file."""
    return {
        "status": status.state,
        "avScan": None,
        "pickleImportScan": {"status": status.state, "message": "; ".join(status.reasons)},
        "message": "; ".join(status.reasons),
    }
