"""Cutting Korean words before particles and endings while merges are counted (kiwipiepy).

"학교에서는" becomes 학교 + 에서는 and "사용하여야" 사용 + 하여야: no merge that is learned goes from a stem
to what follows it. Each distinct word is analysed once, out of context; encoding needs no analyser.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from onnuri.base.errors import optional_package
from onnuri.tokenizer.counting import join, select
from onnuri.tokenizer.native import Counter, Words

FUNCTIONAL = ("J", "E", "VC", "XS")
"""Beginnings of the tags of particles, endings, copulas and derivational suffixes (Sejong tag set)."""
BATCH = 20_000
BYTES_PER_SYLLABLE = 3
LONGEST_WORD = 60
"""Bytes; longer runs of Hangul are no words."""


def cut_at_morphemes(words: Words, workers: int) -> Words:
    """Counted words with those of Hangul cut into stem and ending, counted anew.

    Raises UserError if kiwipiepy is not installed.
    """
    with optional_package("morpheme", "algorithm=morpheme"):
        from kiwipiepy import Kiwi
    from tqdm import tqdm

    kiwi = Kiwi(num_workers=workers)
    text, offsets, counts = words
    whole, bounds = text.tobytes(), offsets.tolist()
    sizes = np.diff(offsets)
    is_hangul = (sizes >= 2 * BYTES_PER_SYLLABLE) & (sizes <= LONGEST_WORD)
    numbers = np.flatnonzero(is_hangul)
    counter = Counter()
    chosen = np.ones(len(counts), dtype=bool)
    bar = tqdm(total=len(numbers), desc="analysing", unit="word", disable=None)
    for start in range(0, len(numbers), BATCH):
        batch = []
        for number in numbers[start : start + BATCH].tolist():
            word = whole[bounds[number] : bounds[number + 1]].decode()
            stem = word.lstrip("".join(c for c in word[:2] if not "가" <= c <= "힣"))
            if len(stem) >= 2 and "가" <= stem[0] <= "힣":
                batch.append((number, word, len(word) - len(stem)))
        analysed = kiwi.tokenize([word[skipped:] for _, word, skipped in batch])
        pieces, piece_counts = [], []
        for (number, word, skipped), morphemes in zip(batch, analysed, strict=True):
            cuts = [skipped + cut for cut in stem_borders(morphemes)]
            if not cuts:
                continue
            chosen[number] = False
            boundaries = [0, *cuts, len(word)]
            for left, right in itertools.pairwise(boundaries):
                pieces.append(word[left:right].encode())
                piece_counts.append(counts[number])
        if pieces:
            counter.add(_words(pieces, piece_counts))
        bar.update(min(BATCH, len(numbers) - start))
    bar.close()
    return join([select(words, chosen), counter.words()])


def stem_borders(morphemes: Iterable[Any]) -> list[int]:
    """Offsets in a word, in characters, where stem and particle or ending meet.

    A boundary inside of a syllable (한다 is 하 + ㄴ다) is none.
    """
    boundaries, end, functional = [], 0, None
    for morpheme in morphemes:
        now = morpheme.tag.startswith(FUNCTIONAL)
        if functional is not None and now != functional and 0 < morpheme.start == end:
            boundaries.append(morpheme.start)
        functional, end = now, max(end, morpheme.start + morpheme.len)
    return boundaries


def _words(pieces: list[bytes], counts: list[Any]) -> Words:
    """A list of pieces in the form that counters take."""
    return (
        np.frombuffer(b"".join(pieces), dtype=np.uint8),
        np.cumsum([0, *map(len, pieces)], dtype=np.int64),
        np.array(counts, dtype=np.int64),
    )
