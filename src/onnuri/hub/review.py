"""The audit, for people: whether it is whole, and a month of it as a table.

The Korean safety standard for personal data (article 8) asks for a monthly review of who did what with it,
and that the reason of each download is looked at.
"""

from __future__ import annotations

import csv
import datetime
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from onnuri.base.errors import UserError
from onnuri.hub import schema
from onnuri.hub.bundles.state import TRANSFERS
from onnuri.hub.config import ReviewConfig, VerifyConfig
from onnuri.hub.consent import tables
from onnuri.hub.consent.grants import request_of
from onnuri.hub.database import Database
from onnuri.hub.heads import check
from onnuri.run.chain import read
from onnuri.run.daily_chain import AUDIT, DAYS, lines

log = logging.getLogger(__name__)
COLUMNS = ("time", "account", "address", "repository", "action", "reason", "method", "details")
NO_ACTION = ("day", "stopped", "forms deleted")
APART = {
    "event",
    "time",
    "previous",
    "hash",
    "user",
    "subject",
    "address",
    "repository",
    "method",
    "request",
}


def verify(config: VerifyConfig) -> list[str]:
    """What does not match, one line each; empty if the audit is whole."""
    data = _data(config.data)
    try:
        number = sum(1 for _ in lines(data))
        moved = len(read(data / TRANSFERS)) if (data / TRANSFERS).is_dir() else 0
        problems = list(check(data / AUDIT, config.public_key))
    except UserError as error:
        if "public_key=" in str(error) or "needs the package" in str(error):
            raise
        return [str(error)]
    if not problems:
        days = len(list((data / AUDIT).glob(DAYS)))
        signed = f", signed heads match {config.public_key}" if config.public_key else ""
        log.info(
            f"{data / AUDIT}: {number:,} lines of {days:,} days, each follows from the one before{signed}"
        )
        if moved:
            log.info(f"{data / TRANSFERS}: {moved:,} bundles out and in, each follows from the one before")
    return problems


def review(config: ReviewConfig) -> None:
    """Write the table. Raises UserError for a damaged audit."""
    data, number = _data(config.data), 0
    database = Database(data, config.database)
    output = Path(config.output)
    temporary = output.with_name(output.name + ".new")
    try:
        # Excel takes UTF-8 for what it is only by the mark at the start.
        with temporary.open("w", encoding="utf-8-sig", newline="") as stream:
            os.fchmod(stream.fileno(), 0o600)
            table = csv.writer(stream)
            table.writerow(COLUMNS)
            with database.reading() as connection:
                for row in _rows(connection, data, config.month):
                    table.writerow([_cell(row[name]) for name in COLUMNS])
                    number += 1
        temporary.replace(output)
    except OSError as error:
        raise UserError(f"output={output} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
        database.close()
    log.info(f"{output}: {number:,} actions of {config.month}")


def _rows(connection: Connection, data: Path, month: str) -> Iterator[dict[str, str]]:
    reasons = _Reasons(connection)
    for line in lines(data):
        when = datetime.datetime.fromtimestamp(line["time"], datetime.UTC).isoformat(timespec="seconds")
        if when[:7] != month or line["event"] in NO_ACTION:
            continue
        rest = {name: value for name, value in line.items() if name not in APART}
        subject = str(line.get("subject", ""))
        account = str(line.get("user", "")) or reasons.name(subject)
        about = f"about {reasons.name(subject)}; " if line.get("user") and subject else ""
        yield {
            "time": when,
            "account": account,
            "address": str(line.get("address", "")),
            "repository": str(line.get("repository", "")),
            "action": line["event"],
            "reason": reasons.of(line),
            "method": str(line.get("method", "")),
            "details": about + json.dumps(rest, ensure_ascii=False, sort_keys=True),
        }


class _Reasons:
    """Why someone did something: the purpose that he stated when he asked, or the decision's reason."""

    def __init__(self, connection: Connection) -> None:
        people, accounts = tables.subjects.c, schema.accounts.c
        rows = connection.execute(
            select(people.subject, accounts.name).join(tables.subjects, people.user == accounts.id)
        )
        self.names: dict[str, str] = {row.subject: row.name for row in rows}
        self.subjects = {name: subject for subject, name in self.names.items()}
        grants = connection.execute(select(tables.grants).order_by(tables.grants.c.id)).all()
        self.grants = {row.id: row for row in grants}
        self.by_person: dict[tuple[str, str], list[Any]] = {}
        for row in grants:
            self.by_person.setdefault((row.repository, row.subject), []).append(row)
        forms = connection.execute(select(tables.forms.c.request, tables.forms.c.purpose))
        self.purposes = {row.request: row.purpose for row in forms}

    def name(self, subject: str) -> str:
        """The account, or the pseudonym once it is all that is kept."""
        return self.names.get(subject, f"pseudonym {subject}" if subject else "")

    def of(self, line: dict[str, Any]) -> str:
        row = self.grants.get(line.get("grant"))
        if row is not None and line.get("user"):
            return str(row.reason)
        if row is None:
            key = (str(line.get("uid", "")), self.subjects.get(str(line.get("user", "")), ""))
            rows = [each for each in self.by_person.get(key, []) if each.created <= line["time"]]
            row = rows[-1] if rows else None
        if row is None:
            return ""
        return str(self.purposes.get(request_of(row)) or row.reason)


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _data(given: str) -> Path:
    if not (Path(given) / AUDIT).is_dir():
        raise UserError(f"data={given} is no folder of a hub: it has no {AUDIT}/")
    return Path(given)
