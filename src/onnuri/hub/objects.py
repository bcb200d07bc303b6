"""Contents of files in an S3 bucket, by their sha256.

What has a key is complete: S3 shows an object when all of it has arrived. Endpoint, region and credentials
are those of the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from onnuri.base.errors import UserError
from onnuri.hub.blobs import SHA256
from onnuri.hub.errors import HubError

PIECE = 8 << 20
"""Bytes of one request."""
AT_ONCE = 4
"""Requests of one upload: so many pieces are in memory."""
RETRY_SECONDS = 60


class ObjectStore:
    """Contents as objects. Raises UserError if the bucket cannot be used."""

    def __init__(self, url: str) -> None:
        """`url`: s3://BUCKET or s3://BUCKET/PREFIX."""
        self._lock = threading.Lock()
        self._arriving: Counter[str] = Counter()
        """A content that comes again must not be removed in the same moment."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise UserError(f"blobs={url} must be s3://BUCKET/PREFIX, or empty for the data folder")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        try:
            self.store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options={"allow_http": _http_allowed(endpoint), "timeout": timedelta(seconds=60)},
                retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
                config={"endpoint": endpoint} if endpoint else {},
            )
            next(iter(obstore.list(self.store, chunk_size=1)), None)
        except (BaseError, OSError) as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise UserError(f"blobs={url} cannot be used: {reason}") from None

    def key(self, sha256: str) -> str:
        """Where a content is, or would be."""
        if not SHA256.fullmatch(sha256):
            raise HubError(400, "a hash has 64 hexadecimal digits")
        return f"{sha256[:2]}/{sha256}"

    def has(self, sha256: str) -> bool:
        """Whether it is there."""
        try:
            obstore.head(self.store, self.key(sha256))
        except FileNotFoundError:
            return False
        return True

    def add(self, path: Path, sha256: str) -> None:
        """Upload a file, also over one that is there, so that its grace begins anew."""
        with self._lock:
            self._arriving[sha256] += 1
        try:
            obstore.put(self.store, self.key(sha256), path, chunk_size=PIECE, max_concurrency=AT_ONCE)
        finally:
            with self._lock:
                self._arriving[sha256] -= 1
                self._arriving += Counter()  # forgets those at zero
        path.unlink()

    def read(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """Its bytes. Raises FileNotFoundError if it is not there."""
        while start < stop:
            end = min(start + PIECE, stop)
            yield bytes(obstore.get_range(self.store, self.key(sha256), start=start, end=end))
            start = end

    def local(self, sha256: str) -> Path | None:
        """It is on another machine."""
        return None

    def remove(self, sha256: str, before: float) -> bool:
        """Delete it."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            came = obstore.head(self.store, self.key(sha256))["last_modified"].timestamp()
            if sha256 not in self._arriving and came < before:
                obstore.delete(self.store, self.key(sha256))
                return True
        return False

    def every(self) -> Iterator[tuple[str, float]]:
        """All of them."""
        for page in obstore.list(self.store, chunk_size=1000):
            for each in page:
                name = each["path"].rpartition("/")[2]
                if SHA256.fullmatch(name):
                    yield name, each["last_modified"].timestamp()


def _http_allowed(endpoint: str) -> bool:
    """Whether the endpoint is reached without TLS. Raises UserError if it must not be."""
    parts = urlsplit(endpoint)
    if parts.scheme != "http":
        return False
    try:
        loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        loopback = parts.hostname == "localhost"
    if not loopback and os.environ.get("AWS_ALLOW_HTTP", "").lower() not in ("1", "true"):
        raise UserError(
            f"AWS_ENDPOINT_URL={endpoint} has no TLS: use https://, or set AWS_ALLOW_HTTP=true where the "
            "network in between is trusted"
        )
    return True
