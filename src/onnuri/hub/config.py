"""Options of `onnuri hub`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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
    oidc_issuer: str = ""
    """OpenID Connect provider for sign-in, as its discovery document names it; empty: none."""
    oidc_client: str = ""
    """Id that the provider gave the hub; redirect address there: URL/login/oidc/callback."""
    oidc_secret: str = path_option("")
    """File with the secret that belongs to it; empty: a public client."""
    oidc_create: bool = False
    """Make an account at the first sign-in; otherwise only link accounts with the same verified e-mail."""
    oidc_origins: list[str] = field(default_factory=list)
    """Other origins that the provider's endpoints may have, for example https://keys.example.go.kr."""
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
        self._check_provider()
        if not self.languages or set(self.languages) - {"ko", "en"}:
            raise UserError(f"languages={self.languages} must be of ko and en")

    def _check_provider(self) -> None:
        if not self.oidc_issuer:
            for option in ("oidc_client", "oidc_secret", "oidc_create", "oidc_origins"):
                if getattr(self, option):
                    raise UserError(f"{option}= needs oidc_issuer=https://HOST, the provider's address")
            return
        for option, urls in (("oidc_issuer", [self.oidc_issuer]), ("oidc_origins", self.oidc_origins)):
            for url in urls:
                if not origin(url) or (option == "oidc_origins" and url.rstrip("/") != origin(url)):
                    raise UserError(
                        f"{option}={url} must be https://HOST; http:// only on this machine (127.0.0.1)"
                    )
        if not self.oidc_client:
            raise UserError("oidc_issuer= needs oidc_client=ID, which the provider gave the hub")


def origin(url: object) -> str:
    """Scheme, host, port of an address; empty if a provider cannot have it: https, or http on loopback."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and _loopback(host))
    if not (host and secure and parts.username is None and not parts.fragment and parts.netloc.isascii()):
        return ""
    name = f"[{host}]" if ":" in host else host
    usual = port in (None, 443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
