"""Many conversations to ids at once: those of `onnuri.chat.format.render`, through the compiled encoder.

`render` encodes each content through HF tokenizers, one call a turn. Here the texts of a batch go through
one call that holds no interpreter lock, so threads help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnuri.base.errors import UserError
from onnuri.chat.data.check import Turn
from onnuri.chat.format import ROLES
from onnuri.tokenizer.encoder import DocumentEncoder
from onnuri.tokenizer.native import lay_out
from onnuri.tokenizer.special import TURN_END, TURN_START
from onnuri.tokens.shards import TRAINED
from onnuri.tokens.vocabulary import Vocabulary


class Ids(NamedTuple):
    """A conversation in tokens."""

    tokens: np.ndarray
    """[tokens] of the stored dtype, with the separator at the end."""
    trained: np.ndarray
    """TRAINED rows, offsets from the first token."""


class Frame:
    """The tokens around each turn. Raises UserError if the tokenizer knows no turns."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokenizer = vocabulary.file.tokenizer
        start, end = (tokenizer.token_to_id(name) for name in (TURN_START, TURN_END))
        if start is None or end is None:
            lacking = TURN_START if start is None else TURN_END
            raise UserError(
                f"tokenizer {vocabulary.file.folder} has no token {lacking}: it knows no conversations"
            )

        def encode(text: str) -> list[int]:
            ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
            return ids

        self.dtype = vocabulary.dtype
        self.heads = {role: np.array([start, *encode(f"{role}\n")], self.dtype) for role in ROLES}
        self.tail = np.array([end, *encode("\n")], self.dtype)
        self.close = np.array([vocabulary.separator], self.dtype)

    def encode(self, encoder: DocumentEncoder, conversations: Sequence[Sequence[Turn]]) -> list[Ids]:
        """Every conversation in ids; the trained runs are the trained turns with their <|im_end|>."""
        texts = [turn.text.encode() for turns in conversations for turn in turns]
        ids, ends = encoder.encode(*lay_out(texts))
        pieces = iter(np.split(ids.astype(self.dtype), ends[:-1]) if texts else [])
        return [self._framed(turns, [next(pieces) for _ in turns]) for turns in conversations]

    def _framed(self, turns: Sequence[Turn], texts: Sequence[np.ndarray]) -> Ids:
        parts, spans, place = [], [], 0
        for turn, text in zip(turns, texts, strict=True):
            head = self.heads[turn.role]
            parts += [head, text, self.tail]
            place += len(head)
            if turn.trained:
                spans.append((place, len(text) + 1))
            place += len(text) + len(self.tail)
        return Ids(np.concatenate([*parts, self.close]), np.array(spans, dtype=TRAINED))
