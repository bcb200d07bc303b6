"""A repository as a JSON value: its branches and tags, commits, folders, and the hashes of its files.

Ids of commits and folders are git's, so that whoever has the value can compute each of them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from onnuri.hub import schema
from onnuri.hub.blobs import SHA256
from onnuri.hub.commits import history
from onnuri.hub.git import EMPTY_TREE, FILE, FOLDER, LARGE, Entry, commit_id, large_file, tree_id
from onnuri.hub.names import DEEPEST, LONGEST_PATH, TYPES, check_account, check_name, check_ref, clean_path
from onnuri.hub.records import Repository
from onnuri.hub.repositories import GATES, MAIN
from onnuri.hub.trees import Tree, Trees

MOST_FILES = 1_000_000
"""Of one commit. Folders may be in it twice: without a bound, a few kilobytes could stand for billions."""
LARGEST_SMALL_FILE = 32 << 20
OID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Content:
    """A content that a repository's files have."""

    size: int
    blob: str
    """SHA-1 of git's object, for a file that git has as it is; "" for one that git has a pointer to."""


@dataclass
class Described:
    """A repository whose ids were all computed again."""

    type: str
    namespace: str
    name: str
    private: bool
    gated: str
    refs: list[tuple[str, str, str, str]]
    """branch or tag, name, commit, message."""
    sources: dict[str, Any]
    """As the consent package states them."""
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    """By sha256."""

    @property
    def full_name(self) -> str:
        """As `repositories=` has it."""
        return f"{'datasets/' if self.type == 'dataset' else ''}{self.namespace}/{self.name}"

    def has_before(self, commit: str, ancestor: str) -> bool:
        """Whether a commit is, or comes after, another one."""
        while commit and commit != ancestor:
            commit = self.commits[commit]["parent"]
        return bool(commit)


def describe(connection: Connection, trees: Trees, repository: Repository) -> dict[str, Any]:
    """Everything that branches and tags lead to."""
    table = schema.refs.c
    rows = connection.execute(
        select(table.kind, table.name, table.commit, table.message)
        .where(table.repository == repository.id)
        .order_by(table.kind, table.name)
    ).all()
    commits: dict[str, dict[str, Any]] = {}
    folders: dict[str, list[list[Any]]] = {}
    for row in rows:
        for each in history(connection, repository.id, row.commit):
            if each.id in commits:
                break
            commits[each.id] = {
                name: getattr(each, name)
                for name in ("parent", "tree", "title", "message", "author", "date")
            }
            wanted = [each.tree]
            while wanted:
                oid = wanted.pop()
                if oid != EMPTY_TREE and oid not in folders:
                    tree = trees.read(connection, repository.id, oid)
                    folders[oid] = [[name, *entry] for name, entry in sorted(tree.items())]
                    wanted += [entry.oid for entry in tree.values() if entry.kind == FOLDER]
    return {
        "type": repository.type,
        "namespace": repository.namespace,
        "name": repository.name,
        "private": repository.private,
        "gated": repository.gated,
        "license": repository.card.get("license") or "",
        "refs": [list(row) for row in rows],
        "commits": commits,
        "trees": folders,
    }


