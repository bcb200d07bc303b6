"""Compiled code for counting, merging and encoding (C++17, called through ctypes; no lock is held).

`split.h` cuts text, `counter.h` counts pieces, `trainer.h` learns merges, `encoder.h` applies
them, `unigram.h` is the other model.
Text goes in as valid UTF-8 with offsets, as Arrow holds it: no Python object is made per document or word.
"""

from __future__ import annotations

import ctypes
import platform
import types
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base.errors import UserError
from onnuri.tokenizer.presplit import character_classes
from onnuri.tokenizer.special import PLACEHOLDERS

POINTER, INT64, TEXT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "counter_new": (POINTER, [INT64]),
    "counter_free": (None, [POINTER]),
    "counter_size": (INT64, [POINTER]),
    "counter_bytes": (INT64, [POINTER]),
    "counter_share": (INT64, [POINTER]),
    "counter_merge": (None, [POINTER, POINTER]),
    "counter_export": (INT64, [POINTER] * 4 + [INT64] * 2),
    "counter_add": (None, [POINTER] * 4 + [INT64]),
    "counter_add_text": (INT64, [POINTER, POINTER, INT64, INT64, TEXT] + [POINTER] * 4 + [INT64]),
    "split": (INT64, [POINTER, INT64, INT64, POINTER, INT64, POINTER]),
    "trainer_new": (POINTER, [POINTER, POINTER, INT64, POINTER, POINTER, POINTER, INT64, INT64, INT64]),
    "trainer_free": (None, [POINTER]),
    "trainer_run": (INT64, [POINTER, INT64, INT64]),
    "trainer_num_tokens": (INT64, [POINTER]),
    "trainer_num_merges": (INT64, [POINTER]),
    "trainer_merges": (None, [POINTER] * 3),
    "merges_new": (POINTER, [POINTER, POINTER, INT64, INT64]),
    "first_phrase": (INT64, [POINTER, POINTER, POINTER, INT64]),
    "merges_free": (None, [POINTER]),
    "unigram_new": (POINTER, [POINTER] * 4 + [INT64, ctypes.c_double]),
    "unigram_free": (None, [POINTER]),
    "encoder_new": (POINTER, [POINTER, POINTER, POINTER, INT64, INT64, POINTER, TEXT, POINTER]),
    "encoder_free": (None, [POINTER]),
    "encoder_encode": (INT64, [POINTER, POINTER, POINTER, INT64, INT64, POINTER, POINTER]),
}
Words = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pieces of text: bytes (uint8), where each starts (int64, one more than pieces), counts (int64)."""


@cache
def library() -> Any:
    """The shared library that installing the package compiles.

    Raises UserError when it is not there.
    """
    path = Path(__file__).with_name(f"_bpe.{platform.machine()}.so")
    if not path.is_file():
        raise UserError("the compiled tokenizer is missing; run `make install` (it needs a C++ compiler)")
    loaded = ctypes.CDLL(str(path))
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


class _Handle:
    """Something that lives in the library until Python forgets it."""

    def __init__(self, kind: str, *arguments: Any) -> None:
        self.library = library()
        self.pointer = getattr(self.library, f"{kind}_new")(*arguments)
        weakref.finalize(self, getattr(self.library, f"{kind}_free"), self.pointer)


def _address(array: np.ndarray) -> int:
    return array.ctypes.data


def lay_out(pieces: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Pieces one after the other, uint8, and where each starts, int64 (one more than pieces)."""
    text = np.frombuffer(b"".join(pieces) or b"\0", dtype=np.uint8)
    return text, np.cumsum([0, *map(len, pieces)], dtype=np.int64)


class Counter(_Handle):
    """Distinct pieces of text with 64-bit counts.

    With `most_bytes` it keeps a sample that stays below that size: the pieces whose hash is small, so the
    sample is the same whatever the order and however many counters share the work.
    """

    def __init__(self, most_bytes: int = 0) -> None:
        super().__init__("counter", most_bytes)

    def __len__(self) -> int:
        return self.library.counter_size(self.pointer)

    @property
    def num_bytes(self) -> int:
        """Bytes of all pieces together."""
        return self.library.counter_bytes(self.pointer)

    @property
    def sampled(self) -> int:
        """One piece in so many is kept."""
        return self.library.counter_share(self.pointer)

    def add_text(
        self, text: np.ndarray, offsets: np.ndarray, weights: np.ndarray, mark_prefix: bool, phrases: bool
    ) -> int:
        """Count the words (or phrases) of documents; each counts `weights[document]` times.

        Placeholders of personal data are left out: they are tokens already. So is what comes after the
        first 128 KB of text without a space; returns how many bytes.
        """
        classes, ids = character_classes(), np.zeros(len(PLACEHOLDERS), dtype=np.uint32)
        return self.library.counter_add_text(
            self.pointer,
            _address(classes),
            mark_prefix,
            phrases,
            "".join(f"{name}\n" for name in PLACEHOLDERS).encode(),
            _address(ids),
            _address(text),
            _address(offsets),
            _address(weights),
            len(weights),
        )

    def add(self, words: Words) -> None:
        """Add pieces that are counted already."""
        text, offsets, counts = words
        self.library.counter_add(
            self.pointer, _address(text), _address(offsets), _address(counts), len(counts)
        )

    def merge(self, other: Counter) -> None:
        """Add everything that another counter holds."""
        self.library.counter_merge(self.pointer, other.pointer)

    def words(self, part: int = 0, parts: int = 1) -> Words:
        """The pieces of one part in `parts` by hash, in an order that means nothing."""
        text = np.empty(self.num_bytes, dtype=np.uint8)
        offsets, counts = np.empty(len(self) + 1, dtype=np.int64), np.empty(len(self), dtype=np.int64)
        size = self.library.counter_export(
            self.pointer, _address(text), _address(offsets), _address(counts), part, parts
        )
        return text[: offsets[size]], offsets[: size + 1], counts[:size]


