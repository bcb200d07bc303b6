"""Folders of commits, as git has them: one row a folder, kept by its id, so that a commit writes only the
folders that it changed."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from onnuri.hub import schema
from onnuri.hub.errors import bad_request, no_entry
from onnuri.hub.git import EMPTY_TREE, FOLDER, Entry, tree_id

Tree = Mapping[str, Entry]
"""Entries by name."""
Changes = dict[str, Entry | None]
"""By path: a file's new entry, or None for one that goes, folders too."""
REMEMBERED = 200_000
"""Entries of trees kept in memory: they never change."""


class Trees:
    """Trees of all repositories, and a memory of those used last."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, str], Tree] = OrderedDict()
        self._entries = 0
        self._lock = threading.Lock()

    def read(self, connection: Connection, repository: int, oid: str) -> Tree:
        """A folder of a repository."""
        if oid == EMPTY_TREE:
            return {}
        key = repository, oid
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        table = schema.trees.c
        content = connection.execute(
            select(table.entries).where(table.repository == repository, table.oid == oid)
        ).scalar_one()
        tree = {name: Entry(*rest) for name, *rest in json.loads(content)}
        with self._lock:
            if key not in self._known:
                self._known[key] = tree
                self._entries += len(tree) + 1
            while self._entries > REMEMBERED and len(self._known) > 1:
                self._entries -= len(self._known.popitem(last=False)[1]) + 1
        return tree

    def find(self, connection: Connection, repository: int, root: str, path: str) -> Entry | None:
        """The file or folder at a path; the root itself is at the empty path."""
        entry: Entry | None = Entry(FOLDER, root)
        for part in path.split("/") if path else ():
            if entry is None or entry.kind != FOLDER:
                return None
            entry = self.read(connection, repository, entry.oid).get(part)
        return entry

    def walk(
        self, connection: Connection, repository: int, oid: str, folder: str = "", recursive: bool = True
    ) -> Iterator[tuple[str, Entry]]:
        """Paths and entries below a tree, folders among them, in order of name."""
        for name, entry in sorted(self.read(connection, repository, oid).items()):
            path = f"{folder}/{name}" if folder else name
            yield path, entry
            if recursive and entry.kind == FOLDER:
                yield from self.walk(connection, repository, entry.oid, path)

    def change(self, connection: Connection, repository: int, root: str, changes: Changes) -> str:
        """Id of the tree after changes. Raises HubError if what is to go is not there, a name is that of a
        file and a folder, or two differ in case alone, which not every file system can hold."""
        nested: dict[str, Any] = {}
        for path, entry in changes.items():
            level = nested
            *folders, name = path.split("/")
            for folder in folders:
                below = level.setdefault(folder, {})
                if not isinstance(below, dict):
                    raise bad_request(f"{path!r}: {folder!r} is a file too")
                level = below
            if name in level:
                raise bad_request(f"{path!r} is a file and a folder")
            level[name] = entry
        return self._change(connection, repository, root, nested, "")

    def _change(
        self, connection: Connection, repository: int, oid: str, nested: dict[str, Any], at: str
    ) -> str:
        tree = dict(self.read(connection, repository, oid))
        for name, change in nested.items():
            path = f"{at}/{name}" if at else name
            before = tree.get(name)
            if isinstance(change, dict):
                if before and before.kind != FOLDER:
                    raise bad_request(f"{path!r} is a file, so that no file can be below it")
                below = self._change(
                    connection, repository, before.oid if before else EMPTY_TREE, change, path
                )
                if below == EMPTY_TREE:
                    tree.pop(name, None)
                else:
                    tree[name] = Entry(FOLDER, below)
            elif change is None:
                if before is None:
                    raise no_entry(path)
                del tree[name]
            elif before and before.kind == FOLDER:
                raise bad_request(f"{path!r} is a folder")
            else:
                tree[name] = change
        self._check_case(tree, nested, at)
        if not tree:
            return EMPTY_TREE
        return self.write(connection, repository, tree)

    @staticmethod
    def _check_case(tree: Tree, nested: Mapping[str, Any], at: str) -> None:
        seen: dict[str, str] = {}
        for name in tree:
            other = seen.setdefault(name.casefold(), name)
            if other != name and (name in nested or other in nested):
                raise bad_request(
                    f"{other!r} and {name!r} in {at or 'the top folder'} differ in case alone"
                )

    def write(self, connection: Connection, repository: int, tree: Tree) -> str:
        """Keep a folder; returns its id."""
        oid, table = tree_id(tree.items()), schema.trees
        known = connection.execute(
            select(table.c.oid).where(table.c.repository == repository, table.c.oid == oid)
        ).scalar()
        if known is None:
            rows = [[name, *entry] for name, entry in sorted(tree.items())]
            content = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
            connection.execute(table.insert().values(repository=repository, oid=oid, entries=content))
        return oid
