"""Commits: what they change, in one transaction; and the history.

Contents come first (`holdings`); a commit names them, and is refused if the repository does not have one.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select, update

from onnuri.hub import schema
from onnuri.hub.errors import HubError, bad_request, no_entry, no_revision
from onnuri.hub.git import FOLDER, Entry, commit_id, large_file
from onnuri.hub.records import Caller, Repository
from onnuri.hub.repositories import MAIN, add_commit, move_branch, resolve, set_facts
from onnuri.hub.scan import table as scans
from onnuri.hub.trees import Changes, Trees

UPLOAD_SECONDS = 24 * 3600.0
"""How long a content that was uploaded waits for its commit."""
LONGEST_TITLE, LONGEST_MESSAGE = 1000, 65_536


@dataclass
class Proposal:
    """What a client asks for. Paths are clean, small files' contents are stored."""

    title: str = ""
    message: str = ""
    parent: str = ""
    """The commit that the branch must be at; empty: any."""
    small: dict[str, Entry] = field(default_factory=dict)
    large: dict[str, str] = field(default_factory=dict)
    """Hashes by path."""
    deleted_files: list[str] = field(default_factory=list)
    deleted_folders: list[str] = field(default_factory=list)


def hold(
    connection: Connection, repository: Repository, caller: Caller, sha256: str, size: int, committed: bool
) -> None:
    """Put on record that a repository was given this content, complete."""
    table, now = schema.holdings, time.time()
    changed = connection.execute(
        update(table)
        .where(table.c.repository == repository.id, table.c.sha256 == sha256)
        .values(uploaded=now, user=caller.id)
    )
    if not changed.rowcount:
        row = {"repository": repository.id, "sha256": sha256, "size": size, "user": caller.id}
        connection.execute(table.insert().values(**row, uploaded=now, committed=committed))


def held(connection: Connection, repository: Repository, caller: Caller, sha256: str) -> int | None:
    """Size of a content that this caller may commit to this repository; None if he must upload it first."""
    table = schema.holdings.c
    row = connection.execute(
        select(table.size, table.user, table.uploaded, table.committed).where(
            table.repository == repository.id, table.sha256 == sha256
        )
    ).one_or_none()
    if row is None:
        return None
    fresh = row.user == caller.id and time.time() - row.uploaded < UPLOAD_SECONDS
    return row.size if row.committed or fresh else None


def commit(
    connection: Connection,
    trees: Trees,
    repository: Repository,
    caller: Caller,
    branch: str,
    wanted: Proposal,
    check: Callable[[Changes], None] | None = None,
) -> str:
    """Apply a proposal to a branch; returns the id of its new commit.

    One that would change nothing gives the commit that is there: so an answer that was lost may be
    asked for again. `check` may refuse what would change. Raises HubError 412 if the branch is no longer at
    the parent that was named.
    """
    try:
        head = resolve(connection, repository.id, branch)
    except HubError:
        raise no_revision(branch) from None
    if not head.branch:
        raise bad_request(f"{branch[:200]!r} is no branch: commits go to branches")
    behind = bool(wanted.parent) and wanted.parent != head.commit
    if behind:
        parent = _row(connection, repository.id, head.commit).parent
        if wanted.parent != parent:
            raise _stale(branch)
    base = resolve(connection, repository.id, wanted.parent).tree if behind else head.tree
    changes = _changes(connection, trees, repository, caller, base, wanted)
    if check:
        check(changes)
    tree = trees.change(connection, repository.id, base, changes) if changes else base
    if tree == head.tree:
        return head.commit
    if behind:
        raise _stale(branch)
    title = (wanted.title.strip() or "change")[:LONGEST_TITLE]
    message = wanted.message[:LONGEST_MESSAGE]
    text = f"{title}\n\n{message}" if message else title
    now = int(time.time())
    new = commit_id(tree, head.commit, caller.name, now, text)
    add_commit(connection, repository.id, new, head.commit, tree, title, message, caller.name, now)
    if not move_branch(connection, repository.id, branch, head.commit, new):
        raise _stale(branch)
    kept = [entry.sha256 for entry in changes.values() if entry and entry.sha256]
    table = schema.holdings
    for start in range(0, len(kept), 500):
        connection.execute(
            update(table)
            .where(table.c.repository == repository.id, table.c.sha256.in_(kept[start : start + 500]))
            .values(committed=True)
        )
    scans.queue(connection, repository.id, changes)
    if branch == MAIN:
        set_facts(connection, repository.id, modified=time.time())
    return new


