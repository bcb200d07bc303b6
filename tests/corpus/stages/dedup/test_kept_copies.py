"""Which near-duplicates stay: no two that share a band and agree, however large the cluster."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.dedup import kept_copies, verdicts
from onnuri.corpus.stages.dedup import near_duplicates as near
from tests.soak import tries

SYLLABLES = [chr(code) for code in range(ord("가"), ord("가") + 11_000, 97)]


def kept(
    rows: np.ndarray,
    order: np.ndarray,
    always: np.ndarray | None = None,
    ids: np.ndarray | None = None,
) -> kept_copies.Kept:
    shared = near.shared_bands(rows)
    by_id = near.id_order([f"{number:08d}" for number in (np.arange(len(rows)) if ids is None else ids)])
    return kept_copies.keep(order, rows, shared, near.clusters(by_id, rows, shared), always=always)


def kept_texts(texts: list[str]) -> np.ndarray:
    found = near.sketches(pa.array(texts, pa.large_string()))
    return kept(found.bands, np.argsort(-found.lengths, kind="stable")).stays


def agreeing(rows: np.ndarray, row: int, others: np.ndarray) -> np.ndarray:
    """Which of the others share a band with a row and agree with it."""
    equal = (rows[others].view(np.uint8) == rows[row].view(np.uint8)).sum(axis=1)
    return (rows[others] == rows[row]).any(axis=1) & (equal >= near.bytes_needed(near.THRESHOLD))


def random_rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """Sketches of some originals and copies of many degrees, in places a template over all of them."""
    originals = rng.integers(1, 256, (max(1, int(count * rng.choice([0.02, 0.1, 0.5, 1]))), 256))
    rows = originals[rng.integers(0, len(originals), count)].astype(np.uint8)
    by_band = np.repeat(rng.random((count, 32)), 8, axis=1)
    changed = np.where(rng.random((count, 1)) < 0.5, by_band, rng.random((count, 256)))
    changes = changed < rng.choice([0.02, 0.1, 0.2, 0.3], (count, 1))
    rows[changes] = rng.integers(1, 256, changes.sum())
    if rng.random() < 0.5:
        rows[:, : rng.integers(8, 160)] = 7
    return rows.view(np.uint64)


@settings(max_examples=tries(12, 200), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([3, 64, 256]))
@example(1585, 354, 3)  # here the ids decide about clusters
def test_no_two_that_stay_share_a_band_and_agree(seed: int, count: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    rows, order = random_rows(rng, count), rng.permutation(count)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept_copies, "DOCUMENTS_AT_ONCE", block)
        patched.setattr(kept_copies, "PAIRS_AT_ONCE", int(rng.choice([5, 300, 1 << 15])))
        patched.setattr(kept_copies, "CROWDED", int(rng.choice([1, 100, 1 << 13])))
        found = kept(rows, order)
        again = rng.permutation(count)
        shuffled = kept(rows[again], np.argsort(again)[order], ids=again)
        assert np.array_equal(shuffled.stays, found.stays[again])
    staying = np.flatnonzero(found.stays)
    for row in staying:
        assert agreeing(rows, row, staying).sum() == 1
    place = np.argsort(order)
    assert found.stays[found.keeper].all()
    assert (place[found.keeper] <= place).all()
    equal = (rows[found.keeper].view(np.uint8) == rows.view(np.uint8)).sum(axis=1)
    assert (equal >= near.bytes_needed(near.THRESHOLD)).all()
    assert not found.candidates.any()


def test_of_a_chain_of_hundreds_each_text_stays_once() -> None:
    """More links than any number of comparisons that a cluster may be given."""
    rng = random.Random(1)
    words = ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(3000)]
    chain = []
    for start in range(0, 200 * 7, 7):
        text = words[start : start + 100]
        for _ in range(4):
            changed = text.copy()
            changed[rng.randrange(100)] = "다른말"
            chain.append(" ".join(changed))
    stays = kept_texts(chain)
    assert 50 < stays.sum() <= 200
    assert max(np.add.reduceat(stays, range(0, 800, 4))) == 1


def test_notices_of_one_template_with_other_numbers_stay() -> None:
    rng = random.Random(2)
    template = ["".join(rng.choices(SYLLABLES, k=34)) for _ in range(20)]
    notices = ["".join(f"{part}{rng.randrange(10**6):06d}" for part in template) for _ in range(1000)]
    stays = kept_texts(notices + [" ".join(text) for text in notices[:300]])
    assert 990 <= stays.sum() <= 1000


def test_few_copies_among_many_documents() -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(1, 2**63, (1000, near.NUM_BANDS)).astype(np.uint64)
    rows[900, :28] = rows[500, :28]
    assert np.flatnonzero(~kept(rows, np.arange(1000)).stays).tolist() == [900]


def test_a_band_that_thousands_share() -> None:
    rng = np.random.default_rng(4)
    rows = rng.integers(1, 2**63, (6000, near.NUM_BANDS)).astype(np.uint64)
    rows[:, 3] = 7
    rows[5000, :28] = rows[10, :28]
    assert np.flatnonzero(~kept(rows, np.arange(6000)).stays).tolist() == [5000]


def test_what_has_too_many_candidates_is_rejected_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_copies, "MOST_CANDIDATES", 100)
    monkeypatch.setattr(kept_copies, "DOCUMENTS_AT_ONCE", 10)
    rng = np.random.default_rng(5)
    rows = rng.integers(1, 2**63, (300, near.NUM_BANDS)).astype(np.uint64)
    rows[:200, 3] = 7
    found = kept(rows, np.arange(300))
    assert found.stays.sum() == 210
    assert set(found.candidates.tolist()) == {0, 110}

    ids = pa.array([number.to_bytes(16) for number in range(300)], pa.binary(16))
    sketches = type("InMemory", (), {"of": lambda _, chosen: rows[chosen]})()
    measured = verdicts.Measured(
        ids,
        np.stack([np.arange(300)] * 2, axis=1).astype(np.uint64),
        np.full(300, 50),
        np.zeros(300, np.int64),
        sketches,
    )
    reasons = verdicts.judge(measured).reasons
    assert sorted(set(reasons.tolist())) == ["", "too many candidates: 110"]
    assert np.count_nonzero(reasons == "") == 210


def test_documents_of_earlier_corpora_are_all_held_against_new_ones() -> None:
    rng = np.random.default_rng(6)
    rows = np.repeat(rng.integers(1, 2**63, (1, near.NUM_BANDS)), 3, axis=0).astype(np.uint64)
    rows[1:, :6] = rng.integers(1, 2**63, 6)
    rows[2, 26:] = rng.integers(1, 2**63, 6)
    always = np.array([True, True, False])
    assert agreeing(rows, 2, np.arange(2)).tolist() == [False, True]
    assert kept(rows, np.arange(3)).stays.tolist() == [True, False, True]
    assert kept(rows, np.arange(3), always).stays.tolist() == [True, True, False]
