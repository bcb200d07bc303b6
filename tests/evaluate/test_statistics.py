"""Intervals and comparisons: they hold what they promise on data whose truth is known."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.evaluate.bootstrap import normal, student
from onnuri.evaluate.statistics import (
    checkpoint_noise,
    effective_items,
    holm,
    interval,
    intraclass_correlation,
    match,
    paired,
    ratio_interval,
    signal_to_noise,
)

RUNS, CLUSTERS, SIZE, CORRELATION = 600, 50, 10, 0.7
LABELS = [f"passage {index // SIZE}" for index in range(CLUSTERS * SIZE)]


def differences(rng: np.random.Generator) -> np.ndarray:
    """One experiment without an effect: -1, 0 or 1 an item, an intraclass correlation of 0.7."""

    def draw(*shape: int) -> np.ndarray:
        return rng.choice([-1.0, 0.0, 1.0], p=[0.25, 0.5, 0.25], size=shape)

    shared = rng.random((CLUSTERS, SIZE)) < math.sqrt(CORRELATION)
    return np.where(shared, draw(CLUSTERS, 1), draw(CLUSTERS, SIZE)).ravel()


def found(effect: float, labels: list[str], runs: int = RUNS) -> float:
    """The share of experiments in which `paired` finds a difference at 5 %."""
    rng = np.random.default_rng(20)
    nothing = np.zeros(len(labels))
    results = [
        paired(differences(rng) + effect, nothing, labels, draws=999, seed=run) for run in range(runs)
    ]
    assert all((result.p <= 0.05) == (result.low > 0 or result.high < 0) for result in results)
    return sum(result.p <= 0.05 for result in results) / runs


def test_a_true_null_is_rejected_in_one_of_twenty_cases() -> None:
    assert 0.03 <= found(0.0, LABELS) <= 0.07


def test_a_bootstrap_of_items_would_reject_it_far_more_often() -> None:
    single = [f"item {index}" for index in range(len(LABELS))]
    assert found(0.0, single, runs=200) > 0.3


def test_the_smallest_effect_is_found_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(4)
    effects = [
        paired(differences(rng), np.zeros(len(LABELS)), LABELS, draws=99).smallest_effect
        for _ in range(200)
    ]
    assert 0.75 <= found(float(np.mean(effects)), LABELS) <= 0.85


def test_an_interval_of_few_clusters_covers_the_truth() -> None:
    """Eight clusters of 5 with a mean of 0.7; plain percentiles cover it in about 89 % of cases."""
    rng = np.random.default_rng(8)
    labels = [index // 5 for index in range(40)]
    covered = 0
    for run in range(400):
        values = np.repeat(rng.beta(3.5, 1.5, 8), 5)
        result = interval(values, labels, draws=1999, seed=run)
        covered += result.low <= 0.7 <= result.high
    assert 0.92 <= covered / 400 <= 0.98


def test_items_of_their_own_match_the_closed_form() -> None:
    values = np.repeat([1.0, 0.0], [300, 200])
    result = interval(values, range(500))
    stderr = math.sqrt(0.6 * 0.4 / 499)
    assert result.value == pytest.approx(0.6)
    assert result.stderr == pytest.approx(stderr)
    assert result.low == pytest.approx(0.6 - 1.965 * stderr, abs=0.004)
    assert result.high == pytest.approx(0.6 + 1.965 * stderr, abs=0.004)


def test_documents_of_many_sizes_match_the_closed_form_of_a_ratio() -> None:
    """Above 64 kinds of clusters the weights are drawn from bytes."""
    rng = np.random.default_rng(2)
    sizes = rng.lognormal(6, 0.5, 3000)
    bits = sizes * rng.normal(1.4, 0.3, 3000)
    result = ratio_interval(bits, sizes, range(3000))
    value = bits.sum() / sizes.sum()
    stderr = math.sqrt(((bits - value * sizes) ** 2).sum() * 3000 / 2999) / sizes.sum()
    assert result.value == pytest.approx(value)
    assert result.stderr == pytest.approx(stderr)
    assert (result.high - result.low) / (2 * 1.96 * stderr) == pytest.approx(1, abs=0.06)


def test_a_macro_mean_weighs_groups_alike_and_adds_their_variances() -> None:
    values = np.concatenate([np.repeat([1.0, 0.0], [90, 10]), np.repeat([1.0, 0.0], [200, 200])])
    groups = ["small"] * 100 + ["large"] * 400
    result = interval(values, range(500), groups)
    variance = (0.9 * 0.1 / 99 + 0.25 / 399) / 4
    assert result.value == pytest.approx(0.7)
    assert result.stderr == pytest.approx(math.sqrt(variance))
    assert result.high - result.low == pytest.approx(2 * 1.97 * math.sqrt(variance), rel=0.08)
    assert interval(values, range(500)).value == pytest.approx(0.58)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([1.0] * 20, 0.025 ** (1 / 20), 1.0),  # Clopper and Pearson
        ([0.0] * 20, 0.0, 1 - 0.025 ** (1 / 20)),
        ([0.5] * 20, 0.5 * 0.025 ** (1 / 20), 1 - 0.5 * 0.025 ** (1 / 20)),
        ([1.0], 0.025, 1.0),
        ([1.0, 0.0], 0.0, 1.0),
    ],
)
def test_clusters_that_agree_or_are_few_claim_no_certainty(
    values: list[float], low: float, high: float
) -> None:
    result = interval(values, range(len(values)), draws=20_000)
    assert (result.low, result.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert result.stderr > 0


def test_one_document_says_little_about_bits_per_byte() -> None:
    result = ratio_interval([150.0], [100.0], ["one"])
    assert result.value == 1.5
    assert result.low < 0.2
    assert 7 < result.high <= 8


def test_models_that_always_differ_get_the_p_of_a_sign_test() -> None:
    result = paired([1.0] * 8, [0.0] * 8, range(8), draws=200_000)
    assert result.p == pytest.approx(2 * 0.5**8, rel=0.2)
    same = paired([1.0, 0.0], [1.0, 0.0], [0, 1])
    assert (same.difference, same.p > 0.9) == (0.0, True)
    assert same.low < 0 < same.high


def test_p_is_not_bounded_by_the_number_of_draws() -> None:
    rng = np.random.default_rng(5)
    first = (rng.random(2000) < 0.9).astype(float)
    second = (rng.random(2000) < 0.5).astype(float)
    assert paired(first, second, range(2000), draws=199).p < 1e-12


SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 0.1, 0.3]), st.integers(0, 6), st.sampled_from("가나다")),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(items=SCORES, data=st.data())
def test_order_of_items_and_names_of_clusters_change_nothing(
    items: list[tuple[float, int, str]], data: st.DataObject
) -> None:
    values, clusters, groups = map(list, zip(*items, strict=True))
    result = interval(values, clusters, groups, draws=199)
    assert 0 <= result.low <= result.value <= result.high <= 1
    assert math.isfinite(result.stderr)
    moved = data.draw(st.permutations(items))
    values, clusters, groups = map(list, zip(*moved, strict=True))
    names = data.draw(st.permutations("ABCDEFG"))
    again = interval(values, [names[cluster] for cluster in clusters], groups, draws=199)
    assert vars(again) == pytest.approx(vars(result), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(items=SCORES)
def test_a_comparison_turned_round_changes_its_sign_alone(items: list[tuple[float, int, str]]) -> None:
    values, clusters, groups = map(list, zip(*items, strict=True))
    zeros = [0.0] * len(values)
    one, other = paired(values, zeros, clusters, groups), paired(zeros, values, clusters, groups)
    assert one.difference == pytest.approx(-other.difference)
    assert one.smallest_effect == pytest.approx(other.smallest_effect, rel=0.1)
    assert (one.low > 0) == (one.p <= 0.05)
    assert (other.high < 0) == (other.p <= 0.05)


def test_fifty_thousand_items_take_well_under_a_second() -> None:
    values = np.random.default_rng(0).integers(0, 2, 50_000)
    clusters = [f"passage {index // 3}" for index in range(50_000)]
    start = time.process_time()
    interval(values, clusters)
    assert time.process_time() - start < 1


def test_wallace_gives_students_quantiles_both_ways() -> None:
    for freedom, quantile in ((4, 2.7764), (9, 2.2622), (49, 2.0096)):
        assert student(1.959964, freedom) == pytest.approx(quantile, rel=0.006)
        assert normal(student(1.3, freedom), freedom) == pytest.approx(1.3)


def test_holm_against_an_example_by_hand_and_statsmodels() -> None:
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 may not be below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # statsmodels 0.14 multipletests(method="holm")
    assert holm([0.2, 0.001, 0.001, 0.9, 0.04, 0.012]) == pytest.approx(
        [0.4, 0.006, 0.006, 0.9, 0.12, 0.048]
    )
    assert holm([]) == []
    assert holm([0.7, 0.8]) == [1.0, 1.0]


def test_intraclass_correlation_and_effective_items() -> None:
    rng = np.random.default_rng(3)
    many = np.concatenate([differences(rng) for _ in range(40)])
    labels = [index // SIZE for index in range(len(many))]
    assert intraclass_correlation(many, labels) == pytest.approx(CORRELATION, abs=0.03)
    assert effective_items(many, labels) == pytest.approx(len(many) / (1 + 9 * CORRELATION), rel=0.05)
    assert intraclass_correlation([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]) == pytest.approx(1.0)
    assert effective_items([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]) == pytest.approx(2.0)
    assert intraclass_correlation([1.0, 0.0, 1.0], [1, 2, 3]) == 0.0
    assert effective_items([1.0, 0.0, 1.0], ["a", "a", "a"]) == pytest.approx(1.0)


def test_noise_over_checkpoints_and_signal_to_noise() -> None:
    assert checkpoint_noise([9.0, 1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(math.sqrt(2.5))
    # spread 0.2 of mean 0.5, noise 0.01 of mean 0.5
    assert signal_to_noise([0.4, 0.5, 0.6], [0.1, 0.51, 0.49], last=2) == pytest.approx(20)
    with pytest.raises(UserError, match="needs 2 checkpoints, found 1"):
        checkpoint_noise([0.5])


def test_items_that_do_not_match_are_refused() -> None:
    with pytest.raises(UserError, match="the first model has 2, the second 1"):
        paired([1.0, 0.0], [1.0], ["a", "b"])
    with pytest.raises(UserError, match="2 values, 2 denominators, 1 clusters"):
        interval([1.0, 0.0], ["a"])
    with pytest.raises(UserError, match="no items"):
        interval([], [])
    with pytest.raises(UserError, match="item 1 has the value nan"):
        interval([1.0, math.nan], ["a", "b"])
    with pytest.raises(UserError, match="질문-2 is in one result only"):
        match({"질문-1": 1.0}, {"질문-1": 1.0, "질문-2": 0.0})
    names, first, second = match({"b": 1.0, "a": 0.0}, {"a": 0.5, "b": 0.25})
    assert (names, first.tolist(), second.tolist()) == (["b", "a"], [1.0, 0.0], [0.25, 0.5])
