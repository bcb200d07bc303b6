"""Which files an input means: a file, a folder, a glob or a URL, the same on every machine.

A folder is the glob `FOLDER/**/*`. A glob is expanded part by part. `**` enters every folder once, by its
real path: links are followed, loops are cut, and the cost is that of one walk (`glob.glob` follows a loop
40 times, two loops 2^40 times). What is met and not read is passed over with a reason: files found =
files read + files passed over.
"""

from __future__ import annotations

import fnmatch
import glob
import heapq
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, system_error
from onnuri.corpus.reading import detection, files
from onnuri.corpus.reading.files import File
from onnuri.corpus.source import Source

HIDDEN = "hidden"
UNKNOWN = "of no known format"
EMPTY = "empty"
README = "a README beside data"
LINKED_FILE = "read under another name"
LINKED_FOLDER = "a link to a folder above it or read already"
BROKEN_LINK = "a broken link"
FOLDER = "a folder (end the glob in /** to read it)"
SPECIAL = "no regular file"
RECORDS = ("jsonl", "parquet", "csv", "tsv")
"""Formats of data sets. A README in or above their folders describes them."""
README_NAME = re.compile(r"readme([._-]\w+)?(\.(md|txt))?", re.IGNORECASE)
AS_THEY_ARE = Source("files", input="files", unverified=True)
"""Nothing is stated of the files."""
NAMED = 5
"""So many of the files that were passed over for one reason are named."""


@dataclass
class Found:
    """The files that an input means, and what was met beside them, by reason."""

    what: str
    """The option that named them, for messages."""
    files: list[File] = field(default_factory=list)
    passed_over: dict[str, set[str]] = field(default_factory=dict)

    def pass_over(self, reason: str, name: str) -> None:
        """Leave a file, or a linked folder that is not entered, out."""
        self.passed_over.setdefault(reason, set()).add(name)

    def counts(self) -> dict[str, Any]:
        """Found, read and passed over, as JSON values: the first is the sum of the others."""
        reasons: dict[str, Any] = {
            reason: {"files": len(names), "first": sorted(names)[:NAMED]}
            for reason, names in sorted(self.passed_over.items())
        }
        left_out = sum(entry["files"] for entry in reasons.values())
        return {"found": len(self.files) + left_out, "read": len(self.files), "passed_over": reasons}


def describe(counts: Mapping[str, Any]) -> str:
    """What was passed over, of `Found.counts`, in one line; "" for nothing."""
    parts = []
    for reason, entry in counts["passed_over"].items():
        more = ", ..." if entry["files"] > len(entry["first"]) else ""
        parts.append(f"{entry['files']:,} {reason}: {', '.join(entry['first'])}{more}")
    return "".join(char if char.isprintable() else "\ufffd" for char in "; ".join(parts))


def find(pattern: str) -> Found:
    """Every file that `pattern` means, by name, whatever its format.

    A name that begins with a dot is passed over, in a folder and in a glob alike, unless the glob spells it
    out. Raises UserError when the folder is missing or nothing matches.
    """
    pattern = pattern.removeprefix("file://")
    try:
        found = _find_remote(pattern) if "://" in pattern else _find_local(pattern)
    except OSError as error:
        raise UserError(f"input={pattern[:200]}: {error.strerror or error}") from None
    if not found.files:
        passed = describe(found.counts())
        raise UserError(f"{found.what} matches no file{' to read; passed over ' if passed else ''}{passed}")
    return found


def with_formats(found: Found, source: Source = AS_THEY_ARE) -> list[tuple[File, str]]:
    """The files of `found` with their formats, from which those that are not read are taken out.

    These are files whose format is unknown, and every README in or above a folder of records. Raises
    UserError when nothing is left.
    """
    detected = []
    for file in found.files:
        try:
            detected.append((file, detection.form_of_file(file, source)))
        except detection.PassedOver as reason:
            found.pass_over(str(reason), file.name)
    with_data = set[str]()
    for file, form in detected:
        if form in RECORDS and not _is_readme(file.name):
            with_data |= _folders_of(file.name)
    kept = []
    for file, form in detected:
        if _is_readme(file.name) and file.name.rpartition("/")[0] in with_data:
            found.pass_over(README, file.name)
        else:
            kept.append((file, form))
    found.files = [file for file, _ in kept]
    if not kept:
        suffixes = ", ".join(suffix for each in files.SUFFIXES.values() for suffix in each)
        raise UserError(
            f"{found.what}: no file of a known kind; passed over {describe(found.counts())}; "
            f"known: {suffixes}"
        )
    return kept


