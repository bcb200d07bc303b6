"""What a hub remembers of bundles: its id, the last that it sent and received, and what came from where.

Imports and exports may run beside the server, which is the only writer of the audit. They add to a chain of
their own, DATA/transfers/ledger.jsonl, one process at a time.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Float, String, Table, insert, select

from onnuri.base.errors import UserError, system_error
from onnuri.hub import schema
from onnuri.hub.database import FILE, Database
from onnuri.hub.errors import HubError
from onnuri.run.chain import Ledger

TRANSFERS = "transfers"
HUB_ID = "hub_id"

sent = Table(
    "bundles_sent",
    schema.METADATA,
    Column("receiver", String, primary_key=True),  # id of a hub; "": any
    Column("sequence", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),  # of the last one's bundle.json
    Column("time", Float, nullable=False),
)

received = Table(
    "bundles_received",
    schema.METADATA,
    Column("source", String, primary_key=True),
    Column("receiver", String, primary_key=True),  # this hub, or ""
    Column("sequence", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("key", String, nullable=False),  # sha256 of the public key that signed it
    Column("time", Float, nullable=False),
)

arrivals = Table(
    "arrivals",
    schema.METADATA,
    Column("source", String, primary_key=True),
    Column("sha256", String, primary_key=True),
)
"""Which contents came from which hub: that hub may name them without sending them again."""


@contextmanager
def opened(data: Path, url: str) -> Iterator[Database]:
    """The tables of a hub, for one export or import at a time. Raises UserError if there is no hub, or for
    what a HubError says."""
    if not url and not (data / FILE).is_file():
        raise UserError(f"data={data} has no {FILE}: it is not the folder of a hub with SQLite")
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if data.stat().st_uid != os.geteuid():
            raise UserError(
                f"data={data} belongs to another user: run this as the user that the hub runs as"
            )
        stream = (data / "bundles.lock").open("w")
    except OSError as error:
        raise system_error(error, data) from None
    with stream as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"data={data}: an export or import is running; wait for its end") from None
        database = Database(data, url)
        try:
            yield database
        except HubError as error:
            raise UserError(error.message) from None
        finally:
            database.close()


def hub_id(connection: Connection) -> str:
    """The id of this hub, made once, at random; in a transaction that writes."""
    table = schema.settings
    found = connection.execute(select(table.c.value).where(table.c.name == HUB_ID)).scalar()
    if found is None:
        found = secrets.token_hex(16)
        connection.execute(insert(table).values(name=HUB_ID, value=found))
    return str(found)


def set_last(connection: Connection, table: Table, **values: Any) -> None:
    """Replace the last bundle sent to, or received from, a hub."""
    of_this = [column == values[column.name] for column in table.primary_key]
    connection.execute(table.delete().where(*of_this))
    connection.execute(table.insert().values(**values))


def record(data: Path, event: str, **facts: Any) -> None:
    """A line in the chain of transfers, on disk before this returns."""
    folder = data / TRANSFERS
    folder.mkdir(exist_ok=True, mode=0o700)
    try:
        ledger = Ledger(folder)
    except UserError as error:
        found = str(error).partition(";")[0]
        raise UserError(f"{found}; restore it, or move {folder} elsewhere and keep it") from None
    try:
        ledger.add(event, facts)
        ledger.sync()
    finally:
        ledger.close()
