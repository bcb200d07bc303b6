"""A repository as JSON: what clients read of a model or dataset."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection

from onnuri.hub import access, commits, repositories
from onnuri.hub.api.call import Call, flag
from onnuri.hub.git import FOLDER, LARGE, Entry
from onnuri.hub.records import Repository
from onnuri.hub.repositories import Revision
from onnuri.hub.scan import table as scans


def moment(seconds: float) -> str:
    """A time in UTC, as clients parse it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".000Z"


def tags_of(repository: Repository) -> list[str]:
    """What a search filters by: the card's words, and what was found in the files."""
    card, found = repository.card, list(repository.facts.get("tags", []))
    found += _words(card.get("tags"))
    for name, prefix in (("library_name", ""), ("pipeline_tag", ""), ("license", "license:")):
        found += [f"{prefix}{each}" for each in _words(card.get(name))]
    languages = _words(card.get("language"))
    found += [f"language:{each}" if repository.type == "dataset" else each for each in languages]
    for name in ("datasets", "base_model", "size_categories", "task_categories"):
        prefix = name.removesuffix("s") if name == "datasets" else name
        found += [f"{prefix}:{each}" for each in _words(card.get(name))]
    return list(dict.fromkeys(found))


def _words(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values if isinstance(each, str | int | float) and str(each)]


def summary(call: Call, repository: Repository, commit: str) -> dict[str, Any]:
    """What lists show."""
    card, facts = repository.card, repository.facts
    found: dict[str, Any] = {
        "_id": repository.uid,
        "id": repository.full_name,
        "author": repository.namespace,
        "sha": commit,
        "private": repository.private,
        "gated": repository.gated or False,
        "disabled": repository.disabled,
        "createdAt": moment(repository.created),
        "lastModified": moment(repository.modified),
        "downloads": repository.downloads,
        "likes": 0,
        "tags": tags_of(repository),
    }
    if repository.type == "model":
        found["modelId"] = repository.full_name
        for name in ("pipeline_tag", "library_name"):
            if card.get(name):
                found[name] = card[name]
    if facts.get("safetensors"):
        found["safetensors"] = facts["safetensors"]
    return found


def described(
    call: Call, connection: Connection, repository: Repository, revision: Revision, blobs: bool
) -> dict[str, Any]:
    """What a client is shown of one repository at a revision. Names of files, their sizes and hashes are
    for those who may have the files."""
    found = summary(call, repository, revision.commit)
    found["cardData"] = repository.card
    siblings: list[dict[str, Any]] = []
    if not access.why_no_files(connection, call.caller, repository):
        walk = call.hub.trees.walk(connection, repository.id, revision.tree)
        files = [(path, entry) for path, entry in walk if entry.kind != FOLDER]
        siblings = [_sibling(path, entry, blobs) for path, entry in files]
        found["usedStorage"] = sum(entry.size for _, entry in files)
        config = next((entry for path, entry in files if path == "config.json"), None)
        if repository.type == "model" and config and config.size < 1 << 20:
            found["config"] = repository.facts.get("config", {})
        if flag(call.query("securityStatus")):
            found["securityRepoStatus"] = _security(connection, repository.id, files)
    found["siblings"] = siblings
    return found


def _security(connection: Connection, repository: int, files: list[tuple[str, Entry]]) -> dict[str, Any]:
    found = scans.statuses(connection, repository, files)
    return {
        "scansDone": all(each.state != scans.PENDING for each in found.values()),
        "filesWithIssues": [
            {"path": path, "level": each.state, "message": "; ".join(each.reasons)}
            for path, each in found.items()
            if each.state not in (scans.SAFE, scans.PENDING)
        ],
    }


def _sibling(path: str, entry: Entry, blobs: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": path}
    if blobs:
        found |= {"size": entry.size, "blobId": entry.oid}
        if entry.kind == LARGE:
            found["lfs"] = {
                "sha256": entry.sha256,
                "size": entry.size,
                "pointerSize": entry.pointer_size,
            }
    return found


def listed(path: str, entry: Entry) -> dict[str, Any]:
    """A file or folder of a tree."""
    if entry.kind == FOLDER:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": path}
    found: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.kind == LARGE:
        found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return found


def with_last_commits(
    call: Call, connection: Connection, repository: int, commit: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The same rows with the commit that changed each last."""
    paths = [row["path"] for row in rows]
    last = commits.last_changes(connection, call.hub.trees, repository, commit, paths)
    for row in rows:
        found = last[row["path"]]
        row["lastCommit"] = {"id": found.id, "title": found.title, "date": moment(found.date)}
    return rows


def with_scans(
    connection: Connection, repository: int, files: list[tuple[str, Entry]], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The same rows with what the scan of each file found."""
    found = scans.statuses(connection, repository, files)
    for row in rows:
        if row["path"] in found:
            row["securityFileStatus"] = scans.shown(found[row["path"]])
    return rows


def head(connection: Connection, repository: Repository) -> str:
    """The commit of main."""
    return repositories.resolve(connection, repository.id, repositories.MAIN).commit
