"""Pages of administrators (people, organisations, quotas, public keys), of accounts, of sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from starlette.responses import Response

from onnuri.hub import access, accounts, quotas, records, repositories, schema, sessions
from onnuri.hub.api.call import Call
from onnuri.hub.api.describe import tags_of
from onnuri.hub.api.router import Route
from onnuri.hub.api.search import matching
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.pages import provenance
from onnuri.hub.pages.account import new_link
from onnuri.hub.pages.provenance import public_keys
from onnuri.hub.pages.view import form, page, see_other, signed_in, visible
from onnuri.hub.records import Caller

Form = Mapping[str, str]
MOST_SHOWN, MOST_READ = 200, 2000


def _administrator(call: Call) -> Caller:
    signed_in(call)
    return access.check_administrator(call.caller)


def accounts_page(call: Call) -> Response:
    """GET /admin."""
    return _accounts(call)


def _accounts(call: Call, link: str = "", name: str = "") -> Response:
    _administrator(call)
    table = schema.accounts
    with call.hub.database.reading() as connection:
        rows = [
            (row, quotas.used(connection, row.id))
            for row in connection.execute(select(table).order_by(table.c.kind.desc(), table.c.name_key))
        ]
        keys = connection.execute(
            select(public_keys.c.id, public_keys.c.name, table.c.name.label("account"))
            .outerjoin(table, table.c.id == public_keys.c.account)
            .order_by(public_keys.c.id)
        ).all()
    default = call.hub.config.quota_bytes
    return page(call, "admin.html", rows=rows, keys=keys, link=link, linked=name, default=default)


def change_accounts(call: Call) -> Response:
    """POST /admin: one change of one account."""
    caller, fields = _administrator(call), form(call)
    action, name = fields.get("action", ""), fields.get("name", "").strip()
    if action not in ACTIONS:
        raise bad_request("the form has no known action")
    with call.hub.database.writing() as connection:
        code = ACTIONS[action](connection, caller, name, fields)
    call.record(f"administration: {action}", account=name)
    return _accounts(call, f"{call.base}/join/{code}", name) if code else see_other("/admin")


def _details(fields: Form) -> tuple[str, str]:
    """Full name and e-mail address."""
    return fields.get("fullname", "").strip()[:200], fields.get("email", "").strip()[:254]


def _invite(connection: Connection, _: Caller, name: str, fields: Form) -> str:
    return new_link(connection, accounts.create_user(connection, name, *_details(fields)))


def _change_details(connection: Connection, _: Caller, name: str, fields: Form) -> str:
    """By administrators alone: a provider's sign-in finds a person by the e-mail address."""
    table, account = schema.accounts, accounts.account_of(connection, name)
    fullname, email = _details(fields)
    connection.execute(
        update(table)
        .where(table.c.id == account.id)
        .values(fullname=fullname, email=email if account.kind == "user" else "")
    )
    return ""


def _create_organisation(connection: Connection, _: Caller, name: str, fields: Form) -> str:
    owner = accounts.account_of(connection, fields.get("owner", "").strip(), "user")
    accounts.create_organisation(connection, name, _details(fields)[0], owner.id)
    return ""


def _reset_password(connection: Connection, _: Caller, name: str, __: Form) -> str:
    return new_link(connection, accounts.account_of(connection, name, "user").id)


def _disable(connection: Connection, caller: Caller, name: str, fields: Form) -> str:
    table, user = schema.accounts, accounts.account_of(connection, name, "user").id
    if user == caller.id:
        raise bad_request("nobody can disable his own account")
    disabled = fields["action"] == "disable"
    connection.execute(update(table).where(table.c.id == user).values(disabled=disabled))
    sessions.end_sessions(connection, user)
    return ""


def _set_quota(connection: Connection, _: Caller, name: str, fields: Form) -> str:
    table, size = schema.accounts, fields.get("gib", "")
    if not (size.isdecimal() and len(size) < 8):
        raise bad_request("the quota is a whole number of GiB; 0: that of the hub")
    account = accounts.account_of(connection, name)
    connection.execute(update(table).where(table.c.id == account.id).values(quota_bytes=int(size) << 30))
    return ""


