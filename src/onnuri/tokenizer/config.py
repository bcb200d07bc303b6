"""Options of scripts/tokenizer.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.errors import UserError, check_choice


@dataclass
class TokenizerConfig:
    """What to train on, and how large."""

    input: str = "???"
    """Corpus folder; held-out documents are never used."""
    output: str = "???"
    """Folder to write: tokenizer.json and tokenizer_config.json, which AutoTokenizer loads."""
    algorithm: str = "bpe"
    """bpe: byte-level byte-pair encoding, pre-split for Korean and English."""
    vocab_size: int = 32000
    """Tokens in all, special ones and the 256 bytes included; up to 65536 shards take 2 bytes a token."""
    min_frequency: int = 2
    """Pairs seen fewer times are not merged."""

    def __post_init__(self) -> None:
        check_choice("algorithm", self.algorithm, ("bpe",))
        if self.min_frequency < 1:
            raise UserError(f"min_frequency={self.min_frequency} must be at least 1")
        if self.vocab_size < 320:
            raise UserError(
                f"vocab_size={self.vocab_size} must be at least 320: 256 bytes and special tokens"
            )
