"""People, organisations, and the tokens that they use."""

from __future__ import annotations

import hashlib
import secrets
import time
import zlib
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from onnuri.hub import schema
from onnuri.hub.access import ROLES, bad_token
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.names import check_account
from onnuri.hub.records import Caller

PREFIX = "onnuri_"
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1024
USED_EVERY = 300.0
"""Seconds: how exactly a token's last use is kept."""
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_hex(16))


def create_user(
    connection: Connection,
    name: str,
    fullname: str = "",
    email: str = "",
    password: str = "",
    administrator: bool = False,
) -> int:
    """Id of a new user. Raises HubError for a name that is taken or none, or a password too short."""
    return _create(
        connection,
        kind="user",
        name=check_account(name),
        fullname=fullname,
        email=email,
        password=hash_password(password) if password else "",
        administrator=administrator,
    )


def create_organisation(connection: Connection, name: str, fullname: str, owner: int) -> int:
    """Id of a new organisation, which `owner` administers."""
    account = _create(connection, kind="organisation", name=check_account(name), fullname=fullname)
    set_member(connection, account, owner, "admin")
    return account


def _create(connection: Connection, **values: Any) -> int:
    try:
        with connection.begin_nested():
            row = connection.execute(
                insert(schema.accounts)
                .values(**values, name_key=values["name"].casefold(), created=time.time())
                .returning(schema.accounts.c.id)
            )
            return int(row.scalar_one())
    except IntegrityError:
        raise HubError(409, f"the name {values['name']} is taken") from None


def find_account(connection: Connection, name: str) -> Row[Any] | None:
    """A user or organisation, by its name in any case."""
    table = schema.accounts
    return connection.execute(select(table).where(table.c.name_key == name.casefold())).one_or_none()


def account_of(connection: Connection, name: str, kind: str = "") -> Row[Any]:
    """The same. Raises HubError if there is none, or it is of another kind."""
    found = find_account(connection, name)
    if found is None or (kind and found.kind != kind):
        raise HubError(404, f"no {kind or 'account'} has the name {name[:100]!r}")
    return found


def set_member(connection: Connection, organisation: int, user: int, role: str) -> None:
    """Give a user a role in an organisation; "" ends it. Raises HubError for the last administrator."""
    if role and role not in ROLES:
        raise bad_request(f"a role is one of {', '.join(ROLES)}")
    table = schema.members
    connection.execute(delete(table).where(table.c.organisation == organisation, table.c.user == user))
    if role:
        connection.execute(insert(table).values(organisation=organisation, user=user, role=role))
    left = select(table.c.user).where(table.c.organisation == organisation, table.c.role == "admin")
    if connection.execute(left.limit(1)).first() is None:
        raise HubError(409, "an organisation keeps one member with the role admin at least")


def organisations_of(connection: Connection, user: int) -> list[tuple[str, str, str]]:
    """Name, full name and role of each."""
    accounts, members = schema.accounts.c, schema.members.c
    rows = connection.execute(
        select(accounts.name, accounts.fullname, members.role)
        .join(schema.members, members.organisation == accounts.id)
        .where(members.user == user)
        .order_by(accounts.name_key)
    )
    return [(row.name, row.fullname, row.role) for row in rows]


def hash_password(password: str) -> str:
    """argon2id. Raises HubError for one that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise bad_request(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters")
    return _HASHER.hash(password)


def sign_in(connection: Connection, name: str, password: str) -> Row[Any] | None:
    """The user with this password; None otherwise, after the same time whether or not there is one."""
    found = find_account(connection, name)
    known = found is not None and found.kind == "user" and bool(found.password)
    try:
        _HASHER.verify(found.password if known and found else _NOBODY, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    return found if known and found and not found.disabled else None


def create_token(
    connection: Connection,
    user: int,
    name: str,
    role: str = "read",
    repositories: list[str] | None = None,
    expires: float = 0,
) -> str:
    """A new token, which is not kept: 256 random bits, so that one round of SHA-256 hides it."""
    if role not in ROLES:
        raise bad_request(f"a role is one of {', '.join(ROLES)}")
    if not name.strip() or len(name) > 100:
        raise bad_request("a token has a name of 1 to 100 characters")
    if expires and expires < time.time():
        raise bad_request("a token cannot expire in the past")
    body = secrets.token_urlsafe(32)
    token = f"{PREFIX}{body}{zlib.crc32(body.encode()):08x}"
    values = {"name": name, "role": role, "repositories": repositories or [], "expires": expires}
    connection.execute(
        insert(schema.tokens).values(user=user, sha256=_digest(token), created=time.time(), **values)
    )
    return token


def revoke_token(connection: Connection, user: int, token: int) -> None:
    """End a token of a user at once. Raises HubError if he has none of this id in use."""
    table = schema.tokens
    changed = connection.execute(
        update(table)
        .where(table.c.id == token, table.c.user == user, table.c.revoked == 0)
        .values(revoked=time.time())
    )
    if not changed.rowcount:
        raise HubError(404, "no token in use has this id")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


_TOKEN_ROWS = select(
    schema.tokens,
    schema.accounts.c.name.label("user_name"),
    schema.accounts.c.administrator,
    schema.accounts.c.disabled,
).join(schema.accounts, schema.accounts.c.id == schema.tokens.c.user)


def token_row(connection: Connection, token: str) -> Row[Any]:
    """A token and its user. Raises HubError if it is wrong, expired or revoked, or its user is disabled."""
    body, check = token.removeprefix(PREFIX)[:-8], token[-8:]
    if not token.startswith(PREFIX) or f"{zlib.crc32(body.encode(errors='replace')):08x}" != check:
        raise bad_token()
    return _in_use(
        connection.execute(_TOKEN_ROWS.where(schema.tokens.c.sha256 == _digest(token))).one_or_none()
    )


def _in_use(row: Row[Any] | None) -> Row[Any]:
    if row is None or row.revoked or row.disabled or (row.expires and row.expires < time.time()):
        raise bad_token()
    return row


def caller_again(connection: Connection, method: str) -> Caller:
    """Whom a token, named by `Caller.method`, stands for now. Raises HubError if it is no longer in use."""
    kind, _, number = method.partition(":")
    row = None
    if kind == "token":
        row = connection.execute(_TOKEN_ROWS.where(schema.tokens.c.id == int(number))).one_or_none()
    return caller_of(_in_use(row))


def caller_of(row: Row[Any]) -> Caller:
    """Whom a row of `token_row` stands for."""
    return Caller(
        id=row.user,
        name=row.user_name,
        administrator=row.administrator,
        role=row.role,
        repositories=tuple(row.repositories),
        method=f"token:{row.id}",
    )


def touch_token(connection: Connection, token: int) -> None:
    """Put on record that a token is in use."""
    table = schema.tokens
    connection.execute(update(table).where(table.c.id == token).values(last_used=time.time()))


def token_name(connection: Connection, caller: Caller) -> str:
    """What the caller's token is called by its owner; "session" without one."""
    kind, _, number = caller.method.partition(":")
    if kind != "token":
        return kind
    table = schema.tokens.c
    return str(connection.execute(select(table.name).where(table.id == int(number))).scalar_one())
