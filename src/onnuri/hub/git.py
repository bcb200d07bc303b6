"""Object ids as git computes them, so that whoever has a repository's files can check a commit.

Large files are in git as the pointers of Git LFS. Format: git-scm.com, Git Internals, Git Objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

FILE, LARGE, FOLDER = "f", "l", "d"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


class Entry(NamedTuple):
    """A file or folder of a tree."""

    kind: str
    oid: str
    """SHA-1 of git's object: the file, its LFS pointer, or the tree."""
    size: int = 0
    """Bytes of the file itself."""
    sha256: str = ""
    """Of the file itself."""

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer of a large file."""
        return len(POINTER.format(self.sha256, self.size))

    @property
    def etag(self) -> str:
        """What the content is known by to clients."""
        return self.sha256 if self.kind == LARGE else self.oid


def object_id(kind: str, content: bytes) -> str:
    """Of an object of git's: blob, tree or commit."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def small_file(content: bytes) -> Entry:
    """The entry of a file that git has as it is."""
    return Entry(FILE, object_id("blob", content), len(content), hashlib.sha256(content).hexdigest())


def large_file(sha256: str, size: int) -> Entry:
    """The entry of a file that git has a pointer to."""
    return Entry(LARGE, object_id("blob", POINTER.format(sha256, size).encode()), size, sha256)


def tree_id(entries: Iterable[tuple[str, Entry]]) -> str:
    """Of a tree with these names."""
    ordered = sorted(
        (name.encode() + b"/" * (entry.kind == FOLDER), name, entry) for name, entry in entries
    )
    content = b"".join(
        (b"40000 " if entry.kind == FOLDER else b"100644 ")
        + name.encode()
        + b"\0"
        + bytes.fromhex(entry.oid)
        for _, name, entry in ordered
    )
    return object_id("tree", content)


EMPTY_TREE = tree_id([])


def commit_id(tree: str, parent: str, author: str, date: int, message: str) -> str:
    """Of a commit; author and committer are the same, in UTC."""
    who = f"{author} <{author}@hub> {date} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return object_id("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())
