"""Options of scripts/pack.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.errors import UserError


@dataclass
class PackConfig:
    """What to encode, and with what."""

    input: str = "???"
    """Corpus folder."""
    tokenizer: str = "???"
    """Tokenizer folder."""
    output: str = "???"
    """Folder of token shards to write."""
    shard_tokens: int = 1 << 27
    """Tokens in one shard file, about; a document is never cut between two."""
    workers: int = 0
    """Threads; 0: one for each processor that this process may use. The result is the same for any."""

    def __post_init__(self) -> None:
        if self.shard_tokens < 1024:
            raise UserError(f"shard_tokens={self.shard_tokens} must be at least 1024")
        if self.workers < 0:
            raise UserError(f"workers={self.workers} must be at least 0")
