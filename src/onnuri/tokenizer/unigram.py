"""Unigram language model (Kudo, arXiv 1804.10959) through sentencepiece, as a file for HF tokenizers.

sentencepiece learns from our distinct words with their counts, normalises nothing, and falls back to
bytes. It writes spaces as ▁; here they are spaces again, so a ▁ in a text stays one.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from onnuri.base.errors import UserError, optional_package
from onnuri.tokenizer.counting import count_corpus, fit
from onnuri.tokenizer.huggingface import add_special_tokens
from onnuri.tokenizer.mixture import UNIT, Kind
from onnuri.tokenizer.native import Words
from onnuri.tokenizer.presplit import WORDS
from onnuri.tokenizer.special import SPECIAL_TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE = "\u2581"
BYTE_SCORE = -1000.0
"""Of the 256 byte tokens: so low that text such as <0x41> is never read as one of them."""
SENTENCEPIECE_THREADS = 16
"""On any machine: the number decides in which order floating-point sums are added up."""
SENTENCEPIECE_MEMORY = 50
"""Bytes for each byte that our counters take for a word, at most; 2 GB come on top of that."""
SPECIAL_SCORE = -2000.0
PRINTABLE = tuple(chr(code) for code in range(33, 127))
"""Always tokens of their own: a text like <0x41> must have a cheaper spelling than the byte token."""


def train_unigram(
    corpus: str,
    weights: dict[Kind, int],
    *,
    vocab_size: int,
    max_token_bytes: int,
    split_digits: bool = False,
    memory_bytes: int,
    workers: int,
) -> tuple[Tokenizer, dict[str, int]]:
    """An HF tokenizer and facts for the manifest.

    Raises UserError if there is no text, or sentencepiece refuses the vocabulary size.
    """
    words, _, _ = count_corpus(
        corpus,
        weights,
        mark_prefix=True,
        phrases=False,
        split_digits=split_digits,
        memory_bytes=memory_bytes,
        workers=workers,
    )
    if not len(words[2]):
        raise UserError(f"{corpus} has no training text")
    words, _ = fit(words, 0, memory_bytes // SENTENCEPIECE_MEMORY)
    pieces = _sentencepiece(words, vocab_size - len(SPECIAL_TOKENS) - 256, max_token_bytes)
    return to_huggingface(pieces), {"distinct_words": len(words[2])}


def to_huggingface(pieces: list[tuple[str, float]]) -> Tokenizer:
    """An HF tokenizer from learned pieces and their log-probabilities."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocab = [(name, SPECIAL_SCORE) for name in SPECIAL_TOKENS]
    vocab += [(f"<0x{byte:02X}>", BYTE_SCORE) for byte in range(256)]
    unknown = len(vocab) - 1  # asked for by the format; with all bytes there it never comes up
    tokenizer = Tokenizer(models.Unigram(vocab + pieces, unk_id=unknown, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    add_special_tokens(tokenizer)
    return tokenizer


def _sentencepiece(words: Words, size: int, max_bytes: int) -> list[tuple[str, float]]:
    """`size` pieces, or as many as the words have, with scores."""
    with optional_package("unigram", "algorithm=unigram"):
        import sentencepiece

    reserved = 260  # sentencepiece counts its 256 bytes and <unk>, <s>, </s> too
    model = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="onnuri-unigram-") as folder:
        path = Path(folder) / "words.tsv"
        with path.open("w", encoding="utf-8") as stream:
            for word, count in _lines(words):
                stream.write(f"{word}\t{count}\n")
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(path),
                input_format="tsv",
                model_writer=model,
                model_type="unigram",
                vocab_size=size + reserved,
                hard_vocab_limit=False,
                byte_fallback=True,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                add_dummy_prefix=False,
                split_by_whitespace=False,
                split_by_unicode_script=False,
                split_by_number=False,
                allow_whitespace_only_pieces=True,
                character_coverage=0.9999,
                required_chars="".join(PRINTABLE),
                max_sentencepiece_length=max(2, max_bytes // 2),
                max_sentence_length=1 << 16,
                num_threads=SENTENCEPIECE_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = str(error).split("] ")[-1]
            if room := re.search(r"smaller than required_chars. (\d+) vs (\d+)", reason):
                raise UserError(
                    "vocab_size is too small for algorithm=unigram, which gives each frequent character of "
                    f"the corpus a token: {int(room[2]) - int(room[1]):,} more are needed; bpe needs none"
                ) from None
            raise UserError(f"sentencepiece: {' '.join(reason.split())}") from None
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = {}
    for number in range(processor.get_piece_size()):
        if processor.is_byte(number) or processor.is_control(number) or processor.is_unknown(number):
            continue
        piece = processor.id_to_piece(number).replace(SPACE, " ")
        if len(piece.encode()) <= max_bytes:
            pieces[piece] = processor.get_score(number)
    for character in PRINTABLE:
        pieces.setdefault(character, min(pieces.values(), default=0.0) - 1)
    ranked = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    return ranked[:size]


def _lines(words: Words) -> Iterator[tuple[str, int]]:
    """Words that sentencepiece's format can hold, and how often each occurred, in a fixed order."""
    text, offsets, counts = words
    whole, bounds = text.tobytes(), offsets.tolist()
    pairs = zip(bounds, bounds[1:], counts.tolist(), strict=False)
    spelled = sorted((whole[start:stop].decode(), count) for start, stop, count in pairs)
    for word, count in spelled:
        if SPACE not in word and not any(c in "\t\r\n\0" for c in word):
            yield word, -(-count // UNIT)
