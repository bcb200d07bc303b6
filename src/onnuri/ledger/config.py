"""Options of scripts/ledger.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option


@dataclass
class VerifyConfig:
    """Which run to check."""

    run: str = path_option()
    """Run directory, or a folder that scripts/export.py has written."""
    data: str = path_option("")
    """Where the token shards are now; empty: where the run read them."""
    public_key: str = path_option("")
    """Check the signature too, with this public key (PEM) of whoever signed; empty: no signature."""
    replay: int = 0
    """Run so many recorded steps again, from the newest checkpoint before them, and compare the losses."""

    def __post_init__(self) -> None:
        if self.replay < 0:
            raise UserError(f"replay={self.replay} must be at least 0")


@dataclass
class SourcesConfig:
    """Up to where to count."""

    run: str = path_option()
    """Run directory (its newest complete checkpoint) or one checkpoint: the tokens seen up to it."""
    data: str = path_option("")
    """Where the token shards are now; empty: where the run read them."""


@dataclass
class SignConfig:
    """What to sign, and with what."""

    run: str = path_option()
    """Run directory, or a folder that scripts/export.py has written."""
    key: str = path_option()
    """Private key (PEM, on the curve P-256, P-384 or P-521, without a password)."""
    data: str = path_option("")
    """Where the token shards are now; empty: where the run read them."""
