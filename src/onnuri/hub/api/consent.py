"""Access to gated repositories: terms, requests and decisions; and the sources of data.

The addresses under user-access-request are those of huggingface_hub. What it has none for (asking,
withdrawing, terms, sources) is answered at addresses of Onnuri's own.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import Response

from onnuri.hub import accounts, repositories
from onnuri.hub.access import has_role
from onnuri.hub.api.call import Call, answer, next_page
from onnuri.hub.api.describe import moment
from onnuri.hub.api.repos import REPO
from onnuri.hub.api.router import Route, check_own_page
from onnuri.hub.consent import basis, grants, requests, tables, terms
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Caller, Repository

PAGE = 500
LONGEST_REASON = 1000


def show_terms(call: Call) -> Response:
    """GET /api/T/NAME/terms: the terms in force; that they were shown is put on record."""
    with call.hub.database.writing() as connection:
        repository = call.repository(connection)
        owner = has_role(connection, call.caller, repository, "admin")
        if not repository.gated and not owner:
            raise bad_request(f"{repository.full_name} is not gated: it has no terms")
        if call.caller is None:
            return answer(terms.current(connection, repository).shown())
        found = requests.show(connection, call.hub.signer, repository, call.caller).shown()
        if owner:
            versions = terms.history(connection, repository)
            found["versions"] = [
                {"version": each.version, "sha256": each.sha256, "created": each.created}
                for each in versions
            ]
    return answer(found)


def publish_terms(call: Call) -> Response:
    """POST /api/T/NAME/terms: a new version."""
    check_own_page(call)
    given = call.json()
    keeps = bool(given.pop("keepsDecisions", False))
    with call.hub.database.writing() as connection:
        repository, caller = call.writable(connection, "admin")
        found = terms.publish(connection, repository, caller.name, given, keeps)
        record_terms(call, repository, found)
    return answer(found.shown())


def record_terms(call: Call, repository: Repository, version: terms.Terms) -> None:
    """A line for a new version."""
    call.record(
        "terms",
        repository=repository.full_name,
        uid=repository.uid,
        version=version.version,
        terms=version.sha256,
        keeps_decisions=version.keeps_decisions,
    )


def ask(call: Call) -> Response:
    """POST /api/T/NAME/ask-access."""
    check_own_page(call)
    caller = _signed_in(call)
    with call.hub.database.writing() as connection:
        repository = call.repository(connection)
        row = requests.ask(connection, call.hub.signer, repository, caller, call.json())
        record(call, "consent", repository, row)
    return answer(described(row, repository))


def withdraw(call: Call) -> Response:
    """POST /api/T/NAME/withdraw-access."""
    check_own_page(call)
    caller = _signed_in(call)
    with call.hub.database.writing() as connection:
        repository = call.repository(connection)
        row = grants.withdraw(connection, repository, caller)
        record(call, "withdrawal", repository, row)
    return answer(described(row, repository))


def own_state(call: Call) -> Response:
    """GET /api/T/NAME/ask-access: how the caller's own request stands."""
    caller = _signed_in(call)
    with call.hub.database.reading() as connection:
        repository = call.repository(connection)
        subject = grants.subject_of(connection, caller.id)
        row = grants.newest(connection, repository.uid, subject) if subject else None
        found = described(row, repository) if row is not None else {"status": ""}
        asks = repository.gated and not has_role(connection, caller, repository, "read")
        found["reasonForNoAccess"] = grants.why_not(connection, caller, repository) if asks else ""
    return answer(found)


def own_consents(call: Call) -> Response:
    """GET /api/consents: all of the caller's."""
    caller = _signed_in(call)
    with call.hub.database.reading() as connection:
        return answer([described(row, repository) for repository, row in consents_of(connection, caller)])


def consents_of(connection: Connection, caller: Caller) -> list[tuple[Repository, Row[Any]]]:
    """The rows that count of a user, with their repositories; those of deleted ones are left out."""
    subject = grants.subject_of(connection, caller.id)
    found = []
    for row in grants.newest_rows(connection, tables.grants.c.subject == subject) if subject else []:
        repository = repositories.by_uid(connection, row.repository)
        if repository is not None:
            found.append((repository, row))
    return found


