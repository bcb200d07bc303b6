"""What a repository says of its origin: the files that `onnuri export` and `onnuri sign` write.

A repository's own words are shown as such; only a signature is checked, against keys that administrators
registered: of the hub, or of the owner of the repository.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, Integer, String, Table, Text, select

from onnuri.hub import schema
from onnuri.hub.git import FOLDER
from onnuri.hub.hub import Hub
from onnuri.hub.records import Repository

LARGEST = 4 << 20
"""Bytes of a file that is read."""
FIELDS = ("license", "legal_basis", "tokens", "documents")

public_keys = Table(
    "public_keys",
    schema.METADATA,
    Column("id", Integer, primary_key=True),
    Column("account", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=True),  # NULL: of the hub
    Column("name", String, nullable=False),
    Column("pem", Text, nullable=False),
)


def read(hub: Hub, connection: Connection, repository: Repository, tree: str) -> dict[str, Any]:
    """Sources, scores and signature of a revision; empty where its files say nothing."""
    training = _json(hub, connection, repository, tree, "training.json")
    evaluation = _json(hub, connection, repository, tree, "evaluation.json")
    return {
        "sources": sources_of(training),
        "step": training.get("step") if isinstance(training.get("step"), int) else None,
        "tokens": training.get("tokens_seen") if isinstance(training.get("tokens_seen"), int) else None,
        "scores": _scores(evaluation),
        "signed": signed_by(hub, connection, repository, tree),
        "files": [
            name
            for name in (
                "manifest.json",
                "training.json",
                "evaluation.json",
                "evaluation.html",
                "sbom.cdx.json",
                "sbom.spdx.json",
                "model.sig",
                "ledger.jsonl",
            )
            if hub.trees.find(connection, repository.id, tree, name)
        ],
    }


def sources_of(training: dict[str, Any]) -> list[dict[str, str]]:
    """Name, licence, legal basis and counts of each source, as texts."""
    tokens = training.get("tokens")
    rows = tokens.get("sources") if isinstance(tokens, dict) else None
    found = []
    for row in rows[:1000] if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            found.append({"name": row["name"][:200]} | {each: _text(row.get(each)) for each in FIELDS})
    return found


def sources_at(hub: Hub, connection: Connection, repository: Repository, tree: str) -> list[dict[str, str]]:
    """The sources that a revision names."""
    return sources_of(_json(hub, connection, repository, tree, "training.json"))


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value[:200] if isinstance(value, str) else ""


def _json(hub: Hub, connection: Connection, repository: Repository, tree: str, path: str) -> dict[str, Any]:
    entry = hub.trees.find(connection, repository.id, tree, path)
    if entry is None or entry.kind == FOLDER or entry.size > LARGEST:
        return {}
    try:
        found = json.loads(hub.content(entry.sha256, entry.size))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _scores(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    from onnuri.base.errors import UserError
    from onnuri.export.card.results import results

    try:
        found = results(evaluation or None)
    except (UserError, ValueError):
        return []
    return [(each.title, each.metric, f"{each.value:.4g}") for each in found[:200]]


def signed_by(hub: Hub, connection: Connection, repository: Repository, tree: str) -> dict[str, Any] | None:
    """Whose registered key the signature verifies with, and what differs; None without a signature."""
    entry = hub.trees.find(connection, repository.id, tree, "model.sig")
    if entry is None or entry.kind == FOLDER or entry.size > LARGEST:
        return None
    table = public_keys.c
    keys = connection.execute(
        select(table.name, table.pem).where((table.account == repository.owner) | table.account.is_(None))
    ).all()
    from onnuri.base.errors import UserError
    from onnuri.ledger.signature import NOT_SIGNED, signed_files

    with tempfile.TemporaryDirectory() as folder:
        signature, key = Path(folder) / "model.sig", Path(folder) / "key.pem"
        signature.write_bytes(hub.content(entry.sha256, entry.size))
        for row in keys:
            key.write_text(row.pem, encoding="utf-8")
            try:
                signed = signed_files(signature, key)
            except (UserError, ValueError, ImportError):
                continue
            present = {
                path: each.sha256
                for path, each in hub.trees.walk(connection, repository.id, tree)
                if each.kind != FOLDER and path.split("/")[0] not in (*NOT_SIGNED, ".gitattributes")
            }
            changed = {
                path for path in signed.keys() | present.keys() if signed.get(path) != present.get(path)
            }
            return {"name": row.name, "changed": sorted(changed)[:20]}
    return {"name": "", "changed": []}