def _stale(branch: str) -> HubError:
    return HubError(412, f"the branch {branch} has had a commit since; look at it and commit again")


def _changes(
    connection: Connection,
    trees: Trees,
    repository: Repository,
    caller: Caller,
    root: str,
    wanted: Proposal,
) -> Changes:
    changes: Changes = {}
    for path in wanted.deleted_folders:
        entry = trees.find(connection, repository.id, root, path)
        if entry is None or entry.kind != FOLDER:
            raise HubError(404, f"A file with this name doesn't exist: {path}/", "EntryNotFound")
        for below, each in trees.walk(connection, repository.id, entry.oid, path):
            if each.kind != FOLDER:
                changes[below] = None
    for path in wanted.deleted_files:
        entry = trees.find(connection, repository.id, root, path)
        if entry is None or entry.kind == FOLDER:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        changes[path] = None
    changes.update(wanted.small)
    for path, sha256 in wanted.large.items():
        size = held(connection, repository, caller, sha256)
        if size is None:
            raise bad_request(f"{path}: the content {sha256} was not uploaded to this repository")
        changes[path] = large_file(sha256, size)
    return changes


def _row(connection: Connection, repository: int, commit: str) -> Row[Any]:
    table = schema.commits
    found = connection.execute(
        select(table).where(table.c.repository == repository, table.c.id == commit)
    ).one_or_none()
    if found is None:
        raise no_revision(commit)
    return found


def history(connection: Connection, repository: int, commit: str) -> Iterator[Row[Any]]:
    """A commit and those before it, newest first."""
    while commit:
        row = _row(connection, repository, commit)
        yield row
        commit = row.parent


def last_changes(
    connection: Connection, trees: Trees, repository: int, commit: str, paths: list[str]
) -> dict[str, Row[Any]]:
    """The commit that changed each path last; paths must be there."""
    found: dict[str, Row[Any]] = {}
    left = {
        path: trees.find(connection, repository, _row(connection, repository, commit).tree, path)
        for path in paths
    }
    for row in history(connection, repository, commit):
        before = _row(connection, repository, row.parent).tree if row.parent else ""
        for path, entry in list(left.items()):
            if not before or trees.find(connection, repository, before, path) != entry:
                found[path] = row
                del left[path]
        if not left:
            break
    return found


def file_at(
    connection: Connection, trees: Trees, repository: int, revision: str, path: str
) -> tuple[str, Entry]:
    """The commit and entry of a file. Raises HubError if the revision has no such file."""
    found = resolve(connection, repository, revision)
    entry = trees.find(connection, repository, found.tree, path)
    if entry is None or entry.kind == FOLDER:
        raise no_entry(path, found.commit)
    return found.commit, entry


def tree_bytes(connection: Connection, trees: Trees, repository: int, tree: str) -> int:
    """Bytes of all files of a tree."""
    return sum(entry.size for _, entry in trees.walk(connection, repository, tree) if entry.kind != FOLDER)


def is_large(size: int, path: str, attributes: str) -> bool:
    """Whether git has a pointer instead of the file: above 10 MB, or as .gitattributes says."""
    if size > 10_000_000:
        return True
    if size == 0:
        return False
    name = path.rpartition("/")[2]
    for line in attributes.splitlines():
        pattern, *rest = line.split() or [""]
        if "filter=lfs" in rest and (
            fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(path, pattern.lstrip("/"))
        ):
            return True
    return False


BINARY = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.flac *.gguf *.gz *.h5 *.joblib *.jpeg *.jpg *.mp3 *.mp4 *.msgpack "
    "*.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.png *.pt *.pth *.rar *.safetensors "
    "*.tar *.tflite *.tgz *.wasm *.wav *.webp *.xz *.zip *.zst"
)
DEFAULT_ATTRIBUTES = "".join(f"{each} filter=lfs\n" for each in BINARY.split())
"""Where a repository has no .gitattributes."""