def described(row: Row[Any], repository: Repository) -> dict[str, Any]:
    """A row as JSON, for the person whom it stands for."""
    return {
        "requestId": str(grants.request_of(row)),
        "repository": repository.full_name,
        "type": repository.type,
        "status": grants.status_of(row, repository),
        "terms": row.terms_sha256,
        "termsVersion": row.terms_version,
        "language": row.language,
        "recipient": row.recipient,
        "retentionDays": row.retention_days,
        "shown": moment(row.shown) if row.shown else None,
        "answered": moment(row.answered) if row.answered else None,
        "decided": moment(row.decided) if row.decided else None,
        "expires": moment(row.expires) if row.expires else None,
        "withdrawn": moment(row.withdrawn) if row.withdrawn else None,
        "reason": row.reason,
    }


def listing(call: Call) -> Response:
    """GET /api/T/NAME/user-access-request/STATUS."""
    status, cursor = call.names["status"], call.query("cursor", "0")
    if status not in grants.STATUSES:
        raise HubError(404, f"there are lists of {', '.join(grants.STATUSES)}")
    start = int(cursor) if cursor.isdecimal() and len(cursor) < 10 else 0
    with call.hub.database.reading() as connection:
        repository = gated(call, connection)[0]
        rows = [
            row for row in rows_of(connection, repository) if grants.status_of(row, repository) == status
        ]
        current = terms.current(connection, repository).sha256
        found = [listed(connection, repository, row, current) for row in rows[start : start + PAGE]]
    more = len(rows) > start + PAGE
    call.record("requests read", repository=repository.full_name, uid=repository.uid, list=status)
    return answer(found, headers=next_page(call, cursor=str(start + PAGE)) if more else None)


def rows_of(connection: Connection, repository: Repository) -> list[Row[Any]]:
    """The rows that count of a repository."""
    return list(grants.newest_rows(connection, tables.grants.c.repository == repository.uid))


def listed(connection: Connection, repository: Repository, row: Row[Any], current: str) -> dict[str, Any]:
    """A request as its owner sees it; without the person, once that was deleted."""
    found = {
        "requestId": str(grants.request_of(row)),
        "status": grants.status_of(row, repository),
        "timestamp": moment(row.answered or row.created),
        "grantedBy": {"user": row.decider} if row.decider else None,
        "expires": moment(row.expires) if row.expires else None,
        "stale": row.terms_sha256 != current,
        "termsVersion": row.terms_version,
        "reason": row.reason,
    }
    form, user = requests.form_of(connection, row), grants.user_of(connection, row.subject)
    if user:
        found["user"] = {"user": user[1], "fullname": form.fullname if form else user[1]}
        if form:
            found["user"]["email"] = form.email
    if form:
        found["fields"] = {"affiliation": form.affiliation, "purpose": form.purpose, **form.fields}
    return found


def handle(call: Call) -> Response:
    """POST /api/T/NAME/user-access-request/handle: the owner's decision."""
    check_own_page(call)
    wanted = call.json()
    status = wanted.get("status")
    if status not in grants.STATUSES:
        raise bad_request(f"status is one of {', '.join(grants.STATUSES)}")
    reason = reason_in(wanted.get("rejectionReason") or wanted.get("reason"))
    expires = end_of(wanted.get("expires"))
    with call.hub.database.writing() as connection:
        repository, caller = gated(call, connection)
        row = request_in(connection, repository, wanted)
        new = grants.decide(connection, repository, caller, row, status, reason, expires)
        record(call, "decision", repository, new)
    return answer({"status": status, "requestId": str(grants.request_of(new))})


def grant(call: Call) -> Response:
    """POST /api/T/NAME/user-access-request/grant: access that nobody asked for."""
    check_own_page(call)
    wanted = call.json()
    reason, expires = reason_in(wanted.get("reason")), end_of(wanted.get("expires"))
    with call.hub.database.writing() as connection:
        repository, caller = gated(call, connection)
        user = accounts.account_of(connection, str(wanted.get("user", "")), "user")
        subject = requests.subject_for(connection, call.hub.signer, user.id)
        row = grants.grant(connection, repository, caller, user.id, user.name, subject, reason, expires)
        record(call, "grant", repository, row)
    return answer({"status": "accepted", "requestId": str(grants.request_of(row))})


