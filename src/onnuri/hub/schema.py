"""The tables. Times are seconds since 1970; hashes are hexadecimal.

What a package of the hub alone needs, it defines in its own module upon `METADATA`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()
VERSION = 1
"""Of all tables together; a data folder of another is refused."""

settings = Table("settings", METADATA, Column("name", String, primary_key=True), Column("value", JSON))

accounts = Table(
    "accounts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),  # user, organisation
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False, unique=True),  # casefolded: Lab and lab are one
    Column("fullname", String, nullable=False, default=""),
    Column("email", String, nullable=False, default=""),
    Column("password", String, nullable=False, default=""),  # argon2id; empty: no sign-in by password
    Column("administrator", Boolean, nullable=False, default=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("policy", JSON, nullable=False, default=dict),  # of an organisation
    Column("quota_bytes", BigInteger, nullable=False, default=0),  # 0: that of the hub
    Column("created", Float, nullable=False),
)

members = Table(
    "members",
    METADATA,
    Column("organisation", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("user", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String, nullable=False),  # read, write, admin
)

tokens = Table(
    "tokens",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False, unique=True),
    Column("role", String, nullable=False),  # read, write, admin
    Column("repositories", JSON, nullable=False, default=list),  # NAMESPACE/NAME or NAMESPACE; empty: all
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, default=0),  # 0: never
    Column("revoked", Float, nullable=False, default=0),
    Column("last_used", Float, nullable=False, default=0),
)

repositories = Table(
    "repositories",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column(
        "uid", String, nullable=False, unique=True
    ),  # random: addresses that hold it outlive no repository
    Column("type", String, nullable=False),  # model, dataset
    Column("owner", ForeignKey("accounts.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("gated", String, nullable=False, default=""),  # "", auto, manual
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),
    Column("modified", Float, nullable=False),
    Column("downloads", BigInteger, nullable=False, default=0),
    Column(
        "epoch", Integer, nullable=False, default=1
    ),  # of uploads by xet; a new one forgets the old xorbs
    Column("card", JSON, nullable=False, default=dict),  # front matter of README.md on main
    Column("facts", JSON, nullable=False, default=dict),  # read from the files of main: tags, parameters
    UniqueConstraint("type", "owner", "name_key"),
)

redirects = Table(
    "redirects",
    METADATA,
    Column("type", String, primary_key=True),
    Column("name_key", String, primary_key=True),  # the former namespace/name
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
)

refs = Table(
    "refs",
    METADATA,
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String, primary_key=True),  # branch, tag
    Column("name", String, primary_key=True),
    Column("commit", String, nullable=False),
    Column("message", Text, nullable=False, default=""),
)

commits = Table(
    "commits",
    METADATA,
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("id", String, primary_key=True),  # as git computes it
    Column("parent", String, nullable=False),  # "" of the first
    Column("tree", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("author", String, nullable=False),
    Column("date", BigInteger, nullable=False),
)

trees = Table(
    "trees",
    METADATA,
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String, primary_key=True),  # as git computes it
    Column("entries", LargeBinary, nullable=False),
)

holdings = Table(
    "holdings",
    METADATA,
    Column("repository", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("user", Integer, nullable=False),  # who uploaded it
    Column("uploaded", Float, nullable=False),
    Column("committed", Boolean, nullable=False),
)
"""Which contents a repository has. A content is there only for a repository that it was uploaded to."""
Index("holdings_by_sha256", holdings.c.sha256)
