"""Options of every server."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option

HOST_NAME = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]")
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")


@dataclass
class WebConfig:
    """At which address, for which names, with which certificate."""

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 takes requests from other machines."""
    port: int = 8000
    """Port to listen at; 0: a free one."""
    hosts: list[str] = field(default_factory=list)
    """Names by which browsers and clients call the server, or a proxy before it, beside localhost and
    `host`. At a public address without this list, any."""
    tls_certificate: str = path_option("")
    """PEM file with the certificate chain; serves https."""
    tls_key: str = path_option("")
    """PEM file with its private key."""
    stop_seconds: int = 60
    """After SIGTERM, answers in progress have this long to end."""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise UserError("give both tls_certificate= and tls_key=, or neither")
        for name in self.hosts:
            if not HOST_NAME.fullmatch(name):
                raise UserError(
                    f"hosts=[{name}] must be names alone, without http:// and without a port; * is none"
                )
        if not 0 <= self.port < 1 << 16:
            raise UserError(f"port={self.port} must be between 0 and 65535")
        if self.stop_seconds < 1:
            raise UserError(f"stop_seconds={self.stop_seconds} must be at least 1")

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        try:
            return not ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host != "localhost"

    @property
    def accepted_hosts(self) -> frozenset[str] | None:
        """Names that the Host header may have; None: any."""
        if self.public and not self.hosts:
            return None
        return frozenset((*LOCAL_NAMES, self.host, *(name.lower() for name in self.hosts)))

    def check_certificate(self) -> None:
        """Raises UserError if the files of TLS cannot be read."""
        for path in filter(None, (self.tls_certificate, self.tls_key)):
            if not Path(path).is_file():
                raise UserError(f"{path} does not exist: tls_certificate= and tls_key= are PEM files")
            if not os.access(path, os.R_OK):
                raise UserError(f"{path} cannot be read by this user")
        if self.tls_key and b"ENCRYPTED" in Path(self.tls_key).read_bytes():
            raise UserError(
                f"tls_key={self.tls_key} needs a passphrase, which a server has nobody to ask for: "
                "openssl pkey -in KEY -out NEW writes the key without it"
            )
