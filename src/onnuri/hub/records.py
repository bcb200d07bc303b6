"""A caller and a repository: what the rules of `access` are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from onnuri.hub import schema


@dataclass(frozen=True)
class Caller:
    """Whom a request comes from."""

    id: int
    name: str
    administrator: bool = False
    """Of the hub. May see and close every repository, and read the files of none but his own."""
    role: str = "admin"
    """What the token allows at most."""
    repositories: tuple[str, ...] = ()
    """NAMESPACE or NAMESPACE/NAME that the token is for; empty: all."""
    method: str = "session"
    """session, or token:ID."""


@dataclass(frozen=True)
class Repository:
    """A repository, with the name of its owner."""

    id: int
    uid: str
    type: str
    owner: int
    owner_kind: str
    namespace: str
    name: str
    private: bool
    gated: str
    disabled: bool
    created: float
    modified: float
    downloads: int
    epoch: int
    card: dict[str, Any]
    facts: dict[str, Any]

    @property
    def full_name(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """The first part of the addresses of its pages and files."""
        return self.full_name if self.type == "model" else f"datasets/{self.full_name}"


_OWNER = schema.accounts.alias("owner")
REPOSITORY_ROWS = select(
    *(column for column in schema.repositories.c if column.name != "name_key"),
    _OWNER.c.name.label("namespace"),
    _OWNER.c.kind.label("owner_kind"),
).join(_OWNER, _OWNER.c.id == schema.repositories.c.owner)
OWNER_KEY = _OWNER.c.name_key


def repository_of(row: Any) -> Repository:
    """From a row of REPOSITORY_ROWS."""
    return Repository(**row._mapping)
