"""Asking for access: the form, the boxes, what was shown, and how long what names a person is kept."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from onnuri.hub import access, schema
from onnuri.hub.consent import basis, grants, tables, terms, wording
from onnuri.hub.consent.grants import DAY, ENDED
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.links import Signer
from onnuri.hub.records import Caller, Repository

REQUIRED_BOXES = ("terms", "personal_data")
LONGEST_ANSWER = 2000
SHOWN_DAYS = 7
"""How long ago who accepts terms may have read them."""
NOT_DECIDED = "not decided in time"


def subject_for(connection: Connection, signer: Signer, user: int) -> str:
    """The pseudonym of a user, kept from now on."""
    found = grants.subject_of(connection, user)
    if not found:
        found = signer.pseudonym(user)
        connection.execute(insert(tables.subjects).values(user=user, subject=found))
    return found


def show(connection: Connection, signer: Signer, repository: Repository, caller: Caller) -> terms.Terms:
    """The terms in force, put on record as shown to this caller now."""
    found, now = terms.stored(connection, repository), time.time()
    table, subject = tables.showings, subject_for(connection, signer, caller.id)
    key = {"subject": subject, "repository": repository.uid, "sha256": found.sha256}
    changed = connection.execute(
        update(table).where(*(table.c[name] == value for name, value in key.items())).values(shown=now)
    )
    if not changed.rowcount:
        connection.execute(insert(table).values(**key, shown=now))
    return found


def ask(
    connection: Connection, signer: Signer, repository: Repository, caller: Caller, given: dict[str, Any]
) -> Row[Any]:
    """Accept the terms and ask for access. Asked again after a lost answer, it gives the same row.

    Args:
        given: terms (sha256), language, agreed (boxes), affiliation, purpose, fields (by name).
    """
    if not repository.gated:
        raise bad_request(f"{repository.full_name} is not gated: nothing has to be asked for")
    if access.has_role(connection, caller, repository, "read"):
        raise bad_request(f"{caller.name} is a member of {repository.namespace} and need not ask")
    if access.ROLES.index(caller.role) < access.ROLES.index("write"):
        raise HubError(403, "consent needs a session, or a token with the role write")
    version = terms.stored(connection, repository)
    if given.get("terms") != version.sha256:
        raise HubError(409, "the terms are not the ones in force: read them again", terms=version.sha256)
    subject = subject_for(connection, signer, caller.id)
    shown = _shown(connection, repository, subject, version.sha256)
    form = _form(connection, caller, version, given)
    if reason := basis.why_not_to(connection, repository, caller.id, caller.name):
        raise HubError(403, reason)
    before, now = grants.newest(connection, repository.uid, subject), time.time()
    if before is not None and before.status == "rejected":
        raise HubError(403, grants.why_not(connection, caller, repository))
    if before is not None and before.expires and before.expires <= now:
        before = None
    if (
        before is not None
        and before.terms_sha256 == version.sha256
        and before.status in ("pending", "accepted")
        and before.answered
    ):
        return before
    row = grants.add(
        connection,
        None,
        repository=repository.uid,
        subject=subject,
        terms_version=version.version,
        terms_sha256=version.sha256,
        language=given["language"],
        agreed=sorted(given["agreed"]),
        recipient=version.content["items"][given["language"]]["recipient"],
        retention_days=version.content["retention_days"],
        shown=shown,
        answered=now,
        method=caller.method,
        **_outcome(connection, repository, before, version, now),
    )
    connection.execute(
        insert(tables.forms).values(
            request=row.id, repository=repository.uid, subject=subject, user=caller.id, **form
        )
    )
    return row


def _outcome(
    connection: Connection,
    repository: Repository,
    before: Row[Any] | None,
    version: terms.Terms,
    now: float,
) -> dict[str, Any]:
    """What an acceptance leads to. `before`: the row that counted so far, unless it has expired."""
    days = version.content["access_days"]
    clicked = {"status": "accepted", "decided": now, "expires": now + days * DAY if days else 0.0}
    if before is not None and before.decider:
        if before.status != "accepted":  # a person decided, and a click does not undo it
            return {"status": "pending", "decider": before.decider, "reason": before.reason}
        if terms.keeps_since(connection, repository, before.decided_version):
            kept = ("decider", "reason", "decided", "decided_version", "expires")
            return {"status": "accepted", **{name: getattr(before, name) for name in kept}}
    return clicked if repository.gated == "auto" else {"status": "pending"}


def _shown(connection: Connection, repository: Repository, subject: str, sha256: str) -> float:
    table = tables.showings.c
    query = select(table.shown).where(
        table.subject == subject, table.repository == repository.uid, table.sha256 == sha256
    )
    shown = connection.execute(query).scalar()
    if not shown:
        raise HubError(409, "the terms have not been shown: read them first, GET .../terms")
    return float(shown)


def _form(
    connection: Connection, caller: Caller, version: terms.Terms, given: dict[str, Any]
) -> dict[str, Any]:
    """What is passed on to the owner. Raises HubError for a box or field that is missing."""
    if given.get("language") not in wording.LANGUAGES:
        raise bad_request(f"language is one of {', '.join(wording.LANGUAGES)}: that of the text you read")
    agreed = given.get("agreed")
    if not isinstance(agreed, list) or sorted(map(str, agreed)) != sorted(REQUIRED_BOXES):
        raise bad_request(f"agreed lists what you agree to, each apart: {', '.join(REQUIRED_BOXES)}")
    found = {name: _answer(name, given.get(name), True) for name in ("affiliation", "purpose")}
    answers = given.get("fields") or {}
    if not isinstance(answers, dict):
        raise bad_request("fields is an object: answers by the name of the field")
    unknown = set(answers) - {each["name"] for each in version.fields}
    if unknown:
        raise bad_request(f"the form has no field {sorted(unknown)[0][:100]!r}")
    fields: dict[str, Any] = {}
    for each in version.fields:
        name, value = each["name"], answers.get(each["name"])
        if each["type"] == "checkbox":
            if not isinstance(value, bool | None) or (each["required"] and not value):
                raise bad_request(f"the box {name!r} is true or false, and must be true if it is required")
            fields[name] = bool(value)
            continue
        text = _answer(name, value, each["required"])
        if text and each["options"] and text not in each["options"]:
            raise bad_request(f"{name!r} is one of {', '.join(each['options'])}")
        if text:
            fields[name] = text
    account = connection.execute(
        select(schema.accounts.c.fullname, schema.accounts.c.email).where(schema.accounts.c.id == caller.id)
    ).one()
    return {**found, "fields": fields, "fullname": account.fullname, "email": account.email}


def _answer(name: str, value: Any, required: bool) -> str:
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_ANSWER or (required and not value.strip()):
        raise bad_request(f"{name!r} is a text of 1 to {LONGEST_ANSWER:,} characters")
    return value.strip()


def form_of(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """What was asked with; None once it was deleted."""
    table = tables.forms
    query = select(table).where(table.c.request == grants.request_of(row))
    return connection.execute(query).one_or_none()


def sweep(connection: Connection, now: float) -> int:
    """Delete what names a person once its time is over; returns how many forms. Requests that nobody
    decided upon lapse with theirs."""
    deleted = 0
    connection.execute(delete(tables.showings).where(tables.showings.c.shown < now - SHOWN_DAYS * DAY))
    days = tables.grants.c.retention_days
    forms = select(tables.forms, days).join(tables.grants, tables.grants.c.id == tables.forms.c.request)
    for form in connection.execute(forms).all():
        newest = grants.newest(connection, form.repository, form.subject)
        ended = _ended(connection, form, newest)
        if newest is None or not ended or now < ended + form.retention_days * DAY:
            continue
        if newest.status == "pending" and grants.request_of(newest) == form.request:
            grants.add(connection, newest, status=ENDED, withdrawn=now, reason=NOT_DECIDED)
        connection.execute(delete(tables.forms).where(tables.forms.c.request == form.request))
        deleted += 1
    for person in connection.execute(select(tables.subjects)).all():
        rows = grants.newest_rows(connection, tables.grants.c.subject == person.subject)
        active = any(row.status == "pending" or _active(row, now) for row in rows)
        kept = [
            connection.execute(select(table.c.subject).where(table.c.subject == person.subject)).first()
            for table in (tables.forms, tables.showings)
        ]
        if not active and not any(kept):
            connection.execute(delete(tables.subjects).where(tables.subjects.c.user == person.user))
    return deleted


def _active(row: Row[Any], now: float) -> bool:
    return bool(row.status == "accepted" and not (row.expires and row.expires <= now))


def _ended(connection: Connection, form: Row[Any], newest: Row[Any] | None) -> float:
    """When the access that a form was for came to its end; 0: it goes on."""
    if newest is None:
        return 0
    if grants.request_of(newest) != form.request:  # asked anew
        table = tables.grants.c
        query = select(table.created).where(
            table.repository == form.repository,
            table.subject == form.subject,
            table.id > form.request,
            table.request == 0,
        )
        return float(connection.execute(query.order_by(table.id).limit(1)).scalar() or newest.created)
    if newest.status == "accepted":
        return float(newest.expires)
    return float(newest.created)  # pending, rejected, withdrawn
