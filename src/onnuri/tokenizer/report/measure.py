"""What is measured of a tokenizer, on documents grouped by language and source."""

from __future__ import annotations

import os
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from onnuri.base.errors import UserError
from onnuri.corpus.reading.files import one_line
from onnuri.corpus.texts import Text
from onnuri.tokenizer.report.loading import LoadedTokenizer

SYLLABLES = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
HARD_STRINGS = {
    "old Hangul": "나랏〮말〯ᄊᆞ미 듕귁〮에 달아 ᄒᆞᆯᄊᆡ",
    "decomposed Hangul (NFD)": unicodedata.normalize("NFD", "한글을 풀어 쓴 글"),
    "compatibility characters": "㈜ ① ﬁ Ａ ½ \uf914 ㄱㅏㅋㅋ",
    "emoji sequences": "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇰🇷 ❤️",
    "every Hangul syllable": " ".join("".join(SYLLABLES[i : i + 28]) for i in range(0, len(SYLLABLES), 28)),
    "tabs, line breaks, blanks": "\t앞\t\t뒤  \r\n\n\n 끝 \u3000\u00a0\n  ",
    "space mark": "▁가 ▁▁ a▁b",
    "byte spelling": "<0xEA><0xB0><0x80>",
    "control characters": "\x00\x01\x7f\ufeff\ufffd\u200b",
    "rare planes": "𠀀 𝕏 \U0010ffff",
    "names of control tokens": "<|endoftext|> <s> [UNK] </s>",
}
"""Strings that must come back exactly, whatever the corpus is made of."""
BATCH_BYTES = 1 << 20
PARALLEL = "TOKENIZERS_PARALLELISM"
"""HF tokenizers reads it at each call."""


@dataclass
class Group:
    """The documents of one language and source."""

    lang: str
    source: str
    texts: list[str]
    words: Counter[str]
    """Words (eojeol: what blanks separate) and how often they occur."""
    syllables: Counter[str]
    """The same of Hangul syllables."""

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of all documents."""
        return sum(len(text.encode()) for text in self.texts)


@dataclass
class Totals:
    """Amounts that add up over groups."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    words: int = 0
    syllables: int = 0
    tokens: int = 0
    single_token_words: int = 0
    single_token_syllables: int = 0
    documents_lost: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Totals)))

    def figures(self) -> dict[str, Any]:
        """Amounts and ratios as report.json has them; a ratio to nothing is None."""
        return {
            "documents": self.documents,
            "characters": self.characters,
            "bytes": self.bytes,
            "words": self.words,
            "tokens": self.tokens,
            "tokens_per_character": _ratio(self.tokens, self.characters),
            "bytes_per_token": _ratio(self.bytes, self.tokens),
            "tokens_per_word": _ratio(self.tokens, self.words),
            "single_token_words": _ratio(self.single_token_words, self.words),
            "single_token_syllables": _ratio(self.single_token_syllables, self.syllables),
            "documents_lost": self.documents_lost,
            "encode_mb_per_second": _ratio(self.bytes / 1e6, self.encode_seconds),
            "decode_mb_per_second": _ratio(self.bytes / 1e6, self.decode_seconds),
        }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def by_source(texts: Iterable[Text]) -> list[Group]:
    """Documents by language and source, sorted."""
    groups: dict[tuple[str, str], Group] = {}
    for text in texts:
        entry = groups.setdefault(
            (text.lang, text.source), Group(text.lang, text.source, [], Counter(), Counter())
        )
        entry.texts.append(text.text)
        entry.words.update(text.text.split())
        entry.syllables.update(text.text)
    for entry in groups.values():
        entry.syllables = Counter({s: n for s, n in entry.syllables.items() if "가" <= s <= "힣"})
    return [groups[key] for key in sorted(groups)]


def measure(
    tokenizer: LoadedTokenizer, groups: Sequence[Group], progress: Callable[[int], Any]
) -> dict[str, Any]:
    """All figures of one tokenizer; `progress` gets the bytes of text that were done.

    The hard strings come first and warm the encoder up. Times are of the calls of the library alone.
    Raises UserError if the tokenizer fails on a text.
    """
    parallel = os.environ.get(PARALLEL)
    os.environ[PARALLEL] = "false"
    try:
        lost = [name for name, text in HARD_STRINGS.items() if not _comes_back(tokenizer, text)]
        tallies = [_tally(tokenizer, group.texts, progress) for group in groups]
        single = _single_token_words(tokenizer, {word for group in groups for word in group.words})
    except Exception as error:  # the libraries raise plain Exception
        raise UserError(f"tokenizer {tokenizer.path} fails on a text: {one_line(error)}") from None
    finally:
        del os.environ[PARALLEL]
        if parallel is not None:
            os.environ[PARALLEL] = parallel
    known = set(tokenizer.pieces)
    own = {syllable for syllable in SYLLABLES if syllable.encode() in known}
    languages: dict[str, Totals] = {}
    for group, tally in zip(groups, tallies, strict=True):
        tally.words, tally.syllables = group.words.total(), group.syllables.total()
        tally.single_token_words = sum(n for word, n in group.words.items() if word in single)
        tally.single_token_syllables = sum(n for syllable, n in group.syllables.items() if syllable in own)
        languages[group.lang] = languages.get(group.lang, Totals()) + tally
    return {
        "name": tokenizer.name,
        "path": tokenizer.path,
        "library": tokenizer.library,
        "vocab_size": tokenizer.vocab_size,
        "superwords": sum(b" " in piece.strip() for piece in tokenizer.pieces),
        "hangul_syllables": len(own),
        "hangul_syllables_share": len(own) / len(SYLLABLES),
        "hard_strings_lost": lost,
        "total": sum(tallies, Totals()).figures(),
        "languages": {lang: tally.figures() for lang, tally in languages.items()},
        "sources": [
            {"lang": group.lang, "source": group.source} | tally.figures()
            for group, tally in zip(groups, tallies, strict=True)
        ],
    }


def _tally(tokenizer: LoadedTokenizer, documents: Sequence[str], progress: Callable[[int], Any]) -> Totals:
    tally = Totals(documents=len(documents))
    for texts in _batches(documents):
        start = time.perf_counter()
        encoded = tokenizer.encode(texts)
        tally.encode_seconds += time.perf_counter() - start
        rows = [np.asarray(row).tolist() for row in encoded]
        start = time.perf_counter()
        decoded = tokenizer.decode(rows)
        tally.decode_seconds += time.perf_counter() - start
        size = sum(len(text.encode()) for text in texts)
        tally.bytes += size
        tally.characters += sum(map(len, texts))
        tally.tokens += sum(map(len, rows))
        tally.documents_lost += sum(one != other for one, other in zip(texts, decoded, strict=True))
        progress(size)
    return tally


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Runs of texts of BATCH_BYTES or a little more."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text.encode())
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _comes_back(tokenizer: LoadedTokenizer, text: str) -> bool:
    rows = [np.asarray(row).tolist() for row in tokenizer.encode([text])]
    return tokenizer.decode(rows) == [text]


def _single_token_words(tokenizer: LoadedTokenizer, words: set[str]) -> set[str]:
    """The words that are one token when they are encoded with the space before them."""
    return {
        word
        for batch in _batches(words)
        for word, row in zip(batch, tokenizer.encode([tokenizer.space + w for w in batch]), strict=True)
        if len(row) == 1
    }
