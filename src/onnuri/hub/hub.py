"""A hub that is open: its tables, contents, audit and secret."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import sync
from onnuri.hub.blobs import BlobStore, FileStore, Incoming
from onnuri.hub.config import HubConfig
from onnuri.hub.database import Database
from onnuri.hub.links import Signer
from onnuri.hub.parts import Parts
from onnuri.hub.trees import Trees
from onnuri.hub.uploads import Uploads
from onnuri.hub.xet.gateway import Xorbs
from onnuri.run.daily_chain import Audit

INCOMING_SECONDS = 24 * 3600.0
"""After which what was never completed is deleted."""


class Hub:
    """Everything that requests share. Raises UserError if the data folder cannot be used."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.data = Path(config.data)
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.incoming = self.data / "incoming"
            self.incoming.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(f"data={self.data} cannot be a folder: {error.strerror}") from None
        if not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
            raise UserError(f"data={self.data} cannot be written to: it belongs to another user")
        self.audit = Audit(self.data, option="data")
        self._audit_lock = threading.Lock()
        try:
            self.database = Database(self.data, config.database)
            self.blobs: BlobStore = _store(self.data, config.blobs)
        except UserError:
            self.audit.close()
            raise
        self.signer = Signer(_secret(self.data / "secret"))
        self.trees = Trees()
        self.uploads = Uploads(config.most_uploads)
        self.xorbs, self.parts = Xorbs(self.data / "xorbs"), Parts(self.data / "parts", self.incoming)
        self.sweep()

    def record(self, event: str, durable: bool = True, **facts: Any) -> None:
        """A line in the audit; on disk before this returns, unless it may be lost with the power."""
        with self._audit_lock:
            self.audit.add(event, facts)
            if durable:
                self.audit.sync()

    @contextmanager
    def receiving(self) -> Iterator[Incoming]:
        """A content to be written; what is not stored is dropped."""
        incoming = Incoming(self.incoming)
        try:
            yield incoming
        finally:
            incoming.drop()

    def store(self, content: bytes) -> str:
        """Keep a small content; returns its sha256."""
        with self.receiving() as incoming:
            incoming.write(content)
            sha256 = incoming.finish()
            self.blobs.add(incoming.path, sha256)
        return sha256

    def content(self, sha256: str, size: int) -> bytes:
        """A small content, whole."""
        return b"".join(self.blobs.read(sha256, 0, size))

    def sweep(self) -> None:
        """Delete uploads that were given up."""
        for path in self.incoming.iterdir():
            if path.is_file() and time.time() - path.stat().st_mtime > INCOMING_SECONDS:
                path.unlink(missing_ok=True)
        self.parts.sweep(INCOMING_SECONDS)

    def close(self) -> None:
        """Put the audit on disk and close the tables."""
        with self._audit_lock:
            self.audit.close()
        self.database.close()


def _store(data: Path, url: str) -> BlobStore:
    if not url:
        return FileStore(data / "contents")
    raise UserError(f"blobs={url} is not known")


def _secret(path: Path) -> bytes:
    """Made once. Only the hub's user may read it."""
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(32))
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    return path.read_bytes()
