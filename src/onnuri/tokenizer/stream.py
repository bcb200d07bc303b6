"""Token ids to text as they come, never half a character.

A Hangul syllable is three bytes and byte-level tokens may end inside of it. Bytes are held back until
the character is whole; bytes that can no longer become one turn into U+FFFD.
"""

from __future__ import annotations

import codecs
import copy
from typing import TYPE_CHECKING

from onnuri.tokenizer.huggingface import token_bytes

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Utf8Stream:
    """Incremental decoder over one sequence of token ids."""

    def __init__(self, tokenizer: Tokenizer, show_special: bool = False) -> None:
        self.pieces = token_bytes(tokenizer)
        if show_special:
            for number, token in tokenizer.get_added_tokens_decoder().items():
                self.pieces[number] = token.content.encode()
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def another(self) -> Utf8Stream:
        """One for another sequence, without reading the vocabulary again."""
        other = copy.copy(self)
        other.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return other

    def push(self, token: int) -> str:
        """The characters that are complete now. Ids beyond the vocabulary (padding rows) give nothing."""
        return self.decoder.decode(self.pieces[token]) if token < len(self.pieces) else ""

    def finish(self) -> str:
        """What is left at the end: "" or U+FFFD for a character that never came whole."""
        return self.decoder.decode(b"", final=True)