def show_basis(call: Call) -> Response:
    """GET /api/T/NAME/basis: sources, licences and legal bases."""
    with call.hub.database.reading() as connection:
        return answer(_basis(connection, call.repository(connection)))


def state_basis(call: Call) -> Response:
    """POST /api/T/NAME/basis: the uploader's statement. What it forbids to be public becomes private."""
    check_own_page(call)
    with call.hub.database.writing() as connection:
        repository, caller = call.writable(connection, "admin")
        found = basis.state(connection, repository, caller.name, call.json().get("sources"))
        closed = basis.why_not_public(connection, repository)
        if closed:
            repositories.set_facts(connection, repository.id, private=True)
            repository = repositories.by_id(connection, repository.id)
        call.record(
            "sources", repository=repository.full_name, uid=repository.uid, sources=found, closed=closed
        )
        shown = _basis(connection, repository)
    return answer({**shown, "madePrivate": closed})


def _basis(connection: Connection, repository: Repository) -> dict[str, Any]:
    sources = [
        {"name": name, **entry} for name, entry in sorted(basis.sources_of(connection, repository).items())
    ]
    return {
        "sources": sources,
        "private": repository.private,
        "mayLeave": basis.may_leave(connection, repository) or True,
        "warnings": basis.warnings(connection, repository),
    }


def record(call: Call, event: str, repository: Repository, row: Row[Any]) -> None:
    """A line on disk before the answer, and before the tables change: by the pseudonym of whom it is about,
    without what could not be deleted from a chain later."""
    decider = {"user": row.decider} if event in ("decision", "grant") else {}
    call.hub.record(
        event,
        request=call.id,
        address=call.address,
        method=row.method,
        **decider,
        subject=row.subject,
        repository=repository.full_name,
        uid=repository.uid,
        grant=row.id,
        status=row.status,
        terms=row.terms_sha256,
        version=row.terms_version,
        language=row.language,
        expires=row.expires,
    )


def _signed_in(call: Call) -> Caller:
    if call.caller is None:
        raise HubError(401, "sign in first, or send a token")
    return call.caller


def gated(call: Call, connection: Connection) -> tuple[Repository, Caller]:
    """The repository in the address, for those who decide upon its requests."""
    repository, caller = call.writable(connection, "admin")
    if not repository.gated:
        raise bad_request(f"{repository.full_name} is not gated")
    return repository, caller


def request_in(connection: Connection, repository: Repository, wanted: dict[str, Any]) -> Row[Any]:
    """The request that is meant, by user or requestId. Raises HubError 404 if there is none."""
    row, number = None, str(wanted.get("requestId") or "")
    if wanted.get("user"):
        user = accounts.account_of(connection, str(wanted["user"]), "user")
        subject = grants.subject_of(connection, user.id)
        row = grants.newest(connection, repository.uid, subject) if subject else None
    elif number:
        rows = [each for each in rows_of(connection, repository) if str(grants.request_of(each)) == number]
        row = rows[0] if rows else None
    if row is None:
        raise HubError(404, f"there is no such request for {repository.full_name}")
    return row


def reason_in(value: Any) -> str:
    """A reason. Raises HubError for one that is too long."""
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_REASON):
        raise bad_request(f"a reason is a text of {LONGEST_REASON:,} characters at most")
    return (value or "").strip()


def end_of(value: Any) -> float:
    """Seconds since 1970 from a date or time of ISO 8601; 0: none."""
    if not value:
        return 0
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise bad_request("expires is a date, such as 2027-12-31") from None
    when = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if when <= time.time():
        raise bad_request("expires lies in the past")
    return when


ACCESS = f"{REPO}/user-access-request"
ROUTES = [
    Route("GET", "/api/consents", own_consents),
    Route("GET", f"{REPO}/terms", show_terms),
    Route("POST", f"{REPO}/terms", publish_terms),
    Route("GET", f"{REPO}/ask-access", own_state),
    Route("POST", f"{REPO}/ask-access", ask),
    Route("POST", f"{REPO}/withdraw-access", withdraw),
    Route("GET", f"{REPO}/basis", show_basis),
    Route("POST", f"{REPO}/basis", state_basis),
    Route("POST", f"{ACCESS}/handle", handle),
    Route("POST", f"{ACCESS}/grant", grant),
    Route("GET", f"{ACCESS}/{{status}}", listing),
]
