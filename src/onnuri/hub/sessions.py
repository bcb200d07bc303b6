"""Who is signed in with a browser: a cookie, of which the tables hold the hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, String, Table, delete, insert, select

from onnuri.hub import schema
from onnuri.hub.records import Caller

COOKIE = "onnuri_session"
LAST = 12 * 3600.0
"""Seconds."""

sessions = Table(
    "sessions",
    schema.METADATA,
    Column("id", Integer, primary_key=True),
    Column("sha256", String, nullable=False, unique=True),
    Column("user", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
)


def open_session(connection: Connection, user: int) -> str:
    """The value of a new cookie."""
    value, now = secrets.token_urlsafe(32), time.time()
    connection.execute(delete(sessions).where(sessions.c.expires < now))
    connection.execute(
        insert(sessions).values(sha256=_digest(value), user=user, created=now, expires=now + LAST)
    )
    return value


def caller_of_session(connection: Connection, value: str) -> Caller | None:
    """Whose cookie it is; None if it has ended."""
    accounts = schema.accounts.c
    row = connection.execute(
        select(sessions.c.id, accounts.id.label("user"), accounts.name, accounts.administrator)
        .join(schema.accounts, accounts.id == sessions.c.user)
        .where(
            sessions.c.sha256 == _digest(value),
            sessions.c.expires > time.time(),
            accounts.disabled.is_(False),
        )
    ).one_or_none()
    if row is None:
        return None
    return Caller(row.user, row.name, row.administrator, method=f"session:{row.id}")


def end_session(connection: Connection, value: str) -> None:
    """Sign out."""
    connection.execute(delete(sessions).where(sessions.c.sha256 == _digest(value)))


def end_sessions(connection: Connection, user: int) -> None:
    """Sign a user out everywhere."""
    connection.execute(delete(sessions).where(sessions.c.user == user))


def form_token(value: str) -> str:
    """What a form of this session must send back, so that no other site's form can."""
    return hmac.new(value.encode(), b"form", hashlib.sha256).hexdigest()


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode(errors="replace")).hexdigest()
