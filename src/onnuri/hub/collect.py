"""Deletes what no repository needs: contents, xorbs, and uploads that were given up.

A content stays while a repository has it: for good once a commit names it, for a day after its upload
otherwise. What has lost its last repository stays for a grace period, which is longer than any signed
address and any upload that counts on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from sqlalchemy import delete, select

from onnuri.base.errors import UserError, optional_package
from onnuri.hub.config import CollectConfig, HubConfig

with optional_package("hub", "onnuri hub"):
    from onnuri.hub import schema
    from onnuri.hub.commits import UPLOAD_SECONDS
    from onnuri.hub.hub import Hub
    from onnuri.hub.links import LAST

log = logging.getLogger(__name__)
GRACE = LAST + UPLOAD_SECONDS
"""Seconds since a content came last."""
EVERY, FIRST = 24 * 3600.0, 600.0
"""Seconds between two collections, and from the start of a server to its first."""
AT_ONCE = 500


class Collected(NamedTuple):
    """How many were deleted."""

    contents: int
    bytes: int
    epochs: int


def collect(hub: Hub, grace: float = GRACE) -> Collected:
    """Delete, also while the hub serves; recorded in the audit."""
    now, table = time.time(), schema.holdings
    hub.sweep()
    epochs = hub.xorbs.sweep(hub.database)
    with hub.database.writing() as connection:
        connection.execute(
            delete(table).where(
                table.c.committed.is_(False), table.c.uploaded < now - min(UPLOAD_SECONDS, grace)
            )
        )
    contents = size = 0
    for some in _batches(hash for hash, came in hub.blobs.every() if came < now - grace):
        with hub.database.reading() as connection:
            rows = connection.execute(select(table.c.sha256).where(table.c.sha256.in_(some)))
            needed = {row.sha256 for row in rows}
        for sha256 in some:
            path = hub.blobs.local(sha256)
            length = path.stat().st_size if path and path.is_file() else 0
            # A repository that gets it now has brought it along, so that it is no longer old.
            if sha256 not in needed and hub.blobs.remove(sha256, now - grace):
                contents, size = contents + 1, size + length
    found = Collected(contents, size, epochs)
    if any(found):
        hub.record("collect", **found._asdict())
    return found


def _batches(hashes: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(hashes, AT_ONCE)):
        yield some


class Daily:
    """Collects in a thread, once a day, while a server runs."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._ended = hub, threading.Event()
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wait = FIRST
        while not self._ended.wait(wait):
            try:
                found = collect(self._hub)
                log.info("collected %d contents of %d bytes", found.contents, found.bytes)
            except Exception:
                log.exception("the collection failed; the next is in a day")
            wait = EVERY

    def stop(self) -> None:
        """Begin no other collection; one that runs is given some seconds, and may be cut off anywhere."""
        self._ended.set()
        self._thread.join(10)


def collect_now(config: CollectConfig) -> None:
    """`onnuri hub collect`. Raises UserError if a hub is running on the folder: it collects by itself."""
    if config.grace_hours * 3600 < GRACE:
        raise UserError(
            f"grace_hours={config.grace_hours} must be at least {GRACE / 3600:g}: uploads that are under "
            "way count on it"
        )
    hub = Hub(HubConfig(data=config.data, database=config.database, blobs=config.blobs))
    try:
        found = collect(hub, config.grace_hours * 3600)
    finally:
        hub.close()
    print(f"deleted {found.contents} contents of {found.bytes:,} bytes, {found.epochs} epochs of xorbs")
