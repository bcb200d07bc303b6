"""What scans in a process of its own: it has no file, no network and little memory.

It asks the hub for bytes over its standard output and gets them over its standard input; a limit of no
further open files leaves it nothing else. Lines of the hub: a JSON object for each file to look at. Lines
to the hub: `R START STOP` for bytes, `D JSON` for what was found.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import io
import json
import logging
import os
import resource
import sys
import zipfile
from typing import Any, BinaryIO, cast

from onnuri.hub.scan import headers, pickles
from onnuri.hub.scan.table import CONFIG, FAILED, GGUF, KERAS, PICKLE, SAFETENSORS, UNSAFE

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
READ = 1 << 20
CODECS = ("ascii", "cp437", "latin-1", "raw_unicode_escape", "unicode_escape", "utf-8", "utf-16", "utf-32")
"""Loaded before the limits, which allow no file to be opened; json tries all of the last three."""


class Remote(io.RawIOBase):
    """A file that the hub has."""

    def __init__(self, size: int, asked: BinaryIO, given: BinaryIO) -> None:
        self.size, self.at, self.asked, self.given = size, 0, asked, given

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self.at = max(0, offset + (0, self.at, self.size)[whence])
        return self.at

    def readinto(self, target: Any) -> int:
        """Ask for bytes."""
        stop = min(self.size, self.at + min(len(target), READ))
        if stop <= self.at:
            return 0
        self.asked.write(b"R %d %d\n" % (self.at, stop))
        self.asked.flush()
        wanted = stop - self.at
        piece = self.given.read(wanted)
        if len(piece) < wanted:
            os._exit(1)
        target[:wanted] = piece
        self.at = stop
        return wanted


def lock_up(seconds: int, megabytes: int) -> None:
    """Nothing but the two pipes is left, for so much computing and memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # where the kernel lets it
    os.nice(10)
    limits = {
        resource.RLIMIT_AS: megabytes << 20,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))


def look(stream: BinaryIO, kind: str, size: int) -> pickles.Found:
    """Scan one file."""
    found = pickles.Found()
    try:
        if kind == SAFETENSORS:
            found.facts["parameters"] = headers.safetensors(stream, size)
        elif kind == GGUF:
            found.facts["tensors"] = headers.gguf(stream, size)
        elif kind == KERAS:
            pickles.keras(found, stream)
        elif kind == CONFIG:
            pickles.config(found, stream)
        else:
            pickles.loadable(found, stream, named=kind == PICKLE)
    except headers.Damaged as error:
        found.add(UNSAFE, str(error))
    except MemoryError:
        return pickles.Found(FAILED, ["the scan needs more memory than it may have"])
    except (
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        OSError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        return pickles.Found(FAILED, [f"the file cannot be read: {error}"[:300]])
    return found


def main() -> None:
    """Scan files until there are no more."""
    logging.disable()
    given, asked = sys.stdin.buffer, sys.stdout.buffer
    for name in CODECS:
        codecs.lookup(name)
    lock_up(int(sys.argv[1]), int(sys.argv[2]))
    while line := given.readline():
        task = json.loads(line)
        stream = io.BufferedReader(Remote(task["size"], asked, given), READ)
        with contextlib.closing(stream):
            found = look(cast(BinaryIO, stream), task["kind"], task["size"])
        answer = {"state": found.state, "reasons": found.reasons, "facts": found.facts}
        asked.write(b"D " + json.dumps(answer).encode() + b"\n")
        asked.flush()


if __name__ == "__main__":
    main()
