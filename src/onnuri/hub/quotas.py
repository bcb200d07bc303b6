"""How many bytes an account may hold."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from onnuri.hub import schema
from onnuri.hub.config import HubConfig
from onnuri.hub.errors import HubError
from onnuri.hub.records import Repository


def used(connection: Connection, account: int) -> int:
    """Bytes of the contents of all repositories of an account, each content once a repository."""
    table = schema.holdings.c
    found = connection.execute(
        select(func.coalesce(func.sum(table.size), 0))
        .select_from(schema.holdings)
        .join(schema.repositories, schema.repositories.c.id == table.repository)
        .where(schema.repositories.c.owner == account)
    ).scalar_one()
    return int(found)


def check(
    connection: Connection, config: HubConfig, repository: Repository, more: int = 0, pending: int = 0
) -> None:
    """Raises HubError if its owner would hold more than allowed with `more` bytes; or if what was uploaded
    and is not a content yet, `pending` bytes, would be more than all that he may hold."""
    accounts = schema.accounts.c
    own = connection.execute(
        select(accounts.quota_bytes).where(accounts.id == repository.owner)
    ).scalar_one()
    most = own or config.quota_bytes
    if most and (found := max(used(connection, repository.owner), pending) + more) > most:
        raise HubError(
            413,
            f"{repository.namespace} would hold {found:,} bytes, and may hold {most:,}: delete something",
        )