def _is_readme(name: str) -> bool:
    return README_NAME.fullmatch(name.rpartition("/")[2]) is not None


def _folders_of(name: str) -> set[str]:
    """The folders that a file lies in, up to the root ""."""
    parts = name.split("/")
    return {"/".join(parts[:depth]) for depth in range(len(parts))}


def below(folder: Path, what: str) -> Found:
    """Every file in and below a local folder, which may be none; `what` stands for it in messages.

    Raises UserError if a folder cannot be read.
    """
    return _expanded(what, folder, ("**", "*"))


def _expanded(what: str, root: Path, parts: tuple[str, ...]) -> Found:
    try:
        return _Expansion(what, root, parts).found()
    except OSError as error:
        raise system_error(error, what) from None


def _find_local(pattern: str) -> Found:
    path = Path(pattern).expanduser()
    what = f"input={pattern}"
    if path.is_file():
        return Found(what, [File(files.clean_name(path.name), str(path), path.stat().st_size)])
    if path.is_dir():
        return below(path, what)
    root = Path()
    parts = list(path.parts)
    while parts and (not glob.has_magic(parts[0]) or os.path.lexists(root / parts[0])):
        root /= parts.pop(0)
    if not parts:
        known = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{what} {known}")
    if not root.is_dir():
        raise UserError(f"{what}: folder {root} does not exist")
    if parts[-1] == "**":
        parts.append("*")
    return _expanded(what, root, tuple(parts))


@dataclass(frozen=True, order=True)
class _Node:
    """A folder, and the first part of the pattern that its entries have to match."""

    path: str
    real: str
    part: int
    hidden: bool = False
    """It lies below a hidden folder: what is found there is only counted."""


