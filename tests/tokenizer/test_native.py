"""Counting and merging in compiled code, against plain Python."""

from __future__ import annotations

import os
import random
from collections import Counter as PlainCounter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.tokenizer.native import Counter, Trainer, Words, lay_out, split
from tests.soak import tries
from tests.tokenizer.texts import HANGUL

BYTES = [bytes([byte]) for byte in range(256)]
KOREAN = st.lists(st.text(st.one_of(HANGUL, st.sampled_from(" aabb가가나\n.")), max_size=30), max_size=12)


def as_words(counts: dict[bytes, int]) -> Words:
    text, offsets = lay_out(list(counts))
    return text, offsets, np.array(list(counts.values()), dtype=np.int64)


def as_dict(words: Words) -> dict[bytes, int]:
    text, offsets, counts = words
    whole, places = text.tobytes(), offsets.tolist()
    return {whole[a:b]: n for a, b, n in zip(places, places[1:], counts.tolist(), strict=False)}


def learn(counts: dict[bytes, int], merges: int, min_count: int = 1, max_bytes: int = 64) -> list[tuple]:
    text, offsets, numbers = as_words(counts)
    trainer = Trainer(
        BYTES, text.astype(np.int32), offsets, numbers, min_count=min_count, max_bytes=max_bytes
    )
    while trainer.run(256 + merges, 3):
        pass
    rows, seen = trainer.merges()
    return [(*row, count) for row, count in zip(rows.tolist(), seen.tolist(), strict=True)]


def whole_characters(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def learn_plainly(counts: dict[bytes, int], merges: int) -> list[tuple]:
    """Byte-pair encoding as the paper says it, all pairs counted anew for each merge."""
    tokens, pieces = list(BYTES), {word: list(word) for word in counts}
    learned: list[tuple] = []
    while len(tokens) < 256 + merges:
        pairs: PlainCounter[tuple[int, int]] = PlainCounter()
        for word, ids in pieces.items():
            place = 0
            while place + 1 < len(ids):
                pair = ids[place], ids[place + 1]
                left, right = tokens[pair[0]], tokens[pair[1]]
                part = left[0] >= 0xC2 and not whole_characters(left) and right[0] & 0xC0 == 0x80
                if (part and len(right) == 1) or (whole_characters(left) and whole_characters(right)):
                    pairs[pair] += counts[word]
                # aaa holds the pair aa once for its tokens, twice for its places: places are counted
                place += 1
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        joined = tokens[best[0]] + tokens[best[1]]
        if joined not in tokens:
            tokens.append(joined)
        number = tokens.index(joined)
        learned.append((*best, number, pairs[best]))
        for ids in pieces.values():
            place = 0
            while place + 1 < len(ids):
                if (ids[place], ids[place + 1]) == best:
                    ids[place : place + 2] = [number]
                place += 1
    return learned


@settings(max_examples=tries(75, 1200), deadline=None)
@given(texts=KOREAN)
def test_merges_are_those_of_the_plain_algorithm(texts: list[str]) -> None:
    """On pieces without three equal neighbours, where counts by place and by merge are the same."""
    words = [w for text in texts for w in split(text.encode(), True, False)]
    words = [w for w in words if not any(w[i] == w[i + 1] == w[i + 2] for i in range(len(w) - 2))]
    counts = dict(PlainCounter(words))
    ours = learn(counts, 40)
    for ours_row, plain_row in zip(ours, learn_plainly(counts, 40), strict=True):
        if ours_row != plain_row:  # a run such as (ab)(ab)(ab): counts of overlapping pairs may differ
            tokens = list(BYTES)
            for left, right, number, _ in ours:
                if number == len(tokens):
                    tokens.append(tokens[left] + tokens[right])
            left, right = tokens[ours_row[0]], tokens[ours_row[1]]
            assert left == right or plain_row[0] == plain_row[1]
            break


def test_counts_go_beyond_32_bits() -> None:
    """HF tokenizers counts pairs in 32 bits, where the most frequent ones come out negative."""
    many = 3 * 2**31
    ours = learn({b"ab": many, b"cd": 2**31 - 1, b"ef": many + 1}, 3)
    assert [row[3] for row in ours] == [many + 1, many, 2**31 - 1]
    counter = Counter()
    text, offsets = lay_out([b"ab ab"])
    counter.add_text(text, offsets, np.array([2**40]), mark_prefix=True, phrases=False)
    counter.add_text(text, offsets, np.array([2**40]), mark_prefix=True, phrases=False)
    assert as_dict(counter.words()) == {b"ab": 2**41, b" ab": 2**41}


def test_no_token_mixes_a_part_of_a_character_with_anything_else() -> None:
    rng = random.Random(0)
    counts = {
        "".join(rng.choice("가각갂a é漢👍") for _ in range(rng.randint(1, 8))).encode(): rng.randint(1, 9)
        for _ in range(500)
    }
    tokens = list(BYTES)
    for left, right, _, _ in learn(counts, 300):
        tokens.append(tokens[left] + tokens[right])
    for token in tokens[256:]:
        assert whole_characters(token) or not any(byte < 0x80 for byte in token)
        assert whole_characters(token) or token[0] >= 0xC2
        assert whole_characters(token) or len(token) < 4


def test_longest_token_and_rarest_pair() -> None:
    counts = {b"abcdefgh" * 4: 5, b"xy": 1}
    tokens = list(BYTES)
    for left, right, number, _ in learn(counts, 100, min_count=2, max_bytes=8):
        assert number == len(tokens)
        tokens.append(tokens[left] + tokens[right])
    assert max(map(len, tokens)) == 8
    assert b"xy" not in tokens


def test_sampled_counter_depends_on_the_set_alone() -> None:
    """Whatever the order, and however many counters share the pieces."""
    pieces = [f"{n:06d}".encode() for n in range(20_000)]
    limit = 200_000
    results = []
    for seed, shares in ((0, 1), (1, 1), (2, 3), (3, 7)):
        rng = random.Random(seed)
        rng.shuffle(pieces)
        counters = [Counter(limit) for _ in range(shares)]
        for share, counter in enumerate(counters):
            counter.add(as_words(dict.fromkeys(pieces[share::shares], 3)))
        for counter in counters[1:]:
            counters[0].merge(counter)
        results.append(as_dict(counters[0].words()))
        assert 0 < counters[0].num_bytes <= limit
        assert counters[0].sampled > 1
    assert all(result == results[0] for result in results)
    assert set(results[0].values()) == {3}


def test_endless_lines_are_counted_in_parts() -> None:
    """A word of megabytes would be walked through once a merge."""
    texts = ["가나다" * 500_000, "하 여 야 " * 300_000, "x" * 600 + "\n", "👍" * 1000]
    for phrases in (False, True):
        counter = Counter()
        text, offsets = lay_out([t.encode() for t in texts])
        weights = np.full(len(texts), 2)
        left_out = counter.add_text(text, offsets, weights, mark_prefix=False, phrases=phrases)
        assert left_out == len(texts[0].encode()) - 131_070  # whole characters of the first 128 KB
        pieces = as_dict(counter.words())
        assert max(map(len, pieces)) <= 512
        assert sum(len(piece) * count for piece, count in pieces.items()) == 2 * (len(text) - left_out)
        assert all(whole_characters(piece) for piece in pieces)


def test_parts_by_hash_are_the_whole() -> None:
    counter, words = Counter(), {os.urandom(5): n for n in range(1000)}
    counter.add(as_words(words))
    parts = [as_dict(counter.words(part, 7)) for part in range(7)]
    assert sum(map(len, parts)) == len(words)
    assert {key: n for part in parts for key, n in part.items()} == words
