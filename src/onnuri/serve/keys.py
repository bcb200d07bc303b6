"""API keys: a file with their hashes, and how often each may ask.

A key has 256 random bits, so that one round of SHA-256 hides it; it is shown once, when it is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.base.manifest import write_json
from onnuri.serve.errors import ApiError

KEYS_FILE = "keys.json"
PREFIX = "sk-onnuri-"
NAME = re.compile(r"[\w .@-]{1,64}")


@dataclass(frozen=True)
class Key:
    """A key without its secret."""

    id: str
    name: str
    sha256: str
    created: int
    """Seconds since 1970."""
    requests_per_minute: int = 0
    """0: the limit of the server."""
    revoked: int = 0
    """When, or 0."""


def read_keys(state: Path) -> list[Key]:
    """All keys, revoked ones too. Raises UserError if the file is damaged."""
    path = state / KEYS_FILE
    if not path.exists():
        return []
    try:
        return [Key(**each) for each in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {error}; restore it from a copy") from None


def make_state(state: Path) -> None:
    """Make the folder where it is missing. Raises UserError where there can be none."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"state={state} cannot be a folder: {error.strerror}") from None
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"state={state} cannot be written to: it belongs to another user")


def check_state(state: Path) -> None:
    """Raise UserError if no server and no key has had the folder."""
    if not state.is_dir():
        raise UserError(f"state={state} is no folder; give the one that `onnuri serve state=` has")


@contextmanager
def _changing(state: Path) -> Iterator[list[Key]]:
    """The keys, to be changed; written whole, or not at all."""
    make_state(state)
    with (state / "keys.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read_keys(state)
        yield keys
        previous = os.umask(0o077)
        try:
            write_json(state / KEYS_FILE, {"keys": [asdict(key) for key in keys]})
        finally:
            os.umask(previous)


def create(state: Path, name: str, requests_per_minute: int = 0) -> tuple[Key, str]:
    """A new key, and its secret, which is not kept. Raises UserError for a name that cannot be shown."""
    if not NAME.fullmatch(name):
        raise UserError(f"name={name!r} must be 1 to 64 letters, digits, spaces and . _ @ -")
    if requests_per_minute < 0:
        raise UserError(f"requests_per_minute={requests_per_minute} must be at least 0")
    secret = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = Key(secrets.token_hex(4), name, digest, int(time.time()), requests_per_minute)
    with _changing(state) as keys:
        keys.append(key)
    return key, secret


def revoke(state: Path, key_id: str) -> None:
    """End a key, at once in a server that runs. Raises UserError if there is none with this id."""
    check_state(state)
    with _changing(state) as keys:
        for number, key in enumerate(keys):
            if key.id == key_id and not key.revoked:
                keys[number] = Key(**{**asdict(key), "revoked": int(time.time())})
                return
        raise UserError(f"id={key_id} is no key in use; see onnuri serve keys list")


class KeyRing:
    """The keys of a server that runs; a changed file is read again."""

    def __init__(self, state: Path | None, requests_per_minute: int) -> None:
        self.state, self.default_rate = state, requests_per_minute
        self.keys: list[Key] = []
        self.stamp: tuple[int, int, int] | None = None
        self.needed = False
        """Whether a request needs a key: once there was one. Revoking the last does not open the server."""
        self.tokens: dict[str, tuple[float, float]] = {}
        """Per key: requests that are left, and when that was."""
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it was changed. A damaged one lets nobody in."""
        if self.state is None:
            return
        try:
            found = (self.state / KEYS_FILE).stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        except FileNotFoundError:
            stamp = None
        if stamp != self.stamp:
            self.stamp = stamp
            try:
                self.keys = read_keys(self.state)
            except UserError:
                self.keys, self.needed = [], True
            self.needed |= bool(self.keys)

    def admit(self, authorization: str, now: float) -> Key | None:
        """The key of an Authorization header; None where none is needed.

        Raises ApiError for a wrong one, or one that has asked too often.
        """
        self.refresh()
        key = self._find(authorization) if self.needed else None
        self._count(key, now)
        return key

    def _find(self, authorization: str) -> Key:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise ApiError(401, "an API key is needed: Authorization: Bearer KEY", None, "missing_api_key")
        digest = hashlib.sha256(secret.strip().encode(errors="replace")).hexdigest()
        found = None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, digest) and not key.revoked:
                found = key
        if found is None:
            raise ApiError(401, "the API key is not valid", None, "invalid_api_key")
        return found

    def _count(self, key: Key | None, now: float) -> None:
        rate = (key.requests_per_minute if key else 0) or self.default_rate
        if not rate:
            return
        name = key.id if key else ""
        left, since = self.tokens.get(name, (float(rate), now))
        left = min(float(rate), left + (now - since) * rate / 60)
        if left < 1:
            self.tokens[name] = (left, now)
            message = f"more than {rate} requests a minute"
            raise ApiError(429, message, None, "rate_limit_exceeded", (1 - left) * 60 / rate)
        self.tokens[name] = (left - 1, now)
