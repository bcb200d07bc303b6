"""Pages of consent: asking for access, one's own consents, the owner's requests and terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from onnuri.hub import repositories
from onnuri.hub.access import has_role
from onnuri.hub.api import consent as api
from onnuri.hub.api.call import Call
from onnuri.hub.api.router import Route
from onnuri.hub.consent import basis, grants, requests, terms, wording
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.pages.view import form, language, page, see_other, signed_in


def show_access(call: Call) -> Response:
    """GET /NAME/access: the terms, the form, or how one's request stands."""
    return _access(call)


def _access(call: Call, given: Mapping[str, str] | None = None, error: str = "") -> Response:
    caller = signed_in(call)
    with call.hub.database.writing() as connection:
        repository = call.repository(connection)
        if not repository.gated:
            return see_other(f"/{repository.path}")
        if has_role(connection, caller, repository, "read"):
            return see_other(f"/{repository.path}/requests")
        version = requests.show(connection, call.hub.signer, repository, caller)
        row = grants.newest(connection, repository.uid, grants.subject_of(connection, caller.id))
        reason = grants.why_not(connection, caller, repository)
        status = grants.status_of(row, repository) if row is not None else ""
        held = row is not None and row.terms_sha256 == version.sha256 and status in ("pending", "accepted")
        current = row is not None and held and not (reason and status == "accepted")
    return page(
        call,
        "access.html",
        400 if error else 200,
        repository=repository,
        terms=version,
        content=version.content,
        titles=wording.TITLES,
        boxes=wording.BOXES,
        row=row,
        row_status=status,
        reason=reason,
        asks=not current and status != "rejected",
        given=given or {},
        error=error,
    )


def answer_access(call: Call) -> Response:
    """POST /NAME/access: consent, or its withdrawal."""
    caller, fields = signed_in(call), form(call)
    try:
        with call.hub.database.writing() as connection:
            repository = call.repository(connection)
            if fields.get("action") == "withdraw":
                row, event = grants.withdraw(connection, repository, caller), "withdrawal"
            else:
                asked = _asked(fields, terms.stored(connection, repository), language(call))
                row = requests.ask(connection, call.hub.signer, repository, caller, asked)
                event = "consent"
            api.record(call, event, repository, row)
    except HubError as error:
        if error.status not in (400, 409):
            raise
        return _access(call, fields, error.message)
    return see_other(f"/{repository.path}/access")


def _asked(fields: Mapping[str, str], version: terms.Terms, tongue: str) -> dict[str, Any]:
    """What a script would send, from the boxes and fields of the page."""
    answers: dict[str, Any] = {}
    for number, each in enumerate(version.fields):
        value = fields.get(f"field-{number}", "")
        if each["type"] == "checkbox":
            answers[each["name"]] = bool(value)
        elif value.strip():
            answers[each["name"]] = value
    return {
        "terms": fields.get("terms", ""),
        "language": tongue,
        "agreed": [box for box in requests.REQUIRED_BOXES if fields.get(f"agree-{box}")],
        "affiliation": fields.get("affiliation", ""),
        "purpose": fields.get("purpose", ""),
        "fields": answers,
    }


def show_consents(call: Call) -> Response:
    """GET /settings/consents: all of one's own."""
    caller = signed_in(call)
    with call.hub.database.reading() as connection:
        found = [
            (repository, row, grants.status_of(row, repository))
            for repository, row in reversed(api.consents_of(connection, caller))
        ]
    return page(call, "consents.html", found=found)


def withdraw(call: Call) -> Response:
    """POST /settings/consents: end one."""
    caller, fields = signed_in(call), form(call)
    with call.hub.database.writing() as connection:
        repository = repositories.by_uid(connection, fields.get("repository", ""))
        if repository is None:
            raise HubError(404, "the repository is not there")
        row = grants.withdraw(connection, repository, caller)
        api.record(call, "withdrawal", repository, row)
    return see_other("/settings/consents")


def show_requests(call: Call) -> Response:
    """GET /NAME/requests: who asked, for the owner."""
    signed_in(call)
    with call.hub.database.reading() as connection:
        repository, _ = api.gated(call, connection)
        current = terms.current(connection, repository).sha256
        found = [
            (grants.status_of(row, repository), row, api.listed(connection, repository, row, current))
            for row in reversed(api.rows_of(connection, repository))
        ]
    call.record("requests read", repository=repository.full_name, uid=repository.uid, list="all")
    lists = {status: [each[1:] for each in found if each[0] == status] for status in grants.STATUSES}
    return page(call, "requests.html", repository=repository, lists=lists)


