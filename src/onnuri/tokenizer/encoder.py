"""The fastest encoder that gives exactly the ids of HF tokenizers.

A tokenizer.json with our pre-tokenisation runs in compiled code, one encoder a thread; any other goes
through HF tokenizers.
"""

from __future__ import annotations

import itertools
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from onnuri.tokenizer.huggingface import byte_of_character, load_tokenizer, spell_bytes
from onnuri.tokenizer.native import Encoder, Merges, Unigram
from onnuri.tokenizer.presplit import PHRASES, WORDS
from onnuri.tokenizer.unigram import BYTE_SCORE, PRINTABLE

ADDED = re.compile(r"<\|?[^<>|\x00-\x20]+\|?>")
"""Added tokens of these forms cannot overlap, nor one begin another; of others HF tokenizers knows best."""
LOWEST_SCORE = -100.0
"""Of a learned unigram piece: six characters of their own are then likelier than a byte token."""
UNKNOWN_PENALTY = 10.0
"""What HF tokenizers takes off the lowest score for a character that no piece spells."""


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
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
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
        bounds = offsets.tolist()
        documents = [whole[a:b].decode() for a, b in itertools.pairwise(bounds)]
        closing = [] if separator < 0 else [separator]
        encoded = self.tokenizer.encode_batch_fast(documents, add_special_tokens=False)
        rows = [np.array([*encoding.ids, *closing], dtype=np.uint32) for encoding in encoded]
        ids = np.concatenate(rows) if rows else np.empty(0, dtype=np.uint32)
        return ids, np.cumsum([len(row) for row in rows], dtype=np.int64)


class Compiled(NamedTuple):
    """What our compiled encoder needs."""

    model: Merges | Unigram
    byte_ids: np.ndarray
    phrases: bool
    placeholders: dict[bytes, int]


def _compile(content: dict[str, Any]) -> Compiled | None:
    """What the compiled encoder needs, or None for a file that it cannot run exactly."""
    model, splitter = content["model"], content.get("pre_tokenizer") or {}
    if content.get("normalizer"):
        return None
    vocab = model["vocab"]
    numbers = vocab if isinstance(vocab, dict) else {name: n for n, (name, _) in enumerate(vocab)}
    if len(numbers) != len(vocab) or not all(0 <= number < 1 << 31 for number in numbers.values()):
        return None
    placeholders = {}
    for token in content.get("added_tokens", []):
        name, options = token["content"], ("lstrip", "rstrip", "single_word", "normalized")
        if not ADDED.fullmatch(name) or numbers.get(name) != token["id"] or any(map(token.get, options)):
            return None
        if not token["special"]:
            placeholders[name.encode()] = token["id"]
    if model.get("type") == "Unigram":
        if splitter != _split(WORDS) or not model.get("byte_fallback"):
            return None
        compiled = _compile_unigram(vocab)
        return Compiled(*compiled, phrases=False, placeholders=placeholders) if compiled else None
    wanted: dict[str, Any] = {"dropout": None, "unk_token": None, "ignore_merges": False, "fuse_unk": False}
    wanted |= {"continuing_subword_prefix": None, "end_of_word_suffix": None, "byte_fallback": False}
    if model.get("type") != "BPE" or any(
        model.get(name, value) not in (value, "") for name, value in wanted.items()
    ):
        return None
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    for pattern in (WORDS, PHRASES):
        if splitter == {"type": "Sequence", "pretokenizers": [_split(pattern), byte_level]}:
            return Compiled(*_compile_merges(model), pattern == PHRASES, placeholders)
    return None


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _compile_merges(model: dict[str, Any]) -> tuple[Merges, np.ndarray]:
    vocab = model["vocab"]
    byte_ids = np.array([vocab[character] for character in _characters()], dtype=np.uint32)
    ranks = {
        tuple(pair): rank for rank, pair in enumerate(model["merges"])
    }  # the last of equal pairs counts
    merges = sorted(ranks, key=ranks.__getitem__)
    rows = np.array([(vocab[left], vocab[right], vocab[left + right]) for left, right in merges])
    joined = spell_bytes([left + right for left, right in merges])
    return Merges(rows.reshape(-1, 3), joined, np.array(list(map(ranks.__getitem__, merges)))), byte_ids


def _compile_unigram(vocab: list[tuple[str, float]]) -> tuple[Unigram, np.ndarray] | None:
    """None unless byte tokens and special tokens score so low that no text is ever read as one of them."""
    scores = dict(vocab)
    spelled = {f"<0x{byte:02X}>" for byte in range(256)}
    names = [name for name in scores if name not in spelled and not ADDED.fullmatch(name)]
    if not set(PRINTABLE) <= set(names) or min(scores[name] for name in names) < LOWEST_SCORE:
        return None
    if any(scores[name] > BYTE_SCORE for name in scores.keys() - set(names)):
        return None
    numbers = {name: number for number, name in enumerate(scores)}
    byte_ids = np.array([numbers[f"<0x{byte:02X}>"] for byte in range(256)], dtype=np.uint32)
    ids = np.array([numbers[name] for name in names])
    unknown_score = min(scores.values()) - UNKNOWN_PENALTY
    pieces = [name.encode() for name in names]
    return Unigram(pieces, ids, np.array([scores[name] for name in names]), unknown_score), byte_ids


def _characters() -> list[str]:
    table = byte_of_character()
    return sorted(table, key=table.__getitem__)
