"""Who may have the files of a gated repository."""

from __future__ import annotations

from sqlalchemy import Connection

from onnuri.hub.access import Caller, Repository


def why_not(connection: Connection, caller: Caller | None, repository: Repository) -> str:
    """Why a caller who is no member must not have the files; "" if he may."""
    return f"access to {repository.full_name} must be asked for on its page"
