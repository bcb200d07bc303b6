"""Options of scripts/ledger.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class VerifyConfig:
    """Which run to check."""

    run: str = "???"
    """Run directory."""
    data: str = ""
    """Where the token shards are now; empty: where the run read them."""


@dataclass
class SourcesConfig:
    """Up to where to count."""

    run: str = "???"
    """Run directory, or one checkpoint in it: the tokens seen up to it. The newest whole one of a run."""
    data: str = ""
    """Where the token shards are now; empty: where the run read them."""
