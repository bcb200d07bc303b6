"""A hub that is open: its tables, contents, audit and secret."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, optional_package
from onnuri.base.manifest import sync
from onnuri.hub.blobs import BlobStore, FileStore, Incoming
from onnuri.hub.bundles import state  # noqa: F401 - its tables
from onnuri.hub.config import HubConfig
from onnuri.hub.consent.requests import sweep
from onnuri.hub.database import Database
from onnuri.hub.heads import Heads
from onnuri.hub.limits import Limits
from onnuri.hub.links import Signer
from onnuri.hub.oidc import open_provider
from onnuri.hub.parts import Parts
from onnuri.hub.room import KEPT, check_disk
from onnuri.hub.scan.scanner import Scanner
from onnuri.hub.trees import Trees
from onnuri.hub.uploads import Uploads
from onnuri.hub.xet.gateway import Xorbs
from onnuri.run.daily_chain import Audit

log = logging.getLogger(__name__)
SWEEP_SECONDS = 3600.0
INCOMING_SECONDS = 24 * 3600.0
"""After which what was never completed is deleted."""


class Hub:
    """Everything that requests share. Raises UserError if the data folder cannot be used."""

    def __init__(self, config: HubConfig) -> None:
        self.config, self.limits = config, Limits(config)
        self.data = Path(config.data)
        self.provider = open_provider(config)
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
            self.blobs: BlobStore = open_store(self.data, config.blobs, bool(config.accel))
        except UserError:
            self.audit.close()
            raise
        self.heads = Heads(self.data, config.signing_key)
        self.heads.sign_missing(self.audit.day)
        self.signer = Signer(_secret(self.data / "secret"))
        self.trees = Trees()
        self.uploads = Uploads(config.most_uploads)
        self.xorbs, self.parts = Xorbs(self.data / "xorbs"), Parts(self.data / "parts", self.incoming)
        self.scanner = Scanner(self)
        self.sweep()
        self._closing = threading.Event()
        threading.Thread(target=self._keep_swept, daemon=True).start()

    def record(self, event: str, durable: bool = True, **facts: Any) -> None:
        """A line in the audit; on disk before this returns, unless it may be lost with the power."""
        with self._audit_lock:
            before = self.audit.day
            self.audit.add(event, facts)
            if self.audit.day != before:
                self.heads.sign_missing(self.audit.day)
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
        """Keep a small content; returns its sha256. Raises HubError where the disk has no room for it."""
        check_disk(self.data, KEPT + len(content))
        with self.receiving() as incoming:
            incoming.write(content)
            sha256 = incoming.finish()
            self.blobs.add(incoming.path, sha256)
        return sha256

    def content(self, sha256: str, size: int) -> bytes:
        """A small content, whole."""
        return b"".join(self.blobs.read(sha256, 0, size))

    def sweep(self) -> None:
        """Delete uploads that were given up, and forms of consent whose time is over."""
        for path in self.incoming.iterdir():
            if path.is_file() and time.time() - path.stat().st_mtime > INCOMING_SECONDS:
                path.unlink(missing_ok=True)
        self.parts.sweep(INCOMING_SECONDS)
        with self.database.writing() as connection:
            deleted = sweep(connection, time.time())
        if deleted:
            self.record("forms deleted", number=deleted)

    def _keep_swept(self) -> None:
        while not self._closing.wait(SWEEP_SECONDS):
            try:
                self.sweep()
            except Exception:  # the next one may succeed
                log.exception("what is old could not be deleted")

    def close(self) -> None:
        """Put the audit on disk, sign its head, and close the tables."""
        self._closing.set()
        self.scanner.stop()
        with self._audit_lock:
            self.audit.add("stopped", {})
            self.audit.sync()
            self.heads.sign(self.audit.day)
            self.audit.close()
        self.database.close()
        if self.provider:
            self.provider.close()


def open_store(data: Path, url: str, group_reads: bool = False) -> BlobStore:
    """What holds the contents of a hub. Raises UserError for an address that is not known."""
    if not url:
        if group_reads:
            data.chmod(0o710)
        return FileStore(data / "contents", group_reads)
    with optional_package("hub-cluster", f"blobs={url}"):
        from onnuri.hub.objects import ObjectStore
    return ObjectStore(url)


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
