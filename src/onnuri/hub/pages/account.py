"""One's own account: password, sessions, tokens; links by which someone sets a password."""

from __future__ import annotations

import hashlib
import secrets
import time

from sqlalchemy import Column, Connection, Float, ForeignKey, String, Table, delete, insert, select, update
from starlette.responses import Response

from onnuri.hub import accounts, schema, sessions
from onnuri.hub.api.call import Call
from onnuri.hub.api.router import Route
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.pages.sign_in import begin
from onnuri.hub.pages.view import form, page, see_other, signed_in

LINK_SECONDS = 72 * 3600.0

password_links = Table(
    "password_links",
    schema.METADATA,
    Column("user", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, nullable=False, unique=True),
    Column("expires", Float, nullable=False),
)
"""One a user: a new link ends the one before."""


def new_link(connection: Connection, user: int) -> str:
    """The last part of an address at which a user may set a password, once."""
    code = secrets.token_urlsafe(32)
    connection.execute(delete(password_links).where(password_links.c.user == user))
    connection.execute(
        insert(password_links).values(user=user, sha256=_digest(code), expires=time.time() + LINK_SECONDS)
    )
    return code


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def _user_of(connection: Connection, code: str) -> tuple[int, str]:
    table, people = password_links.c, schema.accounts.c
    row = connection.execute(
        select(people.id, people.name)
        .join(password_links, table.user == people.id)
        .where(table.sha256 == _digest(code), table.expires > time.time(), people.disabled.is_(False))
    ).one_or_none()
    if row is None:
        raise HubError(404, "the link was used or has expired: ask an administrator for a new one")
    return row.id, row.name


def join(call: Call) -> Response:
    """GET /join/CODE."""
    with call.hub.database.reading() as connection:
        _, name = _user_of(connection, call.names["code"])
    return page(call, "join.html", name=name, code=call.names["code"])


def set_password(call: Call) -> Response:
    """POST /join/CODE."""
    call.hub.limits.count_sign_in(call.address)
    password = accounts.hash_password(_twice(form(call)))
    with call.hub.database.writing() as connection:
        user, name = _user_of(connection, call.names["code"])
        connection.execute(delete(password_links).where(password_links.c.user == user))
        _keep(connection, user, password)
    call.record("password set by link", name=name)
    return begin(call, user, name, "/")


def _twice(fields: object) -> str:
    first, second = fields.get("password", ""), fields.get("again", "")  # type: ignore[attr-defined]
    if first != second:
        raise bad_request("the two passwords differ")
    return str(first)


def _keep(connection: Connection, user: int, password: str) -> None:
    """A new password ends all sessions."""
    table = schema.accounts
    connection.execute(update(table).where(table.c.id == user).values(password=password))
    sessions.end_sessions(connection, user)


def show(call: Call) -> Response:
    """GET /settings."""
    caller = signed_in(call)
    with call.hub.database.reading() as connection:
        account = accounts.account_of(connection, caller.name)
        organisations = accounts.organisations_of(connection, caller.id)
    return page(call, "account.html", account=account, organisations=organisations)


def change_password(call: Call) -> Response:
    """POST /settings/password."""
    caller, fields = signed_in(call), form(call)
    call.hub.limits.count_sign_in(call.address)
    with call.hub.database.reading() as connection:
        known = accounts.sign_in(connection, caller.name, fields.get("current", ""))
    if known is None:
        raise HubError(403, "the current password is wrong")
    password = accounts.hash_password(_twice(fields))
    with call.hub.database.writing() as connection:
        _keep(connection, caller.id, password)
    call.record("password changed")
    return begin(call, caller.id, caller.name, "/settings")


def sign_out_everywhere(call: Call) -> Response:
    """POST /settings/sessions."""
    caller = signed_in(call)
    form(call)
    with call.hub.database.writing() as connection:
        sessions.end_sessions(connection, caller.id)
    call.record("sign-out everywhere")
    return see_other("/login")


def tokens(call: Call) -> Response:
    """GET /tokens."""
    return _tokens(call)


def _tokens(call: Call, fresh: str = "") -> Response:
    caller, table = signed_in(call), schema.tokens
    with call.hub.database.reading() as connection:
        rows = connection.execute(
            select(table).where(table.c.user == caller.id, table.c.revoked == 0).order_by(table.c.id)
        ).all()
    return page(call, "tokens.html", rows=rows, fresh=fresh, now=time.time())


def create_token(call: Call) -> Response:
    """POST /tokens: the token is on this page once, and nowhere else."""
    caller, fields = signed_in(call), form(call)
    days = fields.get("days", "90")
    if not (days.isdecimal() and len(days) < 5):
        raise bad_request("the number of days must be a number")
    only = fields.get("repositories", "").replace(",", " ").split()
    if len(only) > 100:
        raise bad_request("a token is for 100 repositories at most, or for all")
    expires = time.time() + int(days) * 86400 if int(days) else 0.0
    name, role = fields.get("name", ""), fields.get("role", "read")
    with call.hub.database.writing() as connection:
        fresh = accounts.create_token(connection, caller.id, name, role, only, expires)
    call.record("token created", name=name, role=role, repositories=only)
    return _tokens(call, fresh)


def revoke(call: Call) -> Response:
    """POST /tokens/revoke."""
    caller, number = signed_in(call), form(call).get("id", "")
    if not (number.isdecimal() and len(number) < 12):
        raise bad_request("the form names no token")
    with call.hub.database.writing() as connection:
        accounts.revoke_token(connection, caller.id, int(number))
    call.record("token revoked", token=int(number))
    return see_other("/tokens")


ROUTES = [
    Route("GET", "/join/{code}", join, anyone=True),
    Route("POST", "/join/{code}", set_password, anyone=True),
    Route("GET", "/settings", show),
    Route("POST", "/settings/password", change_password),
    Route("POST", "/settings/sessions", sign_out_everywhere),
    Route("GET", "/tokens", tokens),
    Route("POST", "/tokens", create_token),
    Route("POST", "/tokens/revoke", revoke),
]