def contents_of(described: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """sha256 and size of every file of `describe`, with repetitions."""
    for entries in described["trees"].values():
        for _, kind, _, size, sha256 in entries:
            if kind != FOLDER:
                yield sha256, size


def check(value: dict[str, Any]) -> Described:
    """What was described. Raises ValueError or HubError for what no hub can have, and for an id that is not
    git's; KeyError or TypeError for another shape."""
    found = Described(
        _one_of(value["type"], TYPES.values()),
        check_account(_text(value["namespace"])),
        check_name(_text(value["name"])),
        _is(value["private"], bool),
        _one_of(value["gated"], GATES),
        [],
        _is(value["sources"], dict),
    )
    for oid, entries in _is(value["trees"], dict).items():
        found.trees[oid] = _tree(found, oid, entries)
    known: dict[str, tuple[int, int, int]] = {EMPTY_TREE: (0, 0, 0)}
    for commit, each in _is(value["commits"], dict).items():
        found.commits[commit] = _commit(commit, each)
        _measure(found, known, each["tree"], DEEPEST + 1)
    for commit, each in found.commits.items():
        if each["parent"] and each["parent"] not in found.commits:
            raise ValueError(f"the commit before {commit} is missing")
    if unused := found.trees.keys() - known.keys():
        raise ValueError(f"the folder {min(unused)} is in no commit")
    for kind, name, commit, message in _is(value["refs"], list):
        if commit not in found.commits:
            raise ValueError(f"{name!r:.80} is at the commit {commit!r:.80}, which is missing")
        ref = _one_of(kind, ("branch", "tag")), check_ref(_text(name)), commit, _text(message)
        if any(ref[:2] == other[:2] for other in found.refs):
            raise ValueError(f"{kind} {name} is there twice")
        found.refs.append(ref)
    if ("branch", MAIN) not in {ref[:2] for ref in found.refs}:
        raise ValueError(f"the branch {MAIN} is missing")
    return found


def _tree(found: Described, oid: str, entries: Any) -> Tree:
    tree: dict[str, Entry] = {}
    names: set[str] = set()
    for name, kind, entry_oid, size, sha256 in _is(entries, list):
        if clean_path(_text(name)) != name or "/" in name:
            raise ValueError(f"{name!r:.80} cannot be the name of a file or folder")
        if name.casefold() in names:
            raise ValueError(
                f"{name!r:.80} is there twice in a folder, or differs from another in case alone"
            )
        names.add(name.casefold())
        entry = Entry(_one_of(kind, (FILE, LARGE, FOLDER)), _text(entry_oid), _is(size, int), _text(sha256))
        if not OID.fullmatch(entry.oid) or not 0 <= entry.size < 1 << 53:
            raise ValueError(f"{name!r:.80} has an id or size that cannot be")
        if kind == FOLDER:
            if entry.size or entry.sha256 or entry.oid == EMPTY_TREE:
                raise ValueError(f"the folder {name!r:.80} is empty, or has a content")
        else:
            _add_content(found, name, entry)
        tree[name] = entry
    if not tree or tree_id(tree.items()) != oid:
        raise ValueError(f"the folder {oid!r:.80} has another id than its files give")
    return tree


def _add_content(found: Described, name: str, entry: Entry) -> None:
    if not SHA256.fullmatch(entry.sha256):
        raise ValueError(f"{name!r:.80} has no sha256")
    if entry.kind == LARGE and large_file(entry.sha256, entry.size) != entry:
        raise ValueError(f"{name!r:.80} has another id than its pointer gives")
    if entry.kind == FILE and entry.size > LARGEST_SMALL_FILE:
        raise ValueError(f"{name!r:.80} is too large for a file that git has as it is")
    new = Content(entry.size, entry.oid if entry.kind == FILE else "")
    old = found.contents.get(entry.sha256, new)
    found.contents[entry.sha256] = merged(entry.sha256, old, new)


def merged(sha256: str, one: Content, other: Content) -> Content:
    """What two files say of the same content. Raises ValueError if they disagree."""
    if one.size != other.size or (one.blob and other.blob and one.blob != other.blob):
        raise ValueError(f"two files with the content {sha256} differ in size or id")
    return one if one.blob else other


def _commit(commit: str, each: Any) -> dict[str, Any]:
    names = {"parent", "tree", "title", "message", "author", "date"}
    if not isinstance(each, dict) or each.keys() != names or not 0 <= _is(each["date"], int) < 1 << 40:
        raise ValueError(f"the commit {commit!r:.80} has other fields than a commit has")
    for name in names - {"date"}:
        _text(each[name])
    check_name(each["author"])
    text = f"{each['title']}\n\n{each['message']}" if each["message"] else each["title"]
    if commit_id(each["tree"], each["parent"], each["author"], each["date"], text) != commit:
        raise ValueError(f"the commit {commit!r:.80} has another id than its fields give")
    return each


def _measure(
    found: Described, known: dict[str, tuple[int, int, int]], oid: str, levels: int
) -> tuple[int, int, int]:
    """Folders on the longest way down, bytes of the longest path, and files of a tree."""
    if oid not in known:
        if oid not in found.trees:
            raise ValueError(f"the folder {oid!r:.80} is missing")
        if not levels:
            raise ValueError(f"a path has more than {DEEPEST} folders")
        depth, longest, files = 0, 0, 0
        for name, entry in found.trees[oid].items():
            below = (0, 0, 1)
            if entry.kind == FOLDER:
                below = _measure(found, known, entry.oid, levels - 1)
            depth = max(depth, below[0] + 1)
            longest = max(longest, below[1] + len(name.encode()) + 1)
            files += below[2]
        if depth > DEEPEST or longest > LONGEST_PATH + 1 or files > MOST_FILES:
            raise ValueError(
                f"a commit has more than {DEEPEST} folders, {LONGEST_PATH} bytes in a path, or "
                f"{MOST_FILES:,} files"
            )
        known[oid] = depth, longest, files
    return known[oid]


def _text(value: Any) -> str:
    return str(_is(value, str))


def _is(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r:.80} is no {kind.__name__}")
    return value


def _one_of(value: Any, allowed: Any) -> str:
    if value not in allowed or not isinstance(value, str):
        raise ValueError(f"{value!r:.80} must be one of {', '.join(filter(None, allowed))}")
    return value
