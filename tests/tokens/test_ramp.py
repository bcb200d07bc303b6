"""Batches that grow and windows that are cut shorter: the data and its order stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.tokens.ramp import Ramp, batch_ramp, length_ramp, training_flops
from tests.soak import tries
from tests.tokens.shard_files import SEPARATOR, open_loader, write


@settings(max_examples=tries(20, 500), deadline=None)
@given(
    gaps=st.lists(st.integers(1, 9), max_size=4),
    rises=st.lists(st.integers(0, 9), min_size=5, max_size=5),
    step=st.integers(0, 60),
)
def test_sequences_before_a_step_are_the_sum_over_its_steps(
    gaps: list[int], rises: list[int], step: int
) -> None:
    starts = (0, *np.cumsum(gaps).tolist())
    ramp = Ramp(starts, tuple((1 + np.cumsum(rises)).tolist()[: len(starts)]))
    assert ramp.before(step) == sum(ramp.at(each) for each in range(step))
    assert [each.value for each in ramp.stages(step) for _ in range(each.start, each.stop)] == [
        ramp.at(each) for each in range(step)
    ]


def ramped(folder: Path, num_sources: int = 1, **options: object) -> Loader:
    sources = [{"name": f"s{number}"} for number in range(num_sources)]
    counts = {"separator": SEPARATOR, "sources": sources, "vocab_size": 70_000}
    config = DataConfig(path=str(folder), **options)  # type: ignore[arg-type]
    ramp = {"0": 2, "7": 5, "10": 8}
    return Loader(config, Manifest("tokens", {}, {}, counts), 8, folder / "layouts", ramp)


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_a_batch_ramp_reads_the_same_sequences_in_the_same_order(tmp_path: Path, packing: str) -> None:
    write(tmp_path, [201] * 90, 5000, num_sources=3)
    even = {"s0": 0.5, "s2": 0.5}
    options = {"sequence_length": 50, "packing": packing}
    loader = ramped(tmp_path, 3, mixture=even | {"s2@12": 1.0}, **options)
    # Step 12 is sequence 7 x 2 + 3 x 5 + 2 x 8 = 45, which is step 45 of a run with a batch of one.
    single = open_loader(tmp_path, 3, 1, mixture=even | {"s2@45": 1.0}, **options)
    groups, windows = (
        np.concatenate(each) for each in zip(*map(loader.window_numbers, range(30)), strict=True)
    )
    expected = [single.window_numbers(step) for step in range(len(groups))]
    assert groups.tolist() == [int(each[0][0]) for each in expected]
    assert windows.tolist() == [int(each[1][0]) for each in expected]
    assert [len(loader.window_numbers(step)[0]) for step in (0, 6, 7, 9, 10, 29)] == [2, 2, 5, 5, 8, 8]
    assert (loader.rows(6, 0, 8).targets[2:] < 0).all() and (loader.rows(7, 0, 5).targets >= 0).any(
        axis=1
    ).all()
    for step in (0, 7, 8, 10, 11, 30):
        before = loader.batches.before(step)
        assert loader.targets_by_source(step) == single.targets_by_source(before)
        targets = sum(single.num_targets(before + row) for row in range(loader.batches.at(step)))
        assert loader.num_targets(step) == targets
        documents = [single.document_ids(before + row) for row in range(loader.batches.at(step))]
        assert loader.document_ids(step) == sorted({each for found in documents for each in found})


def test_every_window_once_an_epoch_over_a_ramp(tmp_path: Path) -> None:
    write(tmp_path, [1001], 10_000)
    loader = ramped(tmp_path, sequence_length=10)
    numbers = np.concatenate([loader.window_numbers(step)[1] for step in range(40)])
    for start in (0, 100):
        assert sorted(numbers[start : start + 100]) == list(range(100))


def test_a_length_ramp_adds_boundaries_and_changes_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [5, 30, 100, 3, 40, 90, 17, 60] * 4, 5000)
    plain = open_loader(tmp_path, 1, 3, sequence_length=48)
    ramp = {"0": 12, "2": 16, "5": 48}
    cut = open_loader(tmp_path, 1, 3, sequence_length=48, length_ramp=ramp)
    for step, length in [(0, 12), (1, 12), (2, 16), (4, 16), (5, 48), (6, 48)]:
        batch, whole = cut.rows(step, 0, 4), plain.rows(step, 0, 4)
        assert np.array_equal(batch.tokens, whole.tokens)
        assert np.array_equal(batch.targets, whole.targets)
        assert set(batch.cu_seqlens) == {*whole.cu_seqlens, *range(0, 4 * 48, length)}
        assert len(set(batch.cu_seqlens)) == len(batch.cu_seqlens)
        assert np.diff(batch.cu_seqlens).max() <= length
        assert batch.positions.max() < length
    assert cut.state(3) == {**plain.state(3), "length_ramp": ramp}
    for one, other in ((plain, cut), (cut, plain)):
        with pytest.raises(UserError, match="data order has length_ramp="):
            one.check_state(other.state(3))


def test_flops_count_attention_by_its_length() -> None:
    batches, lengths = batch_ramp({"0": 2, "10": 4}, 4), length_ramp({"0": 16, "5": 64}, 64)
    assert training_flops(lambda length: 1000 + length, batches, lengths, 0, 0) == 0
    assert training_flops(lambda length: 1000 + length, batches, lengths, 5, 600) == 600 * 1016
    # 10 sequences at 16 tokens, 10 + 8 at 64
    expected = 2800 * (10 * 1016 + 18 * 1064) // 28
    assert training_flops(lambda length: 1000 + length, batches, lengths, 12, 2800) == expected


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        ({"5": 32}, "train.batch_ramp begins at step 5; give the first step a value too, 0:VALUE"),
        ({"0": 8, "x": 32}, "x:32 must be STEP:VALUE"),
        ({"0": 8, "05": 32}, "05:32 must be STEP:VALUE"),
        ({"0": 0, "5": 32}, "0:0 must be STEP:VALUE, steps counted from 0, values at least 1"),
        ({"0": 8, "5": 4, "9": 32}, "falls from 8 to 4 at step 5; it may only rise"),
        ({"0": 8, "5": 16}, "ends with 16, from step 5 on, and train.global_batch_size=32: they must be"),
    ],
)
def test_ramps_that_are_refused(ramp: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        batch_ramp(ramp, 32)


def test_lengths_that_are_refused() -> None:
    with pytest.raises(UserError, match=r"48, from step 7 on, does not divide .*=128; 32 does"):
        DataConfig("x", sequence_length=128, length_ramp={"0": 16, "7": 48, "9": 128})
    with pytest.raises(UserError, match="cuts windows by the document mask: leave one of them out"):
        DataConfig("x", sequence_length=128, length_ramp={"0": 16, "7": 128}, document_mask=False)
    assert DataConfig("x", length_ramp={"0": 1024}, document_mask=False).lengths.at(5) == 1024