def decide(call: Call) -> Response:
    """POST /NAME/requests: the owner's decision."""
    signed_in(call)
    fields = form(call)
    status, reason = fields.get("status", ""), api.reason_in(fields.get("reason"))
    if status not in grants.STATUSES:
        raise bad_request(f"status is one of {', '.join(grants.STATUSES)}")
    ends = api.end_of(fields.get("expires")) if status == "accepted" else 0
    with call.hub.database.writing() as connection:
        repository, caller = api.gated(call, connection)
        row = api.request_in(connection, repository, {"requestId": fields.get("request")})
        new = grants.decide(connection, repository, caller, row, status, reason, ends)
        api.record(call, "decision", repository, new)
    return see_other(f"/{repository.path}/requests")


def show_terms(call: Call) -> Response:
    """GET /NAME/terms: the editor, with all versions."""
    return _terms(call)


def _terms(call: Call, given: Mapping[str, str] | None = None, error: str = "") -> Response:
    signed_in(call)
    with call.hub.database.reading() as connection:
        repository, _ = call.writable(connection, "admin")
        version = terms.current(connection, repository)
        versions = terms.history(connection, repository)
        warnings = basis.warnings(connection, repository)
    shown = call.query("version")
    return page(
        call,
        "terms.html",
        400 if error else 200,
        repository=repository,
        terms=version,
        content=version.content,
        versions=versions,
        shown=next((each for each in versions if str(each.version) == shown), None),
        titles=wording.TITLES,
        kinds=terms.KINDS,
        rows=max(len(version.fields) + 2, 3),
        warnings=warnings,
        given=given or {},
        error=error,
    )


def publish_terms(call: Call) -> Response:
    """POST /NAME/terms: a new version."""
    signed_in(call)
    fields = form(call)
    try:
        with call.hub.database.writing() as connection:
            repository, caller = call.writable(connection, "admin")
            keeps = bool(fields.get("keeps"))
            found = terms.publish(connection, repository, caller.name, _edited(fields), keeps)
            api.record_terms(call, repository, found)
    except HubError as error:
        if error.status != 400:
            raise
        return _terms(call, fields, error.message)
    return see_other(f"/{repository.path}/terms")


def _edited(fields: Mapping[str, str]) -> dict[str, Any]:
    """Terms as the editor sends them."""

    def number(name: str) -> int:
        text = fields.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 10 else -1

    def by_language(name: str) -> dict[str, str]:
        return {each: _lines(fields.get(f"{name}-{each}", "")) for each in wording.LANGUAGES}

    found = []
    for index in range(terms.MOST_FIELDS):
        if not (name := fields.get(f"name-{index}", "").strip()):
            continue
        options = [each.strip() for each in fields.get(f"options-{index}", "").split(",") if each.strip()]
        entry = {"name": name, "type": fields.get(f"type-{index}", "text"), "options": options}
        found.append(entry | {"required": bool(fields.get(f"required-{index}"))})
    return {
        "heading": by_language("heading"),
        "text": by_language("text"),
        "items": {
            each: {item: _lines(fields.get(f"{item}-{each}", "")) for item in wording.ITEMS}
            for each in wording.LANGUAGES
        },
        "retention_days": number("retention_days"),
        "access_days": number("access_days"),
        "fields": found,
    }


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _of(kind: str, handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    """The same handler for addresses that do not name the type."""

    def typed(call: Call) -> Response:
        call.names["type"] = kind
        return handler(call)

    return typed


def _routes(path: str, show: Callable[[Call], Response], change: Callable[[Call], Response]) -> list[Route]:
    found = []
    for kind, prefix in (("datasets", "/datasets"), ("models", "")):
        address = f"{prefix}/{{namespace}}/{{name}}/{path}"
        found += [Route("GET", address, _of(kind, show)), Route("POST", address, _of(kind, change))]
    return found


ROUTES = [
    Route("GET", "/settings/consents", show_consents),
    Route("POST", "/settings/consents", withdraw),
    *_routes("access", show_access, answer_access),
    *_routes("requests", show_requests, decide),
    *_routes("terms", show_terms, publish_terms),
]
