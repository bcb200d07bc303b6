"""Who may have the files of a gated repository: consents that were given, decided upon and withdrawn.

A row stands for a person under a pseudonym and is never changed: what follows is another row, and the
newest counts. Rules where the safe one had to be chosen:

- New terms make every grant stale. Accepting them restores it; under `manual` the owner decides anew,
  unless he published the terms with `keeps_decisions`.
- A person whom the owner turned down, or whose access he ended, does not get in again by a click.
- Who withdrew comes back by asking again alone: no owner can accept or grant for him.
- `manual` is satisfied by a person's decision only, also for those who were accepted under `auto`.
- A grant of the owner's without a request passes on no personal data and accepts no terms; it holds
  until the terms change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from onnuri.hub.consent import basis, tables, terms
from onnuri.hub.errors import HubError
from onnuri.hub.records import Caller, Repository

DAY = 86_400.0
WARNING_DAYS = 7
STATUSES = ("pending", "accepted", "rejected")
ENDED = "withdrawn"


def subject_of(connection: Connection, user: int) -> str:
    """The pseudonym of a user; "" if he never had to do with consent, or all of it was deleted."""
    table = tables.subjects.c
    return connection.execute(select(table.subject).where(table.user == user)).scalar() or ""


def newest(connection: Connection, repository: str, subject: str) -> Row[Any] | None:
    """The row that counts, by the uid of a repository."""
    table = tables.grants
    query = select(table).where(table.c.repository == repository, table.c.subject == subject)
    return connection.execute(query.order_by(table.c.id.desc()).limit(1)).one_or_none()


def newest_rows(connection: Connection, *where: Any) -> Sequence[Row[Any]]:
    """The rows that count, of many subjects or repositories, the earliest first."""
    table = tables.grants
    last = select(func.max(table.c.id)).where(*where).group_by(table.c.repository, table.c.subject)
    return connection.execute(select(table).where(table.c.id.in_(last)).order_by(table.c.id)).all()


def request_of(row: Row[Any]) -> int:
    """Id of the request that a row belongs to."""
    return int(row.request or row.id)


def status_of(row: Row[Any], repository: Repository) -> str:
    """pending, accepted, rejected or withdrawn, as the repository is gated now."""
    if row.status == "accepted" and repository.gated == "manual" and not row.decider:
        return "pending"
    return str(row.status)


def why_not(connection: Connection, caller: Caller | None, repository: Repository) -> str:
    """Why a caller who is no member must not have the files; "" if he may."""
    name = repository.full_name
    subject = subject_of(connection, caller.id) if caller else ""
    row = newest(connection, repository.uid, subject) if subject else None
    if caller is None or row is None:
        return f"access to {name} must be asked for"
    status = status_of(row, repository)
    if status == "pending":
        return f"the request for access to {name} awaits a decision of its owner"
    if status == "rejected":
        return f"the owner of {name} refused access{f': {row.reason}' if row.reason else ''}"
    if status == ENDED:
        return f"the consent for {name} was withdrawn: access must be asked for again"
    if row.expires and row.expires <= time.time():
        return f"access to {name} ended on {_date(row.expires)} and must be asked for again"
    if row.terms_sha256 != terms.current(connection, repository).sha256:
        return f"the terms of {name} have changed and must be accepted again"
    return basis.why_not_to(connection, repository, caller.id, caller.name)


def warning(connection: Connection, caller: Caller | None, repository: Repository) -> str:
    """That a caller's access ends within a week; "" otherwise."""
    subject = subject_of(connection, caller.id) if caller else ""
    row = newest(connection, repository.uid, subject) if subject else None
    if row is None or row.status != "accepted" or not row.expires:
        return ""
    if not 0 < row.expires - time.time() < WARNING_DAYS * DAY:
        return ""
    return f"access to {repository.full_name} ends on {_date(row.expires)} UTC"


