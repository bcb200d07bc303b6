"""Token shards with known contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base.manifest import Manifest
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.tokens.shards import DOCUMENT, SplitWriter, token_dtype

SEPARATOR = 0


def write(
    folder: Path, lengths: list[int], shard_tokens: int, vocab_size: int = 1000, num_sources: int = 1
) -> list[np.ndarray]:
    """Documents of the given lengths (separator included) from the sources, interleaved; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = SplitWriter(folder, "train", token_dtype(vocab_size), shard_tokens)
    generator = np.random.default_rng(0)
    documents = [generator.integers(1, vocab_size, length) for length in lengths]
    for document in documents:
        document[-1] = SEPARATOR
    rows = np.empty(len(lengths), dtype=DOCUMENT)
    rows["length"], rows["bytes"] = lengths, 3 * np.array(lengths)
    rows["source"], rows["lang"] = np.arange(len(lengths)) % num_sources, np.arange(len(lengths)) % 2
    rows["id"] = [f"{number:032x}".encode() for number in range(len(lengths))]
    half = len(lengths) // 2
    for start, stop in ((0, half), (half, len(lengths))):
        part = rows[start:stop].copy()
        part["offset"] = np.cumsum(part["length"]) - part["length"]
        writer.add(np.concatenate([np.empty(0, int), *documents[start:stop]]), part)
    writer.close()
    return documents


def open_loader(
    folder: Path, num_sources: int, global_batch: int, vocab_size: int = 70_000, **options: Any
) -> Loader:
    """A loader of such shards, whose sources are called s0, s1 and so on."""
    sources = [{"name": f"s{number}"} for number in range(num_sources)]
    counts = {"separator": SEPARATOR, "sources": sources, "vocab_size": vocab_size}
    data = Manifest("tokens", {}, {}, counts)
    return Loader(DataConfig(path=str(folder), **options), data, global_batch, folder / "layouts")
