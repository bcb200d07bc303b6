"""Grammars that a text must follow, by llguidance. They run on bytes: tokens may split a syllable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnuri.base.errors import optional_package
from onnuri.serve.api.output_format import OutputFormat
from onnuri.serve.api.tools import compact
from onnuri.serve.errors import invalid

if TYPE_CHECKING:
    from llguidance import LLMatcher

LARGEST = 1 << 16
"""Characters of a schema, expression or grammar."""


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(
        self, pieces: Sequence[bytes], controls: Mapping[int, str], stops: Sequence[int], encode: Callable
    ) -> None:
        marked = {number: b"\xff" + name.encode() for number, name in controls.items()}
        self.tokens = [marked.get(number, piece) for number, piece in enumerate(pieces)]
        self.special_token_ids = [*controls]
        self.eos_token_id = stops[0]
        self.encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self.encode(text.decode() if isinstance(text, bytes) else text)


class Grammars:
    """Compiles for one tokenizer.

    Args:
        pieces: the bytes of each id.
        controls: names of the control tokens, by id; a grammar never lets them come.
        stops: ids that end a text; they may come where the grammar may end.
        encode: from a text to ids.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        controls: Mapping[int, str],
        stops: Sequence[int],
        encode: Callable[[str], list[int]],
    ) -> None:
        with optional_package("serve", "onnuri serve"):
            from llguidance import LLTokenizer, TokenizerWrapper

        vocabulary = _Vocabulary(pieces, controls, stops, encode)
        self.stops = [*stops]
        self.tokenizer = LLTokenizer(TokenizerWrapper(vocabulary), eos_token=self.stops)

    def compile(self, form: OutputFormat, param: str) -> LLMatcher:
        """Raises ApiError for what is no grammar, or one that is too large or not supported."""
        from llguidance import LLMatcher

        size = len(form.value) if isinstance(form.value, str) else len(json.dumps(form.value))
        if size > LARGEST:
            raise invalid(param, f"has {size:,} characters, more than {LARGEST:,}")
        try:
            if form.kind == "json":
                grammar = LLMatcher.grammar_from_json_schema(
                    json.dumps(compact(form.value), ensure_ascii=False)
                )
            elif form.kind == "regex":
                grammar = LLMatcher.grammar_from_regex(form.value)
            else:
                text = (
                    f"start: {' | '.join(map(_quoted, form.value))}"
                    if form.kind == "choice"
                    else form.value
                )
                grammar = LLMatcher.grammar_from_lark(text)
            matcher = LLMatcher(self.tokenizer, grammar, log_level=0)
        except ValueError as error:
            raise invalid(param, f"cannot be used: {_line(error)}") from None
        first = matcher.deep_copy()
        first.compute_bitmask()  # what is too complex shows here
        if first.is_error():
            raise invalid(param, f"cannot be used: {_line(first.get_error())}")
        return matcher

    def constraint(self, matcher: LLMatcher) -> Following:
        """For one text."""
        return Following(matcher.deep_copy(), self.stops)


class Following:
    """A `Constraint` of the generator: the text so far, and what may come next."""

    def __init__(self, matcher: LLMatcher, stops: Sequence[int]) -> None:
        self.matcher, self.stops = matcher, stops

    def allowed(self) -> np.ndarray:
        """Packed bits: int32 [V / 32, rounded up]. Where the grammar gave up, the text can only end."""
        mask = np.zeros(0, np.int32)
        if not self.matcher.is_stopped():
            mask = np.frombuffer(self.matcher.compute_bitmask(), np.int32)
        if not mask.any():
            mask = np.zeros(max(self.stops) // 32 + 1, np.int32)
            for stop in self.stops:
                mask[stop // 32] |= np.int32(1 << stop % 32) if stop % 32 < 31 else np.int32(-(1 << 31))
        return mask

    @property
    def failed(self) -> str:
        """Why the grammar gave up, or ""."""
        return _line(self.matcher.get_error()) if self.matcher.is_error() else ""

    def accept(self, token: int) -> bool:
        """Take a token; whether the text is complete."""
        return not self.matcher.consume_token(token) or self.matcher.is_stopped()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
