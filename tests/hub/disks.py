"""What a disk holds after the power was cut: only what had been synced, by power.c's journal.

A file's content is what was written before its last fsync began; its name is there once the folder was
synced after it was given. That is less than most file systems keep, and all that POSIX promises.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).with_name("power.c")
FOLDER = -1


def build(folder: Path) -> Path:
    """The library to preload."""
    library = folder / "power.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the test needs a C compiler"
    words = ["-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run([compiler, *words], check=True)
    return library


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


@dataclass
class Content:
    """A file, whatever its name: bytes on disk, and operations that may not be there yet."""

    durable: bytearray = field(default_factory=bytearray)
    operations: list[tuple[int, bytes | None]] = field(default_factory=list)
    applied: int = 0

    def sync(self, number: int) -> None:
        for offset, piece in self.operations[self.applied : number]:
            if piece is None:
                self._resize(offset)
            else:
                self._resize(max(len(self.durable), offset + len(piece)))
                self.durable[offset : offset + len(piece)] = piece
        self.applied = max(self.applied, number)

    def _resize(self, size: int) -> None:
        del self.durable[size:]
        self.durable += bytes(size - len(self.durable))


class Disk:
    """A folder as it was when all of it was on disk, and what was done to it since."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.contents: list[Content] = []
        self.by_inode: dict[str, int] = {}
        self.names: dict[str, int] = {}
        for path in sorted(root.rglob("*")):
            self.names[str(path)] = FOLDER if path.is_dir() else len(self.contents)
            if path.is_file():
                self.by_inode[str(path.stat().st_ino)] = len(self.contents)
                self.contents.append(Content(bytearray(path.read_bytes())))
        self.durable = dict(self.names)
        self._running: dict[str, tuple[int, int] | dict[str, int]] = {}

    def replay(self, journal: bytes) -> None:
        """Apply operations; one that was cut off is left out."""
        at = 0
        while (end := journal.find(b"\n", at)) >= 0:
            verb, _, rest = os.fsdecode(journal[at:end]).partition(" ")
            at = end + 1
            if verb == "write":
                inode, offset, size = rest.split(" ")
                piece = journal[at : at + int(size)]
                at += int(size)
                if len(piece) == int(size) and inode in self.by_inode:
                    self._content(inode).operations.append((int(offset), piece))
            else:
                getattr(self, f"_{verb}")(rest)

    def _content(self, inode: str) -> Content:
        return self.contents[self.by_inode[inode]]

    def _create(self, words: str) -> None:
        inode, path = words.split(" ", 1)
        self.names[path] = self.by_inode[inode] = len(self.contents)
        self.contents.append(Content())

    def _truncate(self, words: str) -> None:
        inode, size = words.split(" ")
        if inode in self.by_inode:
            self._content(inode).operations.append((int(size), None))

    def _mkdir(self, path: str) -> None:
        self.names[path] = FOLDER

    def _rename(self, words: str) -> None:
        before, after = words.split("\t")
        self.names[after] = self.names.pop(before)

    def _unlink(self, path: str) -> None:
        self.names.pop(path, None)

    def _begin(self, words: str) -> None:
        inode, thread, path = words.split(" ", 2)
        if path == self.root or self.names.get(path) == FOLDER:
            self._running[thread] = {path: FOLDER} | {
                name: number for name, number in self.names.items() if _folder(name) == path
            }
        elif inode in self.by_inode:
            self._running[thread] = (self.by_inode[inode], len(self._content(inode).operations))

    def _end(self, thread: str) -> None:
        done = self._running.pop(thread, None)
        if isinstance(done, tuple):
            self.contents[done[0]].sync(done[1])
        elif done:
            folder = next(iter(done))
            for name in [each for each in self.durable if _folder(each) == folder]:
                del self.durable[name]
            self.durable |= {name: number for name, number in done.items() if name != folder}

    def write(self, target: Path) -> None:
        """The folder as it is found when the power is back."""
        target.mkdir()
        for name, number in sorted(self.durable.items()):
            path = target / os.path.relpath(name, self.root)
            if name.endswith("-shm") or not path.parent.is_dir():
                continue  # SQLite makes it anew; a file in a folder that is not there is not there either
            if number == FOLDER:
                path.mkdir()
            else:
                path.write_bytes(self.contents[number].durable)
