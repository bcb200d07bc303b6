"""Options of scripts/pack.py and of the loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onnuri.base.errors import UserError, check_choice, check_most
from onnuri.config.paths import path_option
from onnuri.tokens.ramp import Ramp, length_ramp


@dataclass
class PackConfig:
    """What to encode, and with what."""

    input: str = path_option()
    """Corpus folder."""
    tokenizer: str = path_option()
    """Tokenizer folder."""
    output: str = path_option()
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


@dataclass
class DataConfig:
    """What is read, and in which order."""

    path: str = path_option()
    """Folder of token shards made by scripts/pack.py; `data=DIR` is short for `data.path=DIR`."""
    sequence_length: int = 1024
    """Tokens S in one training window; also the context length of the exported model."""
    seed: int = 0
    """Keys the order of windows; the same seed gives the same batches on any number of ranks."""
    mixture: dict[str, float] = field(default_factory=dict)
    """Weight of each source, {web:0.7,wiki:0.3}; SOURCE@STEP gives weights from a later step on, for
    annealing. Empty: all windows of the shards in one pool, so that each comes once an epoch."""
    packing: str = "concatenate"
    """concatenate: documents end to end, cut at every window; best_fit: documents are cut only where they
    are longer than a window, for a little padding (arXiv 2404.10830)."""
    reshuffle: str = "windows"
    """What comes in a new order every epoch. windows: the same windows; documents: documents, laid end to
    end and cut anew, so that each epoch has other neighbours and cuts; for data that is repeated."""
    document_mask: bool = True
    """Attention stays within a document: nothing of the documents before it in the window is seen."""
    reset_positions: bool = False
    """Rotary positions start anew in each document."""
    length_ramp: dict[str, int] = field(default_factory=dict)
    """Shorter attention early in the run, {0:128,300:256,900:1024}: from that step (counted from 0) on,
    windows are cut into pieces of so many tokens, and attention stays within a piece as within a document.
    Tokens, targets and their order stay; with reset_positions positions start anew in each piece too. Each
    length must divide sequence_length, and the last one be equal to it. Empty: none."""

    def __post_init__(self) -> None:
        if self.sequence_length < 1 or self.seed < 0:
            raise UserError("data.sequence_length must be at least 1, data.seed at least 0")
        check_most("data.sequence_length", self.sequence_length, 1 << 28)
        check_choice("data.packing", self.packing, ("concatenate", "best_fit"))
        check_choice("data.reshuffle", self.reshuffle, ("windows", "documents"))
        if self.reshuffle == "documents" and self.packing != "concatenate":
            raise UserError(
                f"data.reshuffle=documents lays documents end to end, so data.packing={self.packing} does "
                "not go with it: use data.packing=concatenate, or data.reshuffle=windows"
            )
        if self.lengths.starts[1:] and not self.document_mask:
            raise UserError(
                "data.length_ramp cuts windows by the document mask: leave one of them out, it or "
                "data.document_mask=false"
            )

    @property
    def lengths(self) -> Ramp:
        """Tokens that attention reaches at most, by step."""
        return length_ramp(self.length_ramp, self.sequence_length)

    def order_settings(self) -> dict[str, Any]:
        """The options that decide what a batch holds; a ramp only where there is one, as in older runs."""
        ramp = {"length_ramp": self.length_ramp} if self.length_ramp else {}
        names = ("sequence_length", "seed", "mixture", "packing", "reshuffle")
        return {name: getattr(self, name) for name in names} | ramp
