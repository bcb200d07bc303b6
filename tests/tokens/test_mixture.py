"""Sources by weight: exact shares over any stretch, any place entered at once, stages that change."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.tokens.mixture import Mixture, floor_sum, named, parse_weights
from tests.soak import tries


@given(
    n=st.integers(0, 60), modulus=st.integers(1, 80), factor=st.integers(0, 200), offset=st.integers(0, 300)
)
def test_floor_sum_is_the_sum(n: int, modulus: int, factor: int, offset: int) -> None:
    expected = sum((factor * i + offset) // modulus for i in range(n))
    assert floor_sum(n, modulus, factor, offset) == expected


@settings(max_examples=tries(6, 75), deadline=None)
@given(
    weights=st.lists(st.floats(0.001, 1), min_size=1, max_size=8),
    seed=st.integers(0, 2**40),
    start=st.integers(0, 10**12),
)
def test_shares_over_any_ten_thousand_are_within_a_thousandth(
    weights: list[float], seed: int, start: int
) -> None:
    mixture = Mixture({0: weights}, seed)
    sources, _ = mixture.assign(start, 25_000)
    ones = np.eye(len(weights))[sources]
    sums = np.concatenate([np.zeros((1, len(weights))), ones.cumsum(axis=0)])
    shares = (sums[10_000:] - sums[:-10_000]) / 10_000
    assert np.abs(shares - np.array(weights) / sum(weights)).max() <= 0.001


@settings(max_examples=tries(12, 150), deadline=None)
@given(
    first=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    second=st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any),
    switch=st.integers(1, 400),
    seed=st.integers(0, 1000),
)
def test_positions_of_a_source_follow_one_another_across_stages(
    first: list[int], second: list[int], switch: int, seed: int
) -> None:
    mixture = Mixture({0: first, switch: second}, seed)
    sources, places = mixture.assign(0, 500)
    for source in range(3):
        own = places[sources == source]
        assert own.tolist() == list(range(len(own)))
        assert mixture.counts(500)[source] == len(own)
    for start, count in ((0, 1), (switch - 1, 3), (switch, 100), (499, 1)):
        part = mixture.assign(start, min(count, 500 - start))
        assert part[0].tolist() == sources[start : start + count].tolist()
        assert part[1].tolist() == places[start : start + count].tolist()
    zero = [source for source in range(3) if second[source] == 0]
    assert not np.isin(sources[switch:], zero).any()


def test_a_far_place_costs_no_more_than_a_near_one() -> None:
    mixture = Mixture({0: [0.5, 0.3, 0.2]}, 0)

    def seconds(start: int) -> float:
        started = time.perf_counter()
        mixture.assign(start, 64)
        return time.perf_counter() - started

    near, far = min(seconds(64) for _ in range(50)), min(seconds(10**13) for _ in range(50))
    assert far < 3 * near + 1e-4


def test_weights_by_name_and_step() -> None:
    given_weights = {"web": 3.0, "wiki": 1.0, "wiki@100": 1.0, "a@b": 0.5, "a@b@100": 2.0}
    assert parse_weights(given_weights, ["a@b", "web", "wiki"]) == {
        0: {"web": 3.0, "wiki": 1.0, "a@b": 0.5},
        100: {"wiki": 1.0, "a@b": 2.0},
    }
    assert parse_weights({}, ["web"]) == {}


def test_a_star_stands_for_all_that_begin_so() -> None:
    sources = ["tasks/ages", "tasks/josa", "web", "odd*"]
    weights = {"tasks/*": 0.9, "web": 0.1, "tasks/*@100": 0.5, "odd*@100": 0.5}
    assert parse_weights(weights, sources) == {
        0: {"tasks/*": 0.9, "web": 0.1},
        100: {"tasks/*": 0.5, "odd*": 0.5},
    }
    assert named("tasks/*", sources) == ["tasks/ages", "tasks/josa"]
    assert named("odd*", sources) == ["odd*"]
    assert named("*", sources) == sources
    assert parse_weights({"a@*": 1.0}, ["a@1", "a@2"]) == {0: {"a@*": 1.0}}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"wki": 1.0}, "no source is named 'wki' \\(did you mean 'wiki'\\?\\)"),
        ({"wiki@soon": 1.0}, "SOURCE@STEP"),
        ({"wiki": -1.0}, "must be SOURCE:WEIGHT"),
        ({"wiki": float("nan")}, "must be SOURCE:WEIGHT"),
        ({"wiki@5": 1.0}, "no weights for the first step"),
        ({"wiki": 0.0}, "a weight of 0 from step 0 on"),
        ({"books": 1.0}, "no source is named 'books'; there are web, wiki$"),
        ({"books/*": 1.0}, "no source begins with 'books/'; there are web, wiki$"),
        ({"w*": 1.0, "wiki": 1.0}, "w\\* and wiki both stand for the source 'wiki'"),
        ({"w*": 1.0, "wi*@9": 1.0}, "w\\* and wi\\* both stand for the source 'wiki'"),
    ],
)
def test_mistakes(weights: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_weights(weights, ["web", "wiki"])
