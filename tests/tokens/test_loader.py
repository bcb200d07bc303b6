"""Batches depend on (shards, seed, step) and on nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.errors import UserError
from onnuri.tokens.loader import Loader
from onnuri.tokens.shards import DOCUMENT, ShardWriter, TokenShards, token_dtype

Sample = Callable[[str], str]


def write(folder: Path, lengths: list[int], shard_tokens: int, vocab_size: int = 1000) -> np.ndarray:
    """Documents of the given lengths as shards; returns all tokens in order."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(folder, "train", token_dtype(vocab_size), shard_tokens)
    generator = np.random.default_rng(0)
    documents = [generator.integers(0, vocab_size, length) for length in lengths]
    ends = np.cumsum(lengths)
    rows = np.empty(len(lengths), dtype=DOCUMENT)
    rows["length"], rows["bytes"] = lengths, 3 * np.array(lengths)
    rows["offset"] = ends - lengths
    rows["source"], rows["lang"] = np.arange(len(lengths)) % 5, np.arange(len(lengths)) % 2
    rows["id"] = [f"{number:032x}".encode() for number in range(len(lengths))]
    half = len(lengths) // 2
    for start, stop in ((0, half), (half, len(lengths))):
        part = rows[start:stop].copy()
        part["offset"] -= rows["offset"][start] if start < len(rows) else 0
        writer.add(np.concatenate([np.empty(0, int), *documents[start:stop]]), part)
    writer.close()
    return np.concatenate(documents)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    shard_tokens=st.integers(1, 300),
    data=st.data(),
)
def test_reads_cross_shard_borders(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], shard_tokens: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    tokens = write(folder, lengths, shard_tokens)
    shards = TokenShards.open(folder, "train")
    assert shards.num_tokens == len(tokens)
    start = data.draw(st.integers(0, len(tokens)))
    count = data.draw(st.integers(0, len(tokens) - start))
    assert shards.read(start, count).tolist() == tokens[start : start + count].tolist()
    for row in shards.documents:
        number = int(row["id"].decode(), 16)
        assert (row["length"], row["bytes"]) == (lengths[number], 3 * lengths[number])
        assert (row["source"], row["lang"]) == (number % 5, number % 2)
        assert row["offset"] == sum(lengths[:number])


def test_reads_outside_are_errors(tmp_path: Path) -> None:
    write(tmp_path, [10], 100)
    shards = TokenShards.open(tmp_path, "train")
    for start, count in ((-1, 2), (9, 2), (11, 0)):
        with pytest.raises(IndexError):
            shards.read(start, count)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65536, "uint16"), (65537, "uint32")])
def test_dtype_follows_the_vocabulary(vocab_size: int, dtype: str, tmp_path: Path) -> None:
    tokens = write(tmp_path, [500], 10_000, vocab_size)
    shards = TokenShards.open(tmp_path, "train")
    assert shards.shards[0].dtype.name == dtype
    assert isinstance(shards.shards[0], np.memmap)
    assert shards.read(0, 500).tolist() == tokens.tolist()


def test_same_batches_for_any_world_size(sample: Sample) -> None:
    shards = TokenShards.open(sample("tokens"), "train")
    loader = Loader(shards, 64, 24, 3, "x")
    for step in (0, 1, 1000):
        whole = loader.batch(step)
        assert whole.shape == (24, 65)
        for world_size, micro_batch_size in ((1, 24), (2, 3), (3, 4), (4, 6), (24, 1)):
            accumulation = 24 // (world_size * micro_batch_size)
            rows = [
                loader.micro_batch(step, micro, rank, world_size, micro_batch_size)
                for micro in range(accumulation)
                for rank in range(world_size)
            ]
            assert np.array_equal(np.concatenate(rows), whole)


def test_every_window_once_an_epoch_and_a_new_order_in_the_next(tmp_path: Path) -> None:
    write(tmp_path, [1001], 10_000)
    loader = Loader(TokenShards.open(tmp_path, "train"), 10, 7, 0, "x")
    assert loader.num_windows == 100
    numbers = np.concatenate([loader.window_numbers(step, np.arange(7)) for step in range(43)])
    first, second, third = numbers[:100], numbers[100:200], numbers[200:300]
    for epoch in (first, second, third):
        assert sorted(epoch) == list(range(100))
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)
    other = Loader(loader.shards, 10, 7, 1, "x")
    assert not np.array_equal(other.window_numbers(0, np.arange(7)), numbers[:7])


def test_windows_overlap_by_the_one_token_that_is_predicted(tmp_path: Path) -> None:
    tokens = write(tmp_path, [300, 401], 350)
    loader = Loader(TokenShards.open(tmp_path, "train"), 50, 1, 0, "x")
    for step in range(loader.num_windows):
        number = int(loader.window_numbers(step, np.arange(1))[0])
        assert loader.batch(step)[0].tolist() == tokens[number * 50 : number * 50 + 51].tolist()


def test_seeking_far_costs_no_more_than_starting(sample: Sample) -> None:
    loader = Loader(TokenShards.open(sample("tokens"), "train"), 64, 8, 0, "x")
    loader.batch(0)

    def seconds(step: int) -> float:
        started = time.perf_counter()
        loader.batch(step)
        return time.perf_counter() - started

    near, far = min(seconds(1) for _ in range(20)), min(seconds(10**9) for _ in range(20))
    assert far < 5 * near + 1e-3


def test_state_holds_no_rank_and_names_what_differs(sample: Sample) -> None:
    shards = TokenShards.open(sample("tokens"), "train")
    state = Loader(shards, 64, 8, 0, "x").state(5)
    assert set(state) == {"fingerprint", "seed", "step", "sequence_length", "global_batch"}
    Loader(shards, 64, 8, 0, "x").check_state(state)
    with pytest.raises(UserError, match="seed=0, now it is 1"):
        Loader(shards, 64, 8, 1, "x").check_state(state)
    with pytest.raises(UserError, match="fingerprint=x, now it is y"):
        Loader(shards, 64, 8, 0, "y").check_state(state)


def test_too_little_text_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [50], 100)
    with pytest.raises(UserError, match="fewer than one window"):
        Loader(TokenShards.open(tmp_path, "train"), 50, 1, 0, "x")
