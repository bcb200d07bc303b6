"""Accounts of people whom an OpenID Connect provider has identified.

A person is an issuer and a subject, never an e-mail address: that only finds the account that an
administrator made, once, and only if the provider has verified it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Row,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
)

from onnuri.base.errors import optional_package
from onnuri.hub import accounts, schema
from onnuri.hub.config import HubConfig
from onnuri.hub.errors import HubError
from onnuri.hub.names import check_account

if TYPE_CHECKING:
    from onnuri.hub.provider import Provider

LONGEST_EMAIL, LONGEST_SUBJECT = 254, 255

identities = Table(
    "oidc_identities",
    schema.METADATA,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("user", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("issuer", "user"),
)


class Refused(Exception):
    """A sign-in that failed. `reason` is a key of the texts in oidc.html; `detail` is for the log."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Identity:
    """What a checked ID token states. `email` is empty unless the provider has verified it."""

    issuer: str
    subject: str
    email: str
    name: str
    fullname: str


def open_provider(config: HubConfig) -> Provider | None:
    """The provider of the options, if there is one. Raises UserError if they do not fit it."""
    if not config.oidc_issuer:
        return None
    with optional_package("hub-oidc", f"oidc_issuer={config.oidc_issuer}"):
        from onnuri.hub.provider import Provider
    return Provider(config)


def identity_of(issuer: str, claims: dict[str, Any]) -> Identity:
    """The claims that the hub uses. Raises Refused for a subject that cannot be kept."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise Refused("untrusted", "the ID token has no usable sub")
    email = _text(claims, "email")
    verified = claims.get("email_verified") is True and len(email) <= LONGEST_EMAIL
    name, fullname = _text(claims, "preferred_username"), _text(claims, "name")
    return Identity(issuer, subject, email if verified else "", name.partition("@")[0], fullname[:200])


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value.strip() if isinstance(value, str) and value.isprintable() else ""


def account_for(connection: Connection, found: Identity, create: bool) -> tuple[Row[Any], str]:
    """The account of a person, and what was done to have it: "", "linked" or "created".

    Raises Refused if there is none, it is disabled, or the name of a new one is taken.
    """
    table, known = schema.accounts, identities.c
    row = connection.execute(
        select(table)
        .join(identities, known.user == table.c.id)
        .where(known.issuer == found.issuer, known.subject == found.subject)
    ).one_or_none()
    if row is not None:
        return _enabled(row), ""
    row, done = _with_email(connection, found), "linked"
    if row is None:
        if not create:
            raise Refused("unknown" if found.email else "unverified")
        row, done = _new_account(connection, found), "created"
    connection.execute(
        insert(identities).values(
            issuer=found.issuer, subject=found.subject, user=_enabled(row).id, created=time.time()
        )
    )
    return row, done


def _enabled(row: Row[Any]) -> Row[Any]:
    if row.disabled:
        raise Refused("disabled", row.name)
    return row


def _with_email(connection: Connection, found: Identity) -> Row[Any] | None:
    """The one account with this e-mail. Raises Refused if another person of the provider has it."""
    if not found.email:
        return None
    table = schema.accounts
    rows = connection.execute(
        select(table).where(table.c.kind == "user", func.lower(table.c.email) == found.email.lower())
    ).all()
    if not rows:
        return None
    linked = select(identities.c.user).where(
        identities.c.issuer == found.issuer, identities.c.user.in_([row.id for row in rows])
    )
    if len(rows) > 1 or connection.execute(linked).first() is not None:
        raise Refused("email", "another account has the e-mail address")
    return rows[0]


def _new_account(connection: Connection, found: Identity) -> Row[Any]:
    try:
        check_account(found.name)
    except HubError as error:
        raise Refused("name", error.message) from None
    try:
        accounts.create_user(connection, found.name, found.fullname, found.email)
    except HubError as error:
        raise Refused("taken", error.message) from None
    return accounts.account_of(connection, found.name)
