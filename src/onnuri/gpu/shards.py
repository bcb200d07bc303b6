"""Synthetic token shards for measuring: documents of the lengths of web text, made of nothing.

    python -m onnuri.gpu.shards DIR TOKENS

Lengths are lognormal with a mean of 830 tokens, ids follow Zipf's law. scripts/pretrain.py takes the
folder as it takes one of scripts/pack.py; its tokenizer has words w0 to w31999.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.tokens.shards import DOCUMENT, SplitWriter, token_dtype

VOCABULARY = 32000
SEPARATOR = 0
MEAN_LOG, DEVIATION_LOG = 6.0, 1.2
EXPONENT = 1.3
BYTES_A_TOKEN = 4
BATCH = 256
"""Documents drawn at a time."""


def write_shards(folder: Path, tokens: int) -> Path:
    """Write about `tokens` training tokens, a 40th of that held out; returns the folder."""
    generator = np.random.default_rng(0)
    with manifest.building(folder, "tokens") as unfinished:
        writers = {
            split: _write_split(unfinished, split, count, generator)
            for split, count in (("train", tokens), ("heldout", tokens // 40))
        }
        _write_tokenizer(unfinished / "tokenizer")
        np.save(unfinished / "token_bytes.npy", np.full(VOCABULARY, BYTES_A_TOKEN, dtype=np.int32))
        source = {
            "name": "synthetic",
            "license": "CC0-1.0",
            "legal_basis": "made by onnuri.gpu.shards",
            "unverified": False,
            "lang": "",
            **{f"train_{unit}": count for unit, count in writers["train"].totals(0).items()},
        }
        counts = {
            **{split: writer.totals() for split, writer in writers.items()},
            **{f"{split}_shards": writer.num_shards for split, writer in writers.items()},
            "vocab_size": VOCABULARY,
            "dtype": token_dtype(VOCABULARY).name,
            "separator": SEPARATOR,
            "languages": [""],
            "sources": [source],
            "tokenizer_sha256": manifest.hash_file(unfinished / "tokenizer" / "tokenizer.json"),
        }
        manifest.seal(unfinished, "tokens", {"tokens": tokens}, {}, counts)
    return folder


def _write_split(folder: Path, split: str, tokens: int, generator: np.random.Generator) -> SplitWriter:
    writer = SplitWriter(folder, split, token_dtype(VOCABULARY), 1 << 27)
    while writer.totals()["tokens"] < tokens:
        lengths = np.maximum(2, generator.lognormal(MEAN_LOG, DEVIATION_LOG, BATCH).astype(np.int64))
        ends = lengths.cumsum()
        documents = np.zeros(BATCH, dtype=DOCUMENT)
        documents["length"], documents["offset"] = lengths, ends - lengths
        documents["bytes"] = BYTES_A_TOKEN * lengths
        documents["id"] = [f"{number:032x}".encode() for number in generator.integers(0, 2**60, BATCH)]
        ids = generator.zipf(EXPONENT, ends[-1]) % (VOCABULARY - 1) + 1
        ids[ends - 1] = SEPARATOR
        writer.add(ids, documents)
    writer.close()
    return writer


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir()
    unused = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    words = {f"w{number}": number for number in range(VOCABULARY)}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "w0"}
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        **dict.fromkeys(unused),
        "model": model,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "w0"}')


if __name__ == "__main__":
    try:
        target, amount = Path(sys.argv[1]), int(float(sys.argv[2]))
        if len(sys.argv) != 3 or amount < 1:
            raise ValueError
    except (IndexError, ValueError, OverflowError):
        sys.exit("usage: python -m onnuri.gpu.shards DIR TOKENS (such as tokens 2e6)")
    try:
        print(write_shards(target, amount))
    except UserError as error:
        sys.exit(f"error: {error}")
