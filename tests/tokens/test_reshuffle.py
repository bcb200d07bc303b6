"""`reshuffle=documents`: a new order of documents in every epoch, and still a function of the step."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from tests.soak import tries
from tests.tokens.shard_files import SEPARATOR, open_loader, write

LENGTHS = [int(x) for x in np.random.default_rng(2).integers(2, 200, 120)]
BATCH = 4


def reshuffled(folder: Path, num_sources: int = 1, batch: int = BATCH, **options: object) -> Loader:
    return open_loader(folder, num_sources, batch, reshuffle="documents", **options)


@settings(max_examples=tries(6, 200), deadline=None)
@given(
    lengths=st.lists(st.integers(1, 120), min_size=5, max_size=40),
    shard_tokens=st.integers(1, 500),
    size=st.integers(1, 20),
)
def test_every_token_once_an_epoch(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], shard_tokens: int, size: int
) -> None:
    """And each from what stands before it in its document, or from a separator."""
    folder = tmp_path_factory.mktemp("shards")
    documents = write(folder, lengths, shard_tokens, vocab_size=70_000)
    loader = reshuffled(folder, batch=1, sequence_length=size)
    steps = loader.groups[0].num_windows
    expected = Counter(
        pair for each in documents for pair in zip([SEPARATOR, *each[:-1]], each, strict=True)
    )
    for epoch in range(2):
        found: Counter[tuple[int, int]] = Counter()
        for step in range(epoch * steps, (epoch + 1) * steps):
            batch = loader.rows(step, 0, 1)
            inside = batch.targets != IGNORE_INDEX
            found.update(zip(batch.tokens[inside].tolist(), batch.targets[inside].tolist(), strict=True))
            assert loader.num_targets(step) == inside.sum()
        assert found == expected
        assert loader.targets_by_source((epoch + 1) * steps) == {"s0": (epoch + 1) * sum(lengths)}


def test_epochs_have_other_windows_and_any_step_can_be_read_first(tmp_path: Path) -> None:
    write(tmp_path, LENGTHS, 3000, vocab_size=70_000)
    loader = reshuffled(tmp_path, sequence_length=64)
    per_epoch = loader.groups[0].num_windows
    steps = 3 * per_epoch // BATCH
    rows = np.concatenate([loader.rows(step, 0, BATCH).tokens for step in range(steps)])
    texts = [set(map(bytes, rows[start : start + per_epoch])) for start in range(0, len(rows), per_epoch)]
    for first, second in itertools.pairwise(texts):
        assert len(first & second) < 0.2 * per_epoch  # but for windows within one long document
    for step in (1000, steps - 1, 0):
        assert np.array_equal(
            reshuffled(tmp_path, sequence_length=64).rows(step, 0, BATCH).tokens,
            loader.rows(step, 0, BATCH).tokens,
        )
    other = reshuffled(tmp_path, sequence_length=64, seed=1)
    assert not np.array_equal(other.rows(0, 0, BATCH).tokens, rows[:BATCH])


def test_same_batches_for_any_world_size(tmp_path: Path) -> None:
    write(tmp_path, LENGTHS, 3000, num_sources=2)
    loader = reshuffled(tmp_path, 2, 8, sequence_length=64, mixture={"s0": 0.3, "s1": 0.7})
    for step in (0, 60):
        whole = loader.rows(step, 0, 8)
        for ranks in (1, 2, 4):
            fresh = reshuffled(tmp_path, 2, 8, sequence_length=64, mixture={"s0": 0.3, "s1": 0.7})
            parts = [
                fresh.micro_batch(step, micro, rank, ranks, 2)
                for micro in range(4 // ranks)
                for rank in range(ranks)
            ]
            assert np.array_equal(np.concatenate([part.tokens for part in parts]), whole.tokens)
            assert np.array_equal(np.concatenate([part.targets for part in parts]), whole.targets)


@pytest.mark.parametrize("mixture", [{}, {"s0": 0.2, "s1": 0.5, "s2": 0.3, "s2@40": 1.0}])
def test_documents_and_sources_are_exact(tmp_path: Path, mixture: dict[str, float]) -> None:
    documents = write(tmp_path, LENGTHS, 3000, vocab_size=70_000, num_sources=3)
    place = {
        (int(before), int(token)): number
        for number, document in enumerate(documents)
        for before, token in zip([SEPARATOR, *document[:-1]], document, strict=True)
    }
    loader = reshuffled(tmp_path, 3, BATCH, sequence_length=64, mixture=mixture)
    totals: Counter[str] = Counter()
    for step in range(200):
        batch = loader.rows(step, 0, BATCH)
        inside = batch.targets != IGNORE_INDEX
        pairs = zip(batch.tokens[inside].tolist(), batch.targets[inside].tolist(), strict=True)
        numbers = [place[pair] for pair in pairs]
        assert {int(identity, 16) for identity in loader.document_ids(step)} == set(numbers)
        totals.update(f"s{number % 3}" for number in numbers)
        if step % 23 == 0:
            assert loader.targets_by_source(step + 1) == dict(totals)
    early = Counter(loader.targets_by_source(90))
    assert early + Counter(loader.targets_by_source(200, since=90)) == totals
    assert loader.targets_by_source(200, since=200) == {}
    epochs = loader.epochs(200)
    for name, unique in loader.unique_tokens.items():
        seen = totals[name] if name else totals.total()
        assert epochs[name] == pytest.approx(seen / unique, rel=0.02)


def test_best_fit_does_not_go_with_it() -> None:
    with pytest.raises(UserError, match=r"packing=best_fit does not go with it: use data.packing=concat"):
        DataConfig(path=".", packing="best_fit", reshuffle="documents")
