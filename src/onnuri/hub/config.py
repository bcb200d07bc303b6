"""Options of `onnuri hub`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.web.config import WebConfig

MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")


@dataclass
class HubConfig(WebConfig):
    """Where everything is kept, at which address it is reached, within which limits."""

    data: str = path_option()
    """Folder of the hub: tables, contents of files, audit. Made where it is missing."""
    port: int = 8080
    """Port to listen at; 0: a free one."""
    url: str = ""
    """Address that clients use, for example https://hub.example.go.kr; empty: the one that each asks by."""
    anonymous: bool = False
    """Show public repositories to whoever reaches the hub, without a token."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME; empty: SQLite in the data folder."""
    blobs: str = ""
    """s3://BUCKET/PREFIX for the contents of files; empty: the data folder."""
    accel: str = ""
    """nginx's internal location for the contents, for example /contents/; empty: the hub sends them."""
    proxy: str = ""
    """IP address of the web server in front of the hub, which names the client in X-Forwarded-For."""
    signing_key: str = path_option("")
    """Private key in PEM that signs the head of each day of the audit."""
    require_basis: bool = False
    """Keep a dataset private until its uploader has stated licence and legal basis of its sources."""
    quota_bytes: int = 0
    """Bytes that an account may hold, unless it has its own quota; 0: no limit."""
    most_uploads: int = 8
    """Bodies of large files received at a time; one more is asked to come back."""
    requests_per_minute: int = 0
    """Of one user; 0: no limit."""
    sign_ins_per_minute: int = 10
    """Attempts from one address."""
    languages: list[str] = field(default_factory=lambda: ["ko", "en"])
    """Of the pages; the first where a browser names neither."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url and not self.url.startswith(("http://", "https://")):
            raise UserError(f"url={self.url} must begin with http:// or https://")
        if self.accel and not (self.accel.startswith("/") and self.accel.endswith("/")):
            raise UserError(f"accel={self.accel} must begin and end with /")
        if self.most_uploads < 1:
            raise UserError(f"most_uploads={self.most_uploads} must be at least 1")
        for option in ("quota_bytes", "requests_per_minute", "sign_ins_per_minute"):
            if getattr(self, option) < 0:
                raise UserError(f"{option}={getattr(self, option)} must be at least 0")
        if not self.languages or set(self.languages) - {"ko", "en"}:
            raise UserError(f"languages={self.languages} must be of ko and en")


@dataclass
class CollectConfig:
    """What is deleted from where."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub is stopped."""
    grace_hours: float = 25.0
    """How long a content stays that no repository has any more: at least 25 hours."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""
    blobs: str = ""
    """s3://BUCKET/PREFIX, where the hub has it."""


@dataclass
class CreateAdminConfig:
    """Whom."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has."""
    name: str = "???"
    """Name of the account."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""


@dataclass
class VerifyConfig:
    """Which audit to check."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    public_key: str = path_option("")
    """Public key (PEM) of signing_key=: check the signed heads too; empty: their hashes alone."""


@dataclass
class ReviewConfig:
    """Which month to write down."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    month: str = "???"
    """YYYY-MM, in UTC."""
    output: str = path_option()
    """CSV file to write: time, account, address, repository, action, reason."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""

    def __post_init__(self) -> None:
        if not MONTH.fullmatch(self.month):
            raise UserError(f"month={self.month} must be YYYY-MM, for example 2026-11")
