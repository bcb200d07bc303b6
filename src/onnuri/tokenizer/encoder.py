"""The fastest encoder that gives exactly the ids of HF tokenizers.

A tokenizer.json with our pre-tokenisation runs in compiled code, one encoder a thread; any other goes
through HF tokenizers.
"""

from __future__ import annotations

import itertools
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onnuri.tokenizer.huggingface import byte_of_character, load_tokenizer, spell_bytes
from onnuri.tokenizer.native import Encoder, Merges
from onnuri.tokenizer.presplit import PHRASES, WORDS


class DocumentEncoder(Protocol):
    """Ids of documents, given as UTF-8 bytes with offsets; for use in one thread."""

    def encode(
        self, text: np.ndarray, offsets: np.ndarray, separator: int = -1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids, uint32, and where each document ends; a separator that is not -1 closes each."""


class TokenizerFile:
    """A tokenizer folder, ready to make encoders for any number of threads.

    Raises UserError if there is none or it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder
        try:
            content = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
            self._compiled = _compile(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._compiled = None  # HF tokenizers has the last word, and the clear error

    @cached_property
    def tokenizer(self) -> Any:
        """The HF tokenizer of the folder."""
        return load_tokenizer(self.folder)

    @property
    def compiled(self) -> bool:
        """True when encoding runs in our compiled code."""
        return self._compiled is not None

    def encoder(self) -> DocumentEncoder:
        """A new encoder for one thread."""
        if self._compiled is None:
            return _HuggingFaceEncoder(self.tokenizer)
        merges, byte_ids, phrases, placeholders = self._compiled
        return Encoder(
            merges, byte_ids, mark_prefix=not phrases, phrases=phrases, placeholders=placeholders
        )


class _HuggingFaceEncoder:
    """Encodes through HF tokenizers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(
        self, text: np.ndarray, offsets: np.ndarray, separator: int = -1
    ) -> tuple[np.ndarray, np.ndarray]:
        """See DocumentEncoder."""
        whole = text.tobytes()
        places = offsets.tolist()
        documents = [whole[a:b].decode() for a, b in itertools.pairwise(places)]
        closing = [] if separator < 0 else [separator]
        encoded = self.tokenizer.encode_batch_fast(documents, add_special_tokens=False)
        rows = [np.array([*encoding.ids, *closing], dtype=np.uint32) for encoding in encoded]
        ids = np.concatenate(rows) if rows else np.empty(0, dtype=np.uint32)
        return ids, np.cumsum([len(row) for row in rows], dtype=np.int64)


def _compile(content: dict[str, Any]) -> tuple[Merges, np.ndarray, bool, dict[bytes, int]] | None:
    """What the compiled encoder needs, or None for a file that it cannot run exactly."""
    model, steps = content["model"], (content.get("pre_tokenizer") or {}).get("pretokenizers", [])
    options = {"dropout": None, "unk_token": None, "ignore_merges": False, "fuse_unk": False}
    options |= {"continuing_subword_prefix": None, "end_of_word_suffix": None, "byte_fallback": False}
    if model.get("type") != "BPE" or any(
        model.get(name) not in (value, "") for name, value in options.items()
    ):
        return None
    if content.get("normalizer") or len(steps) != 2 or content.get("truncation"):
        return None
    pattern = steps[0].get("pattern", {}).get("Regex")
    expected = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]
    if steps != expected or pattern not in (WORDS, PHRASES):
        return None
    vocab = model["vocab"]
    byte_ids = np.array([vocab[character] for character in _characters()], dtype=np.uint32)
    merges = model["merges"]
    rows = np.array([(vocab[left], vocab[right], vocab[left + right]) for left, right in merges])
    joined = spell_bytes([left + right for left, right in merges])
    placeholders = {}
    for token in content.get("added_tokens", []):
        if token["special"]:
            continue
        if (
            token["lstrip"]
            or token["rstrip"]
            or token["single_word"]
            or not token["content"].startswith("<|")
        ):
            return None
        placeholders[token["content"].encode()] = token["id"]
    return Merges(rows.reshape(-1, 3), joined), byte_ids, pattern == PHRASES, placeholders


def _characters() -> list[str]:
    table = byte_of_character()
    return sorted(table, key=table.__getitem__)
