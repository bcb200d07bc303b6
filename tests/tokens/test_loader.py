"""Batches depend on (shards, mixture, seed, step) and on nothing else."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX, Batch
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from tests.soak import tries
from tests.tokens.shard_files import SEPARATOR, open_loader, write

Sample = Callable[[str], str]
PACKINGS = ("concatenate", "best_fit")
LENGTHS = [int(x) for x in np.random.default_rng(1).integers(2, 400, 60)]


def sample_loader(sample: Sample, global_batch: int, folder: Path, **options: object) -> Loader:
    config = DataConfig(path=sample("tokens"), **options)  # type: ignore[arg-type]
    return Loader(config, manifest.read(sample("tokens"), "tokens"), global_batch, folder)


def together(batches: list[Batch]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([b.tokens for b in batches]), np.concatenate([b.targets for b in batches])


@pytest.mark.parametrize("packing", PACKINGS)
def test_same_batches_for_any_world_size(sample: Sample, tmp_path: Path, packing: str) -> None:
    loader = sample_loader(sample, 24, tmp_path, sequence_length=64, seed=3, packing=packing)
    for step in range(tries(3_000, 10_000)):
        whole = loader.rows(step, 0, 24)
        # each step under one of the splits, all of them in turn
        world_size = (1, 2, 4, 8, 5)[step % 5]
        size = (1, 3, 2)[step // 5 % 3]
        accumulation = -(-24 // (world_size * size))
        parts = [
            loader.micro_batch(step, micro, rank, world_size, size)
            for micro in range(accumulation)
            for rank in range(world_size)
        ]
        tokens, targets = together(parts)
        assert np.array_equal(tokens[:24], whole.tokens)
        assert np.array_equal(targets[:24], whole.targets)
        assert (targets[24:] == IGNORE_INDEX).all()
        boundaries = [0]
        for part in parts:
            boundaries += (part.cu_seqlens[1:] + boundaries[-1]).tolist()
        assert boundaries[: len(whole.cu_seqlens)] == whole.cu_seqlens.tolist()


@pytest.mark.parametrize("packing", PACKINGS)
@settings(max_examples=tries(15, 180), deadline=None)
@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=40).filter(lambda x: sum(x) > 2),
    shard_tokens=st.integers(1, 500),
    size=st.integers(1, 70),
)
def test_an_epoch_predicts_every_token_once(
    tmp_path_factory: pytest.TempPathFactory,
    packing: str,
    lengths: list[int],
    shard_tokens: int,
    size: int,
) -> None:
    """All but the first token of a shard, which nothing stands before; best_fit predicts that too."""
    folder = tmp_path_factory.mktemp("shards")
    documents = write(folder, lengths, shard_tokens, vocab_size=70_000)
    try:
        loader = open_loader(folder, 1, 1, sequence_length=size, packing=packing)
    except UserError:
        assert all(len(shard) < 2 for shard in write_shards(documents, shard_tokens))
        return
    steps = loader.groups[0].num_windows
    batches = [loader.rows(step, 0, 1) for step in range(steps)]
    found = Counter(np.concatenate([b.targets[b.targets != IGNORE_INDEX] for b in batches]).tolist())
    expected = Counter(np.concatenate(documents).tolist())
    if packing == "concatenate":
        expected -= Counter(shard[0] for shard in write_shards(documents, shard_tokens))
    assert found == expected
    assert sum(loader.num_targets(step) for step in range(steps)) == found.total()
    assert loader.targets_by_source(steps) == {"s0": found.total()}
    if packing == "best_fit":
        for batch in batches:  # inputs are the tokens before the targets, or the boundary before a document
            inside = (batch.targets != IGNORE_INDEX)[:, 1:]
            assert (batch.tokens[:, 1:] == batch.targets[:, :-1])[inside].all()


def write_shards(documents: list[np.ndarray], shard_tokens: int) -> list[list[int]]:
    """Which tokens stand in which shard: documents until one does not fit."""
    shards: list[list[int]] = []
    for document in documents:
        if not shards or (shards[-1] and len(shards[-1]) + len(document) > shard_tokens):
            shards.append([])
        shards[-1] += document.tolist()
    return shards


def test_every_window_once_an_epoch_and_a_new_order_in_the_next(tmp_path: Path) -> None:
    write(tmp_path, [1001], 10_000)
    loader = open_loader(tmp_path, 1, 7, sequence_length=10)
    numbers = np.concatenate([loader.window_numbers(step)[1] for step in range(43)])
    first, second, third = numbers[:100], numbers[100:200], numbers[200:300]
    for epoch in (first, second, third):
        assert sorted(epoch) == list(range(100))
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)
    other = open_loader(tmp_path, 1, 7, sequence_length=10, seed=1)
    assert not np.array_equal(other.window_numbers(0)[1], numbers[:7])


@pytest.mark.parametrize("packing", PACKINGS)
def test_mixture_takes_each_source_by_weight_and_in_epochs_of_its_own(tmp_path: Path, packing: str) -> None:
    write(tmp_path, [201] * 90, 5000, num_sources=3)
    mixture = {"s0": 0.5, "s1": 0.0, "s2": 0.5, "s2@40": 1.0}
    loader = open_loader(tmp_path, 3, 10, sequence_length=50, mixture=mixture, packing=packing)
    sources = loader.shards.sources
    groups, numbers = (
        np.stack(parts) for parts in zip(*(loader.window_numbers(step) for step in range(80)), strict=True)
    )
    names = [loader.group_names[group] for group in groups.ravel().tolist()]
    assert abs(names[:400].count("s0") - 200) <= 3
    assert set(names[400:]) == {"s2"}
    for index, group in enumerate(loader.groups):
        own = numbers.ravel()[groups.ravel() == index]
        for start in range(0, len(own) - group.num_windows + 1, group.num_windows):
            assert sorted(own[start : start + group.num_windows]) == list(range(group.num_windows))
    assert len(set(sources)) == 3
    seen = loader.targets_by_source(80)
    assert set(seen) == {"s0", "s2"}
    assert sum(seen.values()) == sum(loader.num_targets(step) for step in range(80))


def test_a_star_is_one_pool_of_all_that_begin_so(tmp_path: Path) -> None:
    """s1, s10 and s11: an epoch of the pool is every window of the three once."""
    lengths = [int(size) for size in np.random.default_rng(3).integers(5, 60, 48)]
    write(tmp_path, lengths, 500, num_sources=12)
    loader = open_loader(tmp_path, 12, 4, sequence_length=32, mixture={"s1*": 0.5, "s2": 0.5})
    pool = [name for name in loader.source_names if name.startswith("s1")]
    alone = open_loader(tmp_path, 12, 4, sequence_length=32, mixture=dict.fromkeys(pool, 1.0))
    assert loader.unique_tokens["s1*"] == sum(alone.unique_tokens[name] for name in pool)
    place = loader.group_names.index("s1*")
    assert loader.groups[place].num_windows == sum(group.num_windows for group in alone.groups)
    steps = 400
    assert loader.epochs(steps)["s1*"] * loader.groups[place].num_windows == pytest.approx(2 * steps, abs=3)
    found, shares = loader.targets_by_source(steps), alone.unique_tokens
    assert found.keys() == {"s2", *pool}
    for name in pool:
        expected = shares[name] / sum(shares.values())
        assert found[name] / sum(found[each] for each in pool) == pytest.approx(expected, rel=0.05)


def test_documents_of_a_batch_and_exact_counts_by_source(tmp_path: Path) -> None:
    documents = write(tmp_path, LENGTHS, 3000, vocab_size=70_000, num_sources=3)
    place = {
        (int(token), int(after)): number
        for number, document in enumerate(documents)
        for token, after in itertools.pairwise(document)
    }
    for packing in PACKINGS:
        loader = open_loader(tmp_path, 3, 4, sequence_length=64, packing=packing)
        totals = Counter()
        for step in range(60):
            batch = loader.rows(step, 0, 4)
            inside = (batch.targets != IGNORE_INDEX) & (batch.tokens != SEPARATOR)
            pairs = zip(batch.tokens[inside].tolist(), batch.targets[inside].tolist(), strict=True)
            numbers = [place[pair] for pair in pairs]
            ids = {int(identity, 16) for identity in loader.document_ids(step)}
            assert set(numbers) <= ids
            assert len(ids) <= len(set(numbers)) + 4 * 64
            totals.update(f"s{number % 3}" for number in numbers)
        counted = loader.targets_by_source(60)
        for name, total in totals.items():  # first tokens of documents, after a separator, come on top
            assert total <= counted[name] <= total * 1.03
        assert sum(counted.values()) == sum(loader.num_targets(step) for step in range(60))


def test_borders_of_documents(tmp_path: Path) -> None:
    write(tmp_path, [5, 3, 9, 2, 30], 1000)
    batch = open_loader(tmp_path, 1, 1, sequence_length=48).rows(0, 0, 1)
    assert batch.cu_seqlens.tolist() == [0, 4, 7, 16, 18, 48]
    assert batch.positions[0].tolist() == [*range(4), *range(3), *range(9), *range(2), *range(30)]
    short = open_loader(tmp_path, 1, 1, sequence_length=100).rows(0, 0, 1)
    assert short.cu_seqlens.tolist() == [0, 4, 7, 16, 18, 48, 100]
    assert (short.targets[0, 48:] == IGNORE_INDEX).all()
    assert (short.targets[0, :48] != IGNORE_INDEX).all()


def test_best_fit_cuts_no_document_that_fits(tmp_path: Path) -> None:
    documents = write(tmp_path, LENGTHS, 4000, vocab_size=70_000)
    loader = open_loader(tmp_path, 1, 1, sequence_length=256, packing="best_fit")
    rows = [loader.rows(step, 0, 1).targets[0].tolist() for step in range(loader.groups[0].num_windows)]
    texts = [",".join(map(str, row)) for row in rows]
    for document in documents:
        if len(document) <= 256:
            assert sum(",".join(map(str, document.tolist())) in text for text in texts) == 1
    assert len(rows) <= 1.1 * sum(LENGTHS) / 256 + 1


@pytest.mark.parametrize("packing", PACKINGS)
def test_seeking_far_costs_no_more_than_starting(sample: Sample, tmp_path: Path, packing: str) -> None:
    loader = sample_loader(sample, 8, tmp_path, sequence_length=64, packing=packing)

    def seconds(step: int) -> float:
        loader._blocks.cache_clear()
        started = time.perf_counter()
        loader.rows(step, 0, 8)
        return time.perf_counter() - started

    near, far = zip(*((seconds(10), seconds(10**6)) for _ in range(40)), strict=True)  # in turns
    assert min(far) < 2 * min(near) + 1e-3


def test_state_holds_no_rank_and_names_what_differs(sample: Sample, tmp_path: Path) -> None:
    loader = sample_loader(sample, 8, tmp_path, sequence_length=64)
    state = loader.state(5)
    options = {"sequence_length", "seed", "mixture", "packing", "reshuffle"}
    assert set(state) == {"step", "data", "global_batch", *options}
    loader.check_state(state)
    older = {name: value for name, value in state.items() if name != "reshuffle"}
    loader.check_state(older)
    with pytest.raises(UserError, match="reshuffle=windows, now it is documents"):
        sample_loader(sample, 8, tmp_path, sequence_length=64, reshuffle="documents").check_state(older)
    with pytest.raises(UserError, match="seed=0, now it is 1"):
        sample_loader(sample, 8, tmp_path, sequence_length=64, seed=1).check_state(state)
    with pytest.raises(UserError, match="global_batch=8, now it is 9"):
        sample_loader(sample, 9, tmp_path, sequence_length=64).check_state(state)


def test_too_little_text_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [1], 100)
    with pytest.raises(UserError, match="no token to predict"):
        open_loader(tmp_path, 1, 1)
    write(tmp_path / "two", [50, 1], 100, num_sources=2)
    open_loader(tmp_path / "two", 2, 1)
    with pytest.raises(UserError, match="no token to predict from s1"):
        open_loader(tmp_path / "two", 2, 1, mixture={"s0": 1.0, "s1": 1.0})


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_token_beyond_the_vocabulary_is_named(tmp_path: Path, packing: str) -> None:
    write(tmp_path, [40] * 8, 10**6)
    whole = open_loader(tmp_path, 1, 4, sequence_length=32, packing=packing)
    short = open_loader(tmp_path, 1, 4, vocab_size=500, sequence_length=32, packing=packing)
    assert whole.rows(0, 0, 4).tokens.max() >= 500
    with pytest.raises(UserError, match=r"token \d+, and their vocabulary ends at 499: they are damaged"):
        short.rows(0, 0, 4)
