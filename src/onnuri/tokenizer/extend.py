"""Grow an existing byte-level BPE tokenizer with tokens for new text, for continued pre-training.

The tokenizer's own code cuts the documents into pieces and encodes them; byte-pair encoding then continues
from those ids (arXiv 2512.03989). The usual way, to add what a second tokenizer has more, leaves tokens
that no merge reaches. New ids follow the largest old one and new merges follow the old ones: text is
encoded as before first, and new merges then join neighbours of that. With every new id replaced by the old
ids that new_tokens.json gives for it, a text has exactly its old ids.

A merge that gives an old token would break this, since old merges may go on from there. That can happen
only for tokens that the old merges do not reach (Llama 3 has some: `ignore_merges`). Pieces are cut where
neighbours spell such a token, before anything is learned from them; and between two digits where no old
token has two, so that a tokenizer of single digits stays one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.corpus.documents import corpus_parts
from onnuri.tokenizer.counting import batch_weights, corpus_sizes, each_part, select
from onnuri.tokenizer.huggingface import (
    byte_of_character,
    load_tokenizer,
    spell_bytes,
)
from onnuri.tokenizer.mixture import UNIT, Kind, check_mixture, document_weights
from onnuri.tokenizer.native import Counter, Words

DOCUMENTS = 64
"""Documents encoded in one call: HF tokenizers takes about 100 bytes of memory for each of their tokens."""
LONGEST_PIECE = 512
"""Ids; merging walks through whole pieces, so a longer one is counted in parts."""


@dataclass
class ExtendConfig:
    """Which tokenizer to grow, on what, and by how much."""

    input: str = path_option()
    """Corpus folder; held-out documents are never used."""
    tokenizer: str = path_option()
    """Folder with the tokenizer.json to grow: byte-level BPE (GPT-2, Llama 3, Qwen, Mistral's tekken)."""
    output: str = path_option()
    """Folder to write: the grown tokenizer; new_tokens.json has the old ids behind each new one."""
    new_tokens: int = 20000
    """Tokens to add. Each one costs a row of the embedding and of the output head."""
    model: str = path_option("")
    """Hugging Face model folder (safetensors) of that tokenizer; OUTPUT/model is the same with rows for the
    new tokens: each the mean of the rows of the old ids that it stands for."""
    min_frequency: int = 2
    """Pairs seen fewer times are not merged."""
    max_token_bytes: int = 32
    """Longest new token; a Hangul syllable takes 3. Longer ones mostly repeat boilerplate of one source."""
    source_power: float = 0.5
    """A source of n bytes counts as n ** source_power: 1 as it is, 0 all sources alike."""
    source_weights: dict[str, float] = field(default_factory=dict)
    """Factor for single sources, on top: {NAME: 2.0, OTHER: 0}; 0 leaves a source out."""
    language_shares: dict[str, float] = field(default_factory=lambda: {"ko": 1.0, "en": 0.0})
    """Shares of the bytes that languages get among each other; others stay as they are. English documents
    are left out: the model knows English by its present ids, and each new English token would take one of
    them away. English words in Korean documents do count."""
    workers: int = 0
    """Threads; 0: one for each processor that this process may use. The result is the same for any."""

    def __post_init__(self) -> None:
        for option, least in (
            ("new_tokens", 1),
            ("min_frequency", 1),
            ("max_token_bytes", 4),
            ("workers", 0),
        ):
            if getattr(self, option) < least:
                raise UserError(f"{option}={getattr(self, option)} must be at least {least}")
        check_mixture(self.source_power, self.source_weights, self.language_shares)
        output = Path(self.output).resolve()
        for option in ("tokenizer", "model"):
            folder = Path(getattr(self, option)).resolve()
            if getattr(self, option) and (output.is_relative_to(folder) or folder.is_relative_to(output)):
                raise UserError(f"output={self.output} overlaps {option}={folder}; choose another output")


class OldTokenizer:
    """The tokenizer of a folder, as it is before it grows.

    Raises UserError if there is none, if it cannot be read, or if it is no byte-level BPE.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "tokenizer.json"
        self.tokenizer = load_tokenizer(folder)
        self.content = json.loads(self.path.read_text(encoding="utf-8"))
        other = _other_kind(self.tokenizer, self.content)
        if other:
            raise UserError(
                f"tokenizer {self.path} is {other}; only byte-level BPE (GPT-2, Llama 3, Qwen) can grow"
            )
        self.tokenizer.model.dropout = None
        self.vocab: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=True)
        """Ids by name, those of added tokens included."""
        added = {token.content for token in self.tokenizer.get_added_tokens_decoder().values()}
        table = byte_of_character().keys()
        learned = [name for name in self.vocab if name not in added and table >= set(name)]
        self.tokens = [b""] * (max(self.vocab.values()) + 1)
        """The bytes of each id; b"" for added tokens, which take part in no merge."""
        for name, spelled in zip(learned, spell_bytes(learned), strict=True):
            self.tokens[self.vocab[name]] = spelled
        self.spelled = {token for token in self.tokens if token} | {name.encode() for name in added}
        """What must not become a new token: the bytes of old ones and the text of added ones."""
        self.splits_digits = not any(re.search(rb"[0-9]{2}", token) for token in self.tokens)
        """No token has two digits."""

    def grown(self, rows: np.ndarray) -> dict[str, Any]:
        """The content of tokenizer.json with new merges, int32 [merges, 3], after the old ones.

        Added tokens are listed in the vocabulary as well: HF tokenizers numbers those that are not after
        everything else, and the new tokens would push them away from their ids.
        """
        names = {number: name for name, number in self.vocab.items()}
        old_merges = self.content["model"]["merges"]
        as_text = bool(old_merges) and isinstance(old_merges[0], str)
        merges = []
        for left, right, joined in rows.tolist():
            merges.append(f"{names[left]} {names[right]}" if as_text else [names[left], names[right]])
            names[joined] = names[left] + names[right]
        vocab = {names[number]: number for number in sorted(names)}
        return self.content | {
            "model": self.content["model"] | {"vocab": vocab, "merges": old_merges + merges}
        }


def _other_kind(tokenizer: Any, content: Mapping[str, Any]) -> str:
    """What a tokenizer is that is no byte-level BPE, or ""."""
    kind = type(tokenizer.model).__name__
    if kind != "BPE":
        return f"a {kind} model"
    if tokenizer.model.continuing_subword_prefix or tokenizer.model.end_of_word_suffix:
        return "BPE with marks at the boundary of words"
    steps = json.dumps([content.get("normalizer"), content.get("pre_tokenizer")])
    return "" if '"type": "ByteLevel"' in steps else "BPE over characters, as sentencepiece makes it"


def learn_merges(
    config: ExtendConfig, old: OldTokenizer, workers: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """New merges as rows of (left, right, joined) ids, int32 [merges, 3]; and facts for the manifest.

    Raises UserError if the corpus has no text.
    """
    from onnuri.tokenizer.training import merge

    sizes = corpus_sizes(config.input, workers)
    if not sum(sizes.values()):
        raise UserError(f"{config.input} has no training text")
    weights = document_weights(sizes, config.source_power, config.source_weights, config.language_shares)
    pieces = count_pieces(config.input, weights, old.tokenizer, workers)
    known = old.spelled | {
        b"%d%d" % (one, two) for one in range(10) for two in range(10) if old.splits_digits
    }
    ids, offsets, counts = cut_at_known(pieces, old.tokens, known, config.max_token_bytes)
    _, rows, _ = merge(
        old.tokens,
        ids,
        offsets,
        counts,
        num_tokens=len(old.tokens) + config.new_tokens,
        label="merging",
        min_count=config.min_frequency * UNIT,
        max_bytes=config.max_token_bytes,
    )
    if not len(rows):
        raise UserError(
            f"{config.input} has no pair of tokens that occurs min_frequency times: nothing to add"
        )
    mixture = {f"{source} {language}": weight for (source, language), weight in weights.items()}
    return rows, {"weights": mixture, "distinct_pieces": len(pieces[2])}


def count_pieces(folder: str, weights: Mapping[Kind, int], tokenizer: Any, workers: int) -> Words:
    """Distinct pieces of the training documents that have more than one id, in an order that means nothing.

    Returns ids (int32), where each piece starts (int64, one more than pieces), weighted counts (int64).
    Memory grows with the distinct pieces: about 60 bytes for each and thread.
    """

    def count(batches: Iterator[Any]) -> Counter:
        counter = Counter()
        for batch in batches:
            documents = batch_weights(batch, weights)
            chosen = np.flatnonzero(documents)
            for start in range(0, len(chosen), DOCUMENTS):
                part = chosen[start : start + DOCUMENTS]
                encodings = tokenizer.encode_batch(
                    batch["text"].take(part).to_pylist(), add_special_tokens=False
                )
                ids, offsets, counts = _pieces(encodings, documents[part])
                counter.add((ids.view(np.uint8), 4 * offsets, counts))
        return counter

    counted = each_part(
        corpus_parts(folder, "train"), ("text", "source", "lang"), count, workers, "counting"
    )
    for other in counted[1:]:
        counted[0].merge(other)
    text, offsets, counts = counted[0].words()
    return text.view(np.int32), offsets // 4, counts


def _pieces(encodings: Sequence[Any], weights: np.ndarray) -> Words:
    """The pieces of encoded documents with more than one id, each with the weight of its document."""
    lengths = [len(encoding) for encoding in encodings]
    ids = np.concatenate([np.array(encoding.ids, dtype=np.int32) for encoding in encodings])
    words = np.concatenate([np.array(encoding.word_ids, dtype=np.int64) for encoding in encodings])
    documents = np.repeat(np.arange(len(encodings)), lengths)
    positions = np.arange(len(ids))
    is_start = np.diff(documents << 32 | words, prepend=-1) != 0
    starts = np.maximum.accumulate(np.where(is_start, positions, 0))
    boundaries = np.flatnonzero((positions - starts) % LONGEST_PIECE == 0)
    offsets = np.append(boundaries, len(ids))
    return select((ids, offsets, weights[documents[boundaries]]), np.diff(offsets) > 1)


def cut_at_known(pieces: Words, tokens: Sequence[bytes], known: set[bytes], max_bytes: int) -> Words:
    """The pieces, cut where neighbours of up to `max_bytes` together spell one of the `known` tokens."""
    ids, offsets, counts = pieces
    spelled = [tokens[number] for number in ids.tolist()]
    first = np.zeros(len(ids) + 1, dtype=bool)
    first[offsets] = True
    start = 0
    for position, (token, is_first) in enumerate(zip(spelled, first.tolist(), strict=False)):
        if is_first:
            start = position
            continue
        run = token
        for before in range(position - 1, start - 1, -1):
            run = spelled[before] + run
            if len(run) > max_bytes:
                break
            if run in known:
                first[position] = True
                start = position
                break
    boundaries = np.flatnonzero(first)
    owner = np.searchsorted(offsets, boundaries[:-1], side="right") - 1
    return ids, boundaries.astype(np.int64), counts[owner]


def old_pieces(rows: np.ndarray) -> dict[int, list[int]]:
    """For each new id, in their order, the old ids that it is made of."""
    pieces: dict[int, list[int]] = {}
    for left, right, joined in rows.tolist():
        if joined not in pieces:
            pieces[joined] = [old for part in (left, right) for old in pieces.get(part, [part])]
    return pieces