def add(connection: Connection, before: Row[Any] | None, **values: Any) -> Row[Any]:
    """A row that follows from another, or begins a request."""
    table = tables.grants
    row: dict[str, Any] = {
        "request": 0,
        "terms_version": 0,
        "terms_sha256": "",
        "language": "",
        "agreed": [],
        "recipient": "",
        "retention_days": terms.RETENTION_DAYS,
        "shown": 0.0,
        "answered": 0.0,
        "method": "",
        "decider": "",
        "reason": "",
        "decided": 0.0,
        "decided_version": 0,
        "expires": 0.0,
        "withdrawn": 0.0,
    }
    if before is not None:
        row = dict(before._mapping) | {"request": request_of(before)}
        row.pop("id")
    row |= values | {"created": time.time()}
    number = connection.execute(insert(table).values(**row).returning(table.c.id)).scalar_one()
    return connection.execute(select(table).where(table.c.id == number)).one()


def withdraw(connection: Connection, repository: Repository, caller: Caller) -> Row[Any]:
    """End one's consent at once. Raises HubError 404 if there is none."""
    subject = subject_of(connection, caller.id)
    row = newest(connection, repository.uid, subject) if subject else None
    if row is None or row.status == ENDED:
        raise HubError(404, f"there is no consent of {caller.name} for {repository.full_name}")
    if row.status == "rejected":
        raise HubError(400, f"the request of {caller.name} was rejected: there is no consent to withdraw")
    now = time.time()
    return add(connection, row, status=ENDED, withdrawn=now, method=caller.method)


def decide(
    connection: Connection,
    repository: Repository,
    decider: Caller,
    row: Row[Any],
    status: str,
    reason: str = "",
    expires: float = 0,
) -> Row[Any]:
    """The owner's decision. Raises HubError 404 if it is that already, 403 if the person withdrew."""
    if row.status == ENDED:
        raise HubError(403, "the consent was withdrawn: only who withdrew it can ask again")
    if status_of(row, repository) == status and not (status == "accepted" and expires):
        raise HubError(404, f"the request is in the list {status} already")
    now, version = time.time(), terms.current(connection, repository)
    if status == "accepted":
        if user := user_of(connection, row.subject):
            _check_recipient(connection, repository, *user)
        expires = expires or _default_end(version, now)
    return add(
        connection,
        row,
        status=status,
        decider=decider.name,
        method=decider.method,
        reason=reason,
        decided=now,
        decided_version=row.terms_version or version.version,
        expires=expires,
    )


def grant(
    connection: Connection,
    repository: Repository,
    decider: Caller,
    user: int,
    name: str,
    subject: str,
    reason: str = "",
    expires: float = 0,
) -> Row[Any]:
    """Access that nobody asked for. Raises HubError 400 if the user has it already."""
    row, version = newest(connection, repository.uid, subject), terms.stored(connection, repository)
    if row is not None and row.status == "pending":
        return decide(connection, repository, decider, row, "accepted", reason, expires)
    if row is not None and row.status == ENDED:
        raise HubError(403, f"{name} withdrew the consent: only {name} can ask again")
    _check_recipient(connection, repository, user, name)
    now = time.time()
    if (
        row is not None
        and status_of(row, repository) == "accepted"
        and row.terms_sha256 == version.sha256
        and not (row.expires and row.expires <= now)
    ):
        raise HubError(400, f"{name} has access already")
    return add(
        connection,
        None,
        repository=repository.uid,
        subject=subject,
        status="accepted",
        terms_sha256=version.sha256,
        method=decider.method,
        decider=decider.name,
        reason=reason,
        decided=now,
        decided_version=version.version,
        expires=expires or _default_end(version, now),
    )


def _check_recipient(connection: Connection, repository: Repository, user: int, name: str) -> None:
    if reason := basis.why_not_to(connection, repository, user, name):
        raise HubError(403, reason)


def _default_end(version: terms.Terms, now: float) -> float:
    days = int(version.content["access_days"])
    return now + days * DAY if days else 0


def user_of(connection: Connection, subject: str) -> tuple[int, str] | None:
    """Id and name behind a pseudonym; None after it was deleted."""
    from onnuri.hub import schema

    accounts, table = schema.accounts.c, tables.subjects.c
    row = connection.execute(
        select(accounts.id, accounts.name)
        .join(tables.subjects, table.user == accounts.id)
        .where(table.subject == subject)
    ).one_or_none()
    return (row.id, row.name) if row else None


def _date(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))
