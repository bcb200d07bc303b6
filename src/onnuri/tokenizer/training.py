"""Learning a byte-level vocabulary: byte-pair encoding, superwords, morphemes.

`superword` follows SuperBPE (arXiv 2503.13423): one phase within words, one that may cross spaces. Like
words, the phrases that merges may span are counted first and merged once each (arXiv 2604.05192), so the
second phase takes seconds, not days. `morpheme` cuts words before particles and endings while it counts;
no analyser is needed afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from onnuri.base.errors import UserError
from onnuri.tokenizer.counting import count_corpus
from onnuri.tokenizer.mixture import UNIT, Kind
from onnuri.tokenizer.native import Encoder, Merges, Trainer, Words
from onnuri.tokenizer.special import SPECIAL_TOKENS

STEPS = 1000
"""Merges between two moves of the progress bar."""
BYTE_IDS = np.arange(256, dtype=np.uint32) + len(SPECIAL_TOKENS)
FIRST_TOKENS = (*[b""] * len(SPECIAL_TOKENS), *(bytes([byte]) for byte in range(256)))


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level vocabulary and how it is put together."""

    tokens: list[bytes]
    """Bytes of each id; b"" for the special tokens, which come first."""
    merges: np.ndarray
    """Rows of (left, right, joined) ids by rank, int32 [merges, 3]."""
    counts: np.ndarray
    """How often each pair stood in the (weighted) training text, int64 [merges]."""
    phrases: bool
    """Merges may cross spaces."""
    facts: dict[str, int]
    """Numbers for the manifest."""


def learn(
    corpus: str,
    weights: dict[Kind, int],
    algorithm: str,
    vocab_size: int,
    *,
    min_frequency: int = 2,
    superword_start: float = 0.8,
    max_token_bytes: int = 32,
    split_digits: bool = False,
    memory_bytes: int = 4 << 30,
    workers: int = 1,
) -> Vocabulary:
    """Train on the training documents of a corpus folder.

    Raises UserError if there is no text.
    """
    phrases = algorithm in ("superword", "morpheme_superword")
    words, spans, sampled = count_corpus(
        corpus,
        weights,
        mark_prefix=not phrases,
        phrases=phrases,
        split_digits=split_digits,
        memory_bytes=memory_bytes,
        workers=workers,
    )
    if not len(words[2]):
        raise UserError(f"{corpus} has no training text")
    facts = {"distinct_words": len(words[2])}
    if algorithm.startswith("morpheme"):
        from onnuri.tokenizer.morpheme import cut_at_morphemes

        words = cut_at_morphemes(words, workers)
    first = vocab_size
    if phrases:
        first = len(FIRST_TOKENS) + int((vocab_size - len(FIRST_TOKENS)) * superword_start)
    text, offsets, counts = words
    ids = text.astype(np.int32) + np.int32(len(SPECIAL_TOKENS))
    limits = {"min_count": min_frequency * UNIT, "max_bytes": max_token_bytes}
    tokens, merges, merge_counts = merge(
        FIRST_TOKENS, ids, offsets, counts, num_tokens=first, label="merging", **limits
    )
    if spans is not None:
        facts |= {"distinct_phrases": len(spans[2]), "phrases_sampled_1_in": sampled}
        facts |= {"superwords_from": len(tokens)}
        rules = Merges(merges, [tokens[joined] for joined in merges[:, 2]])
        ids, offsets = encode_pieces(spans, rules, workers)
        tokens, more, more_counts = merge(
            tokens, ids, offsets, spans[2], num_tokens=vocab_size, label="superwords", **limits
        )
        merges = np.concatenate([merges, more])
        merge_counts = np.concatenate([merge_counts, more_counts])
    return Vocabulary(tokens, merges, merge_counts, phrases, facts)


def merge(
    tokens: Sequence[bytes],
    ids: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
    *,
    num_tokens: int,
    label: str,
    min_count: int,
    max_bytes: int,
) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Merge until there are `num_tokens`, or no pair is left.

    Returns all tokens, the new merges and their counts.
    """
    from tqdm import tqdm

    trainer = Trainer(tokens, ids, offsets, counts, min_count=min_count, max_bytes=max_bytes)
    with tqdm(total=max(0, num_tokens - len(tokens)), desc=label, unit="token", disable=None) as bar:
        while trainer.run(num_tokens, STEPS):
            bar.update(trainer.num_tokens - len(tokens) - bar.n)
        bar.update(trainer.num_tokens - len(tokens) - bar.n)
    rows, row_counts = trainer.merges()
    grown = list(tokens)
    for left, right, joined in rows.tolist():
        if joined == len(grown):
            grown.append(grown[left] + grown[right])
    return grown, rows, row_counts


def encode_pieces(pieces: Words, rules: Merges, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of counted pieces under the merges so far, and where each piece starts."""
    text, offsets, _ = pieces
    boundaries = np.linspace(0, len(offsets) - 1, 4 * workers + 1).astype(np.int64)

    def encode(part: int) -> tuple[np.ndarray, np.ndarray]:
        encoder = Encoder(rules, BYTE_IDS, mark_prefix=False, phrases=False)
        return encoder.encode(text, offsets[boundaries[part] : boundaries[part + 1] + 1])

    with ThreadPoolExecutor(workers) as pool:
        encoded = list(pool.map(encode, range(4 * workers)))
    starts = np.cumsum([0, *(len(ids) for ids, _ in encoded)])
    ends = np.concatenate([ends + start for (_, ends), start in zip(encoded, starts, strict=False)])
    ids = np.concatenate([ids for ids, _ in encoded]).astype(np.int32)
    return ids, np.concatenate([[0], ends]).astype(np.int64)
