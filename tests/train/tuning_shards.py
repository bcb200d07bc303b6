"""Conversations and pairs, packed in several small shards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from onnuri.base.manifest import Manifest
from onnuri.tokens.config import DataConfig
from tests.chat.talks import Record, ask, packed, text, turn

CPU = torch.device("cpu")
LENGTH = 1024
PAIRS = 24


class Packed(NamedTuple):
    """A folder of shards."""

    folder: Path
    made: Manifest

    @property
    def config(self) -> DataConfig:
        """As `onnuri tune` reads it."""
        return DataConfig(
            path=str(self.folder), sequence_length=LENGTH, packing="best_fit", reset_positions=True
        )


def pairs(count: int) -> Iterator[Record]:
    """Two answers to the last of two questions, seeded."""
    for number in range(count):
        draw = random.Random(number)
        prompt = [*ask(text(draw), text(draw)), turn("user", text(draw))]
        yield {"prompt": prompt, "chosen": text(draw), "rejected": text(draw)}


def pack_both(folder: Path, tokenizer: str) -> dict[str, Packed]:
    """The pairs, and conversations with their chosen answers, by kind."""
    found = {}
    for kind in ("chat", "preference"):
        (folder / kind).mkdir()
        records = [
            {"messages": [*each["prompt"], turn("assistant", each["chosen"])]} if kind == "chat" else each
            for each in pairs(PAIRS)
        ]
        made = packed(folder / kind, records, tokenizer, kind=kind, shard_tokens=2048)
        assert made.counts["train_shards"] > 1
        found[kind] = Packed(folder / kind / "out", made)
    return found
