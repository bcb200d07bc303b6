"""Pages of administrators (people, organisations, quotas, public keys), of accounts, of sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update
from starlette.responses import Response

from onnuri.hub import access, accounts, quotas, records, repositories, schema, sessions
from onnuri.hub.api.call import Call
from onnuri.hub.api.describe import tags_of
from onnuri.hub.api.router import Route
from onnuri.hub.api.search import matching
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.pages import provenance
from onnuri.hub.pages.account import new_link
from onnuri.hub.pages.view import form, page, see_other, signed_in, visible
from onnuri.hub.records import Caller

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
    return page(call, "admin.html", rows=rows, link=link, linked=name, default=call.hub.config.quota_bytes)


def change_accounts(call: Call) -> Response:
    """POST /admin: one change of one account."""
    caller, fields = _administrator(call), form(call)
    action, name = fields.get("action", ""), fields.get("name", "").strip()
    code, table = "", schema.accounts
    with call.hub.database.writing() as connection:
        if action == "invite":
            email = fields.get("email", "").strip()[:254]
            user = accounts.create_user(connection, name, fields.get("fullname", "")[:200], email)
            code = new_link(connection, user)
        elif action == "organisation":
            owner = accounts.account_of(connection, fields.get("owner", "").strip(), "user")
            accounts.create_organisation(connection, name, fields.get("fullname", "")[:200], owner.id)
        elif action == "reset":
            code = new_link(connection, accounts.account_of(connection, name, "user").id)
        elif action in ("disable", "enable"):
            user = accounts.account_of(connection, name, "user").id
            if user == caller.id:
                raise bad_request("nobody can disable his own account")
            connection.execute(update(table).where(table.c.id == user).values(disabled=action == "disable"))
            sessions.end_sessions(connection, user)
        elif action == "quota":
            size = fields.get("gib", "")
            if not (size.isdecimal() and len(size) < 8):
                raise bad_request("the quota is a whole number of GiB; 0: that of the hub")
            account = accounts.account_of(connection, name)
            connection.execute(
                update(table).where(table.c.id == account.id).values(quota_bytes=int(size) << 30)
            )
        elif action == "key":
            pem = fields.get("pem", "").strip()
            if "PUBLIC KEY" not in pem or "PRIVATE" in pem or len(pem) > 5000:
                raise bad_request("the key is a public key in PEM")
            known = accounts.account_of(connection, name).id if name else None
            label = fields.get("label", "").strip()[:100] or name or "hub"
            connection.execute(
                insert(provenance.public_keys).values(account=known, name=label, pem=pem + "\n")
            )
        else:
            raise bad_request("the form has no known action")
    call.record(f"administration: {action}", account=name)
    return _accounts(call, f"{call.base}/join/{code}", name) if code else see_other("/admin")


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