def _add_key(connection: Connection, _: Caller, name: str, fields: Form) -> str:
    pem = fields.get("pem", "").strip()
    if "PUBLIC KEY" not in pem or "PRIVATE" in pem or len(pem) > 5000:
        raise bad_request("the key is a public key in PEM")
    known = accounts.account_of(connection, name).id if name else None
    label = fields.get("label", "").strip()[:100] or name or "hub"
    connection.execute(insert(public_keys).values(account=known, name=label, pem=pem + "\n"))
    return ""


def _remove_key(connection: Connection, _: Caller, __: str, fields: Form) -> str:
    number = fields.get("key", "")
    known = number.isdecimal() and len(number) < 10
    if (
        not known
        or not connection.execute(delete(public_keys).where(public_keys.c.id == int(number))).rowcount
    ):
        raise HubError(404, "there is no such public key")
    return ""


ACTIONS: dict[str, Callable[[Connection, Caller, str, Form], str]] = {
    "invite": _invite,
    "details": _change_details,
    "organisation": _create_organisation,
    "reset": _reset_password,
    "disable": _disable,
    "enable": _disable,
    "quota": _set_quota,
    "key": _add_key,
    "remove key": _remove_key,
}
"""Of the form's field `action`; what they return is the code of a link by which a password is set."""


def account_page(call: Call) -> Response:
    """GET /NAME: a user or organisation, with the repositories that the caller may see."""
    visible(call)
    people, members = schema.accounts.c, schema.members.c
    with call.hub.database.reading() as connection:
        account = accounts.account_of(connection, call.names["account"])
        rows = connection.execute(
            records.REPOSITORY_ROWS.where(schema.repositories.c.owner == account.id).order_by(
                schema.repositories.c.modified.desc()
            )
        )
        seen = [records.repository_of(row) for row in rows]
        found = [
            (each, tags_of(each))
            for each in seen
            if access.may_see(connection, call.caller, each, call.hub.config.anonymous)
        ][:MOST_SHOWN]
        joined: Sequence[Any] = []
        if call.caller and account.kind == "organisation":
            joined = connection.execute(
                select(people.name, people.fullname, members.role)
                .join(schema.members, members.user == people.id)
                .where(members.organisation == account.id)
                .order_by(people.name_key)
            ).all()
        role = access.role_at(connection, call.caller, account.id)
    manages = role == "admin" and account.kind == "organisation"
    return page(call, "namespace.html", account=account, found=found, members=joined, manages=manages)


def change_members(call: Call) -> Response:
    """POST /NAME: a member's role in an organisation; an empty one ends it."""
    caller, fields = signed_in(call), form(call)
    with call.hub.database.writing() as connection:
        account = accounts.account_of(connection, call.names["account"], "organisation")
        access.check_namespace(connection, caller, account.id, account.name, "admin")
        user = accounts.account_of(connection, fields.get("user", "").strip(), "user")
        accounts.set_member(connection, account.id, user.id, fields.get("role", ""))
    call.record("member", organisation=account.name, member=user.name, role=fields.get("role", ""))
    return see_other(f"/{account.name}")


def sources(call: Call) -> Response:
    """GET /sources?source=TEXT: what names a source, of all whose files the caller may have."""
    visible(call)
    wanted = call.query("source").strip()[:200]
    found = []
    if wanted:
        with call.hub.database.reading() as connection:
            for number, (_, repository) in enumerate(matching(call, connection, ["model", "dataset"])):
                if number >= MOST_READ:
                    raise HubError(413, f"more than {MOST_READ:,} repositories: narrow it with author=")
                if access.why_no_files(connection, call.caller, repository):
                    continue
                tree = repositories.resolve(connection, repository.id, repositories.MAIN).tree
                rows = provenance.sources_at(call.hub, connection, repository, tree)
                found += [(repository, row) for row in rows if wanted.casefold() in row["name"].casefold()]
    return page(call, "sources.html", wanted=wanted, found=found)


ROUTES = [
    Route("GET", "/admin", accounts_page),
    Route("POST", "/admin", change_accounts),
    Route("GET", "/sources", sources),
]
NAMESPACES = [Route("GET", "/{account}", account_page), Route("POST", "/{account}", change_members)]
