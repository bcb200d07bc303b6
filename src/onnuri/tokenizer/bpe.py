"""Byte-level byte-pair encoding (Sennrich et al., arXiv 1508.07909) through HF tokenizers.

Text is not normalised, so decoding gives back every Unicode string. Before merges are counted it is cut
where Korean and English words end: Hangul apart from Latin letters and Hanja, digits in threes, loose
jamo (ㅋㅋㅋ) in short runs, one leading space or mark kept with its word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from onnuri.tokenizer.special import CHAT_TEMPLATE, PAD, SEPARATOR, SPECIAL_TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PRE_SPLIT = "|".join(
    (
        r"'(?i:[sdmt]|ll|ve|re)",
        r"[^\r\n\p{L}\p{N}]?[가-힣]+",
        r" ?[ㄱ-ㆎ]{1,4}",
        r"[^\r\n\p{L}\p{N}]?\p{Han}+",
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^가-힣ㄱ-ㆎ\p{Han}]]+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""Oniguruma regular expression; every character falls into exactly one piece."""


def new_tokenizer() -> Tokenizer:
    """An untrained tokenizer with our pre-tokenisation."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_bpe(batches: Iterator[list[str]], vocab_size: int, min_frequency: int) -> Tokenizer:
    """Train on batches of documents. The same documents in the same order give the same file."""
    from tokenizers import pre_tokenizers, trainers

    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(batches, trainer=trainer)
    return tokenizer


def tokenizer_config(context_length: int = 1_000_000) -> dict[str, Any]:
    """`tokenizer_config.json`: what AutoTokenizer needs besides tokenizer.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SEPARATOR,
        "eos_token": SEPARATOR,
        "pad_token": PAD,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
        "chat_template": CHAT_TEMPLATE,
    }


def byte_of_character() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary entry (the GPT-2 table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    return table | {chr(256 + offset): byte for offset, byte in enumerate(others)}


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes each token id stands for; b"" for special tokens."""
    table = byte_of_character()
    special = set(tokenizer.get_added_tokens_decoder())
    size = tokenizer.get_vocab_size()
    pieces = [b""] * size
    for piece, number in tokenizer.get_vocab().items():
        if number not in special:
            pieces[number] = bytes(table[character] for character in piece)
    return pieces
