"""Connections to the tables: SQLite in the data folder, or PostgreSQL.

A transaction that will write takes the lock of all writers at the start, so that none fails half-way by
another's change or a deadlock; what was committed is on disk when `writing` ends. SQLite: WAL with
synchronous=FULL. PostgreSQL: an advisory lock; one that reads sees one snapshot (REPEATABLE READ).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from onnuri.base.errors import UserError, optional_package
from onnuri.hub import schema
from onnuri.hub.consent import tables  # noqa: F401 - defined there

FILE, ELSEWHERE = "hub.sqlite3", "tables-are-in-postgresql"
BUSY_SECONDS = 30
WRITERS = 0x6F6E6E757269
"""The lock of all writers in PostgreSQL, within the database of the hub."""


class Database:
    """The tables of a hub. Raises UserError if they cannot be opened or are of another version."""

    def __init__(self, data: Path, url: str = "") -> None:
        """`url`: of PostgreSQL, postgresql://USER:PASSWORD@HOST/NAME; empty: a file in `data`."""
        self.sqlite = not url
        self.name = str(data / FILE) if self.sqlite else _without_password(url)
        self._one_writer = threading.Lock()
        elsewhere = data / ELSEWHERE
        if self.sqlite and elsewhere.exists():
            raise UserError(
                f"the tables of {data} are in PostgreSQL: give database=postgresql://... ; empty "
                "tables here would take every content for one that nobody needs"
            )
        try:
            self.engine = _sqlite(data / FILE) if self.sqlite else _postgresql(url)
            schema.METADATA.create_all(self.engine)
            if not self.sqlite:
                elsewhere.touch()
        except OperationalError as error:
            raise UserError(f"{self.name} cannot be opened: {str(error.orig).strip()}") from None
        with self.writing() as connection:
            found = connection.execute(
                select(schema.settings.c.value).where(schema.settings.c.name == "version")
            ).scalar()
            if found is None:
                connection.execute(insert(schema.settings).values(name="version", value=schema.VERSION))
            elif found != schema.VERSION:
                raise UserError(
                    f"{self.name} has tables of version {found}; this Onnuri knows version {schema.VERSION}"
                )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, committed at the end, or undone by an exception."""
        if self.sqlite:
            with self._one_writer, self.engine.connect() as plain:
                connection = plain.execution_options(writes=True)
                with connection.begin():
                    yield connection
        else:
            with self.engine.connect() as plain:
                connection = plain.execution_options(isolation_level="READ COMMITTED")
                with connection.begin():
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
                    connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))
                    yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _sqlite(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        pool_size=16,
        max_overflow=48,
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where this module says so
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise UserError(
            f"database={_without_password(url)} must be postgresql://USER:PASSWORD@HOST/NAME, or empty for "
            "a file in the data folder"
        )
    with optional_package("hub-cluster", f"database={_without_password(url)}"):
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=16,
            max_overflow=48,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",
        )


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "..."
