"""Tokenizers in the files that other programs read: tokenizer.json, tokenizer_config.json, tiktoken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import write_json
from onnuri.tokenizer.presplit import PHRASES, WORDS
from onnuri.tokenizer.special import (
    CHAT_TEMPLATE,
    CONTROL_TOKENS,
    PAD,
    PLACEHOLDERS,
    SEPARATOR,
    SPECIAL_TOKENS,
    TURN_END,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from onnuri.tokenizer.training import Vocabulary

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
"""What belongs to a tokenizer and does not repeat its vocabulary."""


def to_huggingface(vocabulary: Vocabulary, pattern: str = "") -> Tokenizer:
    """An HF tokenizer of a vocabulary.

    Args:
        pattern: regular expression of the words; empty: the one that the vocabulary was trained with.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    characters = {byte: character for character, byte in byte_of_character().items()}
    names = [
        SPECIAL_TOKENS[number] if number < len(SPECIAL_TOKENS) else "".join(characters[b] for b in token)
        for number, token in enumerate(vocabulary.tokens)
    ]
    merges = [(names[left], names[right]) for left, right, _ in vocabulary.merges.tolist()]
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, merges))
    pattern = pattern or (PHRASES if vocabulary.phrases else WORDS)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    add_special_tokens(tokenizer)
    return tokenizer


def add_special_tokens(tokenizer: Tokenizer) -> None:
    """Control tokens, which text cannot forge, and placeholders, which are part of the text."""
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(name, normalized=False, special=False) for name in PLACEHOLDERS])


def save(tokenizer: Tokenizer, folder: Path, context_length: int = 1_000_000) -> None:
    """Write what AutoTokenizer, vLLM and converters to other formats read."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    roles = {"bos_token": SEPARATOR, "eos_token": SEPARATOR, "pad_token": PAD}
    added = tokenizer.get_added_tokens_decoder()
    config = roles | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
        "chat_template": CHAT_TEMPLATE,
        "additional_special_tokens": [name for name in CONTROL_TOKENS if name not in (SEPARATOR, PAD)],
        "added_tokens_decoder": {
            str(number): {
                "content": token.content,
                "lstrip": token.lstrip,
                "normalized": token.normalized,
                "rstrip": token.rstrip,
                "single_word": token.single_word,
                "special": token.special,
            }
            for number, token in sorted(added.items())
        },
    }
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", roles)
    stops = [tokenizer.token_to_id(name) for name in (SEPARATOR, TURN_END)]
    ids = {"bos_token_id": stops[0], "eos_token_id": stops, "pad_token_id": tokenizer.token_to_id(PAD)}
    write_json(folder / "generation_config.json", ids)


def byte_of_character() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary entry (the GPT-2 table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    return table | {chr(256 + offset): byte for offset, byte in enumerate(others)}


def spell_bytes(names: Sequence[str]) -> list[bytes]:
    """The bytes of entries of a byte-level vocabulary."""
    table = {ord(character): byte for character, byte in byte_of_character().items()}
    return [name.translate(table).encode("latin-1") for name in names]


def num_ids(tokenizer: Tokenizer) -> int:
    """The largest token id plus one: the rows of an embedding. Vocabularies from elsewhere have holes."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of text each token id stands for; b"" for control tokens."""
    added = tokenizer.get_added_tokens_decoder()
    pieces = [b""] * num_ids(tokenizer)
    learned = {name: number for name, number in tokenizer.get_vocab().items() if number not in added}
    byte_level = tokenizer.model.__class__.__name__ == "BPE"
    spelled = spell_bytes(list(learned)) if byte_level else [_spell_fallback(name) for name in learned]
    for number, piece in zip(learned.values(), spelled, strict=True):
        pieces[number] = piece
    for number, token in added.items():
        pieces[number] = b"" if token.special else token.content.encode()
    return pieces


def _spell_fallback(name: str) -> bytes:
    """The bytes of an entry of a vocabulary with byte fallback, where <0xEA> is one byte."""
    is_byte = len(name) == 6 and name.startswith("<0x") and name.endswith(">")
    return bytes([int(name[3:5], 16)]) if is_byte else name.encode()


def special_token(folder: str | Path, name: str, role: str) -> str | None:
    """The token called `name` if the tokenizer of a folder has it, else the one with a role (eos_token).

    None if it has neither.
    """
    if load_tokenizer(folder).token_to_id(name) is not None:
        return name
    token = tokenizer_config(folder).get(role)
    return token["content"] if isinstance(token, dict) else token


def tokenizer_config(folder: str | Path) -> dict[str, Any]:
    """What tokenizer_config.json of a folder says; {} without one. Raises UserError if it is damaged."""
    path = Path(folder) / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(described, dict):
        raise UserError(f"{path} cannot be read: it holds no JSON object")
    return described


def load_tokenizer(folder: str | Path) -> Any:
    """The HF tokenizer of a folder: whole texts, nothing padded, control tokens in text read as text.

    Raises UserError if there is none or it cannot be read.
    """
    from tokenizers import Tokenizer

    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"tokenizer {path} does not exist; onnuri tokenizer makes one")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"tokenizer {path} cannot be read: {error}") from None
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