def split(text: bytes, mark_prefix: bool, phrases: bool) -> list[bytes]:
    """The words (or phrases) of a text."""
    ends = np.empty(len(text) + 1, dtype=np.int64)
    source, classes = np.frombuffer(text, dtype=np.uint8), character_classes()
    count = library().split(
        _address(classes), mark_prefix, phrases, _address(source), len(text), _address(ends)
    )
    starts = [0, *ends[: count - 1].tolist()] if count else []
    return [text[start:stop] for start, stop in zip(starts, ends[:count].tolist(), strict=True)]


class Trainer(_Handle):
    """Learns merges over pieces that are runs of token ids.

    Args:
        tokens: the bytes of each id so far; b"" for ids that take part in no merge.
        ids, offsets, counts: int32 ids of all pieces, int64 starts (one more than pieces), int64 counts.
        min_count: pairs seen fewer times are not merged.
        max_bytes: longest token.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        ids: np.ndarray,
        offsets: np.ndarray,
        counts: np.ndarray,
        *,
        min_count: int,
        max_bytes: int,
    ) -> None:
        text, starts = lay_out(tokens)
        ids = np.ascontiguousarray(ids, dtype=np.int32)
        super().__init__(
            "trainer",
            _address(text),
            _address(starts),
            len(tokens),
            _address(ids),
            _address(offsets),
            _address(counts),
            len(counts),
            min_count,
            max_bytes,
        )

    def run(self, num_tokens: int, steps: int) -> bool:
        """Merge up to `steps` times or until there are `num_tokens`; False when nothing is left to do."""
        return bool(self.library.trainer_run(self.pointer, num_tokens, steps))

    @property
    def num_tokens(self) -> int:
        """Tokens by now, those given at the start included."""
        return self.library.trainer_num_tokens(self.pointer)

    def merges(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of (left, right, joined) ids, int32 [merges, 3], and how often each pair was seen, int64."""
        size = self.library.trainer_num_merges(self.pointer)
        rows, counts = np.empty((size, 3), dtype=np.int32), np.empty(size, dtype=np.int64)
        self.library.trainer_merges(self.pointer, _address(rows), _address(counts))
        return rows, counts


class Merges(_Handle):
    """Merge rules by rank, shared by the encoders of all threads.

    Args:
        rows: (left, right, joined) ids, int32 [merges, 3]; no pair twice.
        joined: the bytes of each rule's joined token.
        ranks: rank of each rule, rising; equal ranks go from left to right. Not given: 0, 1, 2, ...
    """

    def __init__(self, rows: np.ndarray, joined: Sequence[bytes], ranks: np.ndarray | None = None) -> None:
        ranks = np.arange(len(rows), dtype=np.uint32) if ranks is None else ranks.astype(np.uint32)
        rows = np.ascontiguousarray(rows, dtype=np.int32)
        text, offsets, classes = *lay_out(joined), character_classes()
        first = library().first_phrase(_address(classes), _address(text), _address(offsets), len(joined))
        within_words = int(ranks[first]) if first < len(rows) else 0xFFFFFFFF
        super().__init__("merges", _address(rows), _address(ranks), len(rows), within_words)


class Unigram(_Handle):
    """A unigram model, shared by the encoders of all threads.

    Args:
        pieces: the bytes of each piece.
        ids: uint32 [pieces].
        scores: log-probabilities, float64 [pieces].
        unknown_score: of a character that no piece spells; it becomes bytes.
    """

    def __init__(
        self, pieces: Sequence[bytes], ids: np.ndarray, scores: np.ndarray, unknown_score: float
    ) -> None:
        text, offsets = lay_out(pieces)
        ids, scores = ids.astype(np.uint32), scores.astype(np.float64)
        super().__init__(
            "unigram",
            _address(text),
            _address(offsets),
            _address(ids),
            _address(scores),
            len(pieces),
            unknown_score,
        )


class Encoder(_Handle):
    """One thread's encoder: bytes of documents to token ids."""

    def __init__(
        self,
        model: Merges | Unigram,
        byte_ids: np.ndarray,
        mark_prefix: bool,
        phrases: bool,
        placeholders: Mapping[bytes, int] = types.MappingProxyType({}),
    ) -> None:
        byte_ids = np.ascontiguousarray(byte_ids, dtype=np.uint32)
        classes = character_classes()
        self._pointed_to = model, classes  # kept alive as long as the encoder
        ids = np.array([*placeholders.values(), 0], dtype=np.uint32)
        super().__init__(
            "encoder",
            model.pointer if isinstance(model, Merges) else None,
            model.pointer if isinstance(model, Unigram) else None,
            _address(classes),
            mark_prefix,
            phrases,
            _address(byte_ids),
            b"".join(name + b"\n" for name in placeholders),
            _address(ids),
        )

    def encode(
        self, text: np.ndarray, offsets: np.ndarray, separator: int = -1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids of documents, uint32, one after the other, and where each ends, int64 [documents].

        A separator that is not -1 stands after each document.
        """
        documents = len(offsets) - 1
        ids = np.empty(int(offsets[-1] - offsets[0]) + documents + 16, dtype=np.uint32)
        ends = np.empty(documents, dtype=np.int64)
        count = self.library.encoder_encode(
            self.pointer,
            _address(text),
            _address(offsets),
            documents,
            separator,
            _address(ids),
            _address(ends),
        )
        return ids[:count], ends
