"""Room on the disk: what could not be recorded is not begun."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from onnuri.hub.errors import HubError

KEPT = 32 << 20
"""Bytes of the disk that no content may take: withdrawals, sign-ins and the audit need them."""
LEAST = 1 << 20
"""Bytes without which nothing is changed at all, as its line in the audit might not fit."""


def no_room() -> HubError:
    """The error of a request for which the disk has no room."""
    return HubError(507, "the hub's disk is full: its administrator must make room")


def check_disk(folder: Path, more: int) -> None:
    """Raises HubError 507 unless so many bytes are free where `folder` is."""
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < more:
        raise no_room()


def is_full(error: BaseException) -> bool:
    """True if an error of files, SQLite or PostgreSQL means that there is no room."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (
        (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT))
        or getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == "53100"
    )