class _Expansion:
    """The entries below `root` that match the parts of a glob.

    Real folders are entered before linked ones, so that a folder goes by its own name rather than a link's.
    """

    def __init__(self, what: str, root: Path, parts: tuple[str, ...]) -> None:
        self.root, self.parts = str(root), parts
        self.matches = [re.compile(fnmatch.translate(_composed(part))).match for part in parts]
        self.todo = [_Node(self.root, os.path.realpath(root), 0)]
        self.links: list[tuple[int, _Node]] = []
        """A heapq, those nearest to the root first."""
        self.seen: set[tuple[str, int, bool]] = set()
        self.files: dict[str, tuple[str, int]] = {}
        """Path to real path and size."""
        self.result = Found(what)

    def found(self) -> Found:
        """Every file once, under the shortest of its names, one with a known suffix if it has any."""
        while self.todo or self.links:
            node = self.todo.pop() if self.todo else self._linked(heapq.heappop(self.links)[1])
            if node and (node.real, node.part, node.hidden) not in self.seen:
                self.seen.add((node.real, node.part, node.hidden))
                try:
                    self._enter(node)
                except OSError:
                    if not node.hidden:  # nobody asked for those
                        raise
        first: dict[str, str] = {}
        for path in sorted(self.files, key=self._preference):
            real, size = self.files[path]
            if first.setdefault(real, path) != path:
                self._pass_over(LINKED_FILE, path)
            elif size:
                self.result.files.append(File(self._name(path), str(Path(path)), size))
            else:
                self._pass_over(EMPTY, path)
        self.result.files.sort(key=lambda file: (file.name, file.path))
        return self.result

    def _preference(self, path: str) -> tuple[bool, int, str]:
        return not files.format_of(path), path.count("/"), path

    def _linked(self, node: _Node) -> _Node | None:
        """The folder behind a link, unless it is read already or the link leads up."""
        up = os.path.realpath(os.path.dirname(node.path))  # noqa: PTH120
        loop = f"{up}/".startswith(f"{node.real.rstrip('/')}/")
        if loop or (node.real, node.part, node.hidden) in self.seen:
            self._pass_over(LINKED_FOLDER, node.path)
            return None
        return node

    def _enter(self, node: _Node) -> None:
        part = self.parts[node.part]
        last = node.part + 1 == len(self.parts)
        literal = os.path.join(node.path, part)  # noqa: PTH118
        if part == "**":
            self.todo.append(_Node(node.path, node.real, node.part + 1, node.hidden))
            for entry in _entries(node.path):
                if os.path.isdir(entry.path):  # noqa: PTH112  # unlike entry.is_dir at peace with broken links
                    self._push(entry.path, entry.is_symlink(), node, node.part, entry.name.startswith("."))
        elif not glob.has_magic(part) or os.path.lexists(literal):
            # A name that is there is meant as it stands, brackets and all.
            if os.path.lexists(literal):
                self._met(literal, os.path.islink(literal), node, last, hidden=False)  # noqa: PTH114
        else:
            for entry in _entries(node.path):
                if self.matches[node.part](_composed(entry.name)):
                    hidden = entry.name.startswith(".") and not part.startswith(".")
                    self._met(entry.path, entry.is_symlink(), node, last, hidden)

    def _met(self, path: str, link: bool, node: _Node, last: bool, hidden: bool) -> None:
        """An entry that matches its part of the pattern."""
        is_folder = os.path.isdir(path)  # noqa: PTH112
        if not last:
            if is_folder:
                self._push(path, link, node, node.part + 1, hidden)
        elif is_folder:
            if "**" not in self.parts[max(node.part - 1, 0) :]:
                self._pass_over(HIDDEN if node.hidden or hidden else FOLDER, path)
        elif node.hidden or hidden:
            self._pass_over(HIDDEN, path)
        elif os.path.isfile(path):  # noqa: PTH113
            real = os.path.realpath(path) if link else os.path.join(node.real, os.path.basename(path))  # noqa: PTH118, PTH119
            self.files[path] = (real, os.stat(path).st_size)  # noqa: PTH116
        else:
            self._pass_over(SPECIAL if os.path.exists(path) else BROKEN_LINK, path)  # noqa: PTH110

    def _push(self, path: str, link: bool, node: _Node, part: int, hidden: bool) -> None:
        """Enter a folder later."""
        hidden = hidden or node.hidden
        if not link:
            real = os.path.join(node.real, os.path.basename(path))  # noqa: PTH118, PTH119
            self.todo.append(_Node(path, real, part, hidden))
        elif hidden:
            self._pass_over(HIDDEN, path)
        else:
            heapq.heappush(self.links, (path.count("/"), _Node(path, os.path.realpath(path), part)))

    def _pass_over(self, reason: str, path: str) -> None:
        self.result.pass_over(reason, self._name(path))

    def _name(self, path: str) -> str:
        # File systems differ in how they compose Hangul in names, and allow bytes that are no text.
        return files.clean_name(path.removeprefix(self.root).lstrip("/"))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder. Raises OSError for one that cannot be read: none is passed over."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _find_remote(pattern: str) -> Found:
    try:
        system, path = files.file_system(pattern)
        if glob.has_magic(path):
            root = path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
            matches = system.glob(path)
        elif system.isdir(path):
            root, matches = path.rstrip("/"), system.find(path)
        else:
            root, matches = path.rpartition("/")[0], [path]
        entries = [(match, system.info(match)) for match in matches]
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"input={pattern}: {files.one_line(error)}") from None
    found = Found(f"input={pattern}")
    dotted = path.removeprefix(root).lstrip("/")
    spelt_out = dotted.startswith(".") or "/." in dotted
    for match, info in entries:
        name = files.clean_name(match.removeprefix(root).lstrip("/"))
        if info["type"] != "file":
            continue
        if not spelt_out and any(part.startswith(".") for part in name.split("/")):
            found.pass_over(HIDDEN, name)
        else:
            found.files.append(File(name, system.unstrip_protocol(match), info["size"] or 0))
    found.files.sort(key=lambda file: (file.name, file.path))
    return found
