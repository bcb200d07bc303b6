"""The queue of scans: one thread of the hub, which serves a limited process the bytes it asks for.

What waits is in the table of scans, so that a hub that was ended resumes where it stopped.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select, update

from onnuri.hub import repositories, schema
from onnuri.hub.blobs import BlobStore
from onnuri.hub.scan.table import (
    CODE,
    FAILED,
    OTHER,
    PENDING,
    SAFE,
    SAFETENSORS,
    SUSPICIOUS,
    parameters,
    scans,
)

if TYPE_CHECKING:
    from onnuri.hub.hub import Hub

log = logging.getLogger(__name__)
FILE_SECONDS, CHILD_SECONDS, CHILD_CPU_SECONDS, CHILD_MEGABYTES = 120.0, 30.0, 180, 1024
BATCH, BATCH_SECONDS = 256, 2.0
IDLE_SECONDS = 10.0
BEGINNINGS = (b"\x80", b"PK\x03\x04", b"\x93NUMPY")
"""Files of other names that begin otherwise hold nothing that is loaded as code."""
LONGEST_LINE = 1 << 20


class Child:
    """A process that scans, and is killed when it takes too long."""

    def __init__(
        self, blobs: BlobStore, seconds: float = FILE_SECONDS, megabytes: int = CHILD_MEGABYTES
    ) -> None:
        self.blobs, self.seconds, self.began = blobs, seconds, time.monotonic()
        command = [sys.executable, "-m", f"{__package__}.process", str(CHILD_CPU_SECONDS), str(megabytes)]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        self._left = b""

    @property
    def old(self) -> bool:
        """Whether another is to follow, since the limit of computing is the process's."""
        return time.monotonic() - self.began > CHILD_SECONDS

    def scan(self, sha256: str, kind: str, size: int) -> dict[str, Any]:
        """State, reasons and facts of a content. Raises RuntimeError, and the child is gone, if it was
        killed by a limit or broke off."""
        deadline = time.monotonic() + self.seconds
        try:
            self._send(json.dumps({"kind": kind, "size": size}).encode() + b"\n")
            while True:
                word, _, rest = self._line(deadline).partition(b" ")
                if word == b"D":
                    found: dict[str, Any] = json.loads(rest)
                    return found
                start, stop = (int(each) for each in rest.split())
                if word != b"R" or not 0 <= start < stop <= size or stop - start > LONGEST_LINE:
                    raise RuntimeError("the scan asked for what is not there")
                for piece in self.blobs.read(sha256, start, stop):
                    self._send(piece)
        except (RuntimeError, ValueError, OSError) as error:
            self.close()
            raise RuntimeError(str(error) or "the scan broke off") from None

    def _send(self, content: bytes) -> None:
        assert self.process.stdin is not None
        view = memoryview(content)
        while view:
            view = view[self.process.stdin.write(view) :]

    def _line(self, deadline: float) -> bytes:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._left:
                left = deadline - time.monotonic()
                if left <= 0 or not ready.select(left):
                    raise RuntimeError(f"the scan took more than {self.seconds:.0f} seconds")
                piece = self.process.stdout.read(1 << 16)
                if not piece:
                    raise RuntimeError("the scan was ended by a limit of its computing or memory")
                self._left += piece
                if len(self._left) > LONGEST_LINE:
                    raise RuntimeError("the scan broke off")
        line, _, self._left = self._left.partition(b"\n")
        return line

    def close(self) -> None:
        """End it."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


class Scanner:
    """Scans what commits have queued."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._child: Child | None = None

    def start(self) -> None:
        """Begin with what an earlier hub left."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to scan."""
        self._wake.set()

    def stop(self) -> None:
        """End; what is not scanned yet stays queued."""
        self._ended.set()
        self._wake.set()
        if (child := self._child) is not None:
            child.process.kill()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            try:
                more = self._batch()
            except Exception:
                if not self._ended.is_set():
                    log.exception("scanning is taken up again in %.0f seconds", IDLE_SECONDS)
                more = False
            if not more:
                self._end_child()
                self._wake.wait(IDLE_SECONDS)
        self._end_child()

    def _batch(self) -> bool:
        """Scan some; returns whether there were any."""
        table = scans.c
        with self.hub.database.reading() as connection:
            rows = connection.execute(
                select(scans).where(table.state == PENDING).order_by(table.changed).limit(BATCH)
            ).all()
        done: list[tuple[Row[Any], dict[str, Any]]] = []
        began = time.monotonic()
        try:
            for row in rows:
                found = self._scan(row)
                if self._ended.is_set():
                    break
                done.append((row, found))
                if time.monotonic() - began > BATCH_SECONDS:
                    break
        finally:  # also where the contents cannot be reached for a time
            if done:
                self._keep(done)
        return bool(rows)

    def _scan(self, row: Row[Any]) -> dict[str, Any]:
        if row.kind == CODE:
            return {"state": SUSPICIOUS, "reasons": ["runs code where trust_remote_code is given"]}
        if row.kind == OTHER:
            try:
                start = b"".join(self.hub.blobs.read(row.sha256, 0, min(row.size, 8)))
            except OSError as error:
                return {"state": FAILED, "reasons": [f"the content cannot be read: {error.strerror}"]}
            if not start.startswith(BEGINNINGS):
                return {"state": SAFE}
        if self._child is None or self._child.old:
            self._end_child()
            self._child = Child(self.hub.blobs)
        try:
            return self._child.scan(row.sha256, row.kind, row.size)
        except RuntimeError as error:
            self._child = None
            return {"state": FAILED, "reasons": [str(error)]}

    def _keep(self, done: list[tuple[Row[Any], dict[str, Any]]]) -> None:
        table, hub = scans.c, self.hub
        with hub.database.writing() as connection:
            connection.execute(
                update(scans).where(
                    table.repository == bindparam("repository_of"),
                    table.sha256 == bindparam("sha256_of"),
                    table.kind == bindparam("kind_of"),
                ),
                [
                    {
                        "repository_of": row.repository,
                        "sha256_of": row.sha256,
                        "kind_of": row.kind,
                        "state": found["state"],
                        "reasons": found.get("reasons", []),
                        "facts": found.get("facts", {}),
                        "changed": time.time(),
                    }
                    for row, found in done
                ],
            )
            for number in {row.repository for row, _ in done if row.kind == SAFETENSORS}:
                known = schema.repositories.c
                facts = connection.execute(select(known.facts).where(known.id == number)).scalar()
                if facts is None:
                    continue  # deleted meanwhile
                tree = repositories.resolve(connection, number, repositories.MAIN).tree
                found_now = parameters(connection, hub.trees, number, tree)
                repositories.set_facts(connection, number, facts={**facts, "safetensors": found_now})
        for row, found in done:
            if found["state"] != SAFE:
                hub.record(
                    "scan",
                    repository_id=row.repository,
                    path=row.path,
                    sha256=row.sha256,
                    state=found["state"],
                    reasons=found.get("reasons", []),
                )

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
