"""The tables of consent. Rows are added and never changed; only `forms` and `subjects`, which hold what
names a person, are deleted when the time for which they may be kept is over.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from onnuri.hub import schema

terms = Table(
    "terms",
    schema.METADATA,
    Column("id", Integer, primary_key=True),
    Column("repository", String, nullable=False),  # uid: the record outlives the repository
    Column("version", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("content", JSON, nullable=False),
    Column("origin", String, nullable=False),  # owner, or the hash of what the hub made them from
    Column("owner", Integer, nullable=False),  # account that they name as recipient
    Column("keeps_decisions", Boolean, nullable=False),
    Column("creator", String, nullable=False),  # name of an account; "" of the hub
    Column("created", Float, nullable=False),
    UniqueConstraint("repository", "version"),
)

subjects = Table(
    "subjects",
    schema.METADATA,
    Column("user", Integer, primary_key=True),
    Column("subject", String, nullable=False, unique=True),  # the pseudonym
)

showings = Table(
    "showings",
    schema.METADATA,
    Column("subject", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("shown", Float, nullable=False),
)
"""When a person last had these terms before him."""

grants = Table(
    "grants",
    schema.METADATA,
    Column("id", Integer, primary_key=True),
    Column("repository", String, nullable=False, index=True),
    Column("subject", String, nullable=False, index=True),
    Column("request", Integer, nullable=False),  # id of the row that began it; 0: this one
    Column("status", String, nullable=False),  # pending, accepted, rejected, withdrawn
    Column("terms_version", Integer, nullable=False),  # 0: none were accepted
    Column("terms_sha256", String, nullable=False),
    Column("language", String, nullable=False),
    Column("agreed", JSON, nullable=False),  # to which boxes
    Column("recipient", Text, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("shown", Float, nullable=False),
    Column("answered", Float, nullable=False),
    Column("method", String, nullable=False),  # session or token
    Column("decider", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided", Float, nullable=False),
    Column("decided_version", Integer, nullable=False),  # of the terms that a person decided under
    Column("expires", Float, nullable=False),  # 0: never
    Column("withdrawn", Float, nullable=False),
    Column("created", Float, nullable=False),
)
"""The newest row of a subject and repository counts."""

forms = Table(
    "forms",
    schema.METADATA,
    Column("request", Integer, primary_key=True),  # id of the row of grants that began it
    Column("repository", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("user", Integer, nullable=False),
    Column("fullname", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("affiliation", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("fields", JSON, nullable=False),
)

bases = Table(
    "bases",
    schema.METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("repository", String, nullable=False, index=True),
    Column("sources", JSON, nullable=False),
    Column("creator", String, nullable=False),
    Column("created", Float, nullable=False),
)
"""What uploaders state of their sources. The newest row counts."""
