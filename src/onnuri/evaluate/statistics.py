"""Intervals, paired comparisons and noise of benchmark scores; bootstrap.py draws the clusters."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnuri.base.errors import UserError
from onnuri.evaluate.bootstrap import NORMAL, check, cluster_sums, resample

DRAWS = 2000
LEVEL = 0.95
POWER_AT_LEVEL = NORMAL.inv_cdf(0.975) + NORMAL.inv_cdf(0.8)
"""1.96 + 0.84: an effect of as many standard errors is found in 80 % of cases at 5 %."""
LAST_CHECKPOINTS = 5


@dataclass(frozen=True)
class Interval:
    """An estimate, both ends of its interval, its cluster-robust standard error, in the value's unit."""

    value: float
    low: float
    high: float
    stderr: float


@dataclass(frozen=True)
class Paired:
    """How far two models are apart on the same items, first minus second."""

    difference: float
    low: float
    high: float
    p: float  # two-sided
    smallest_effect: float  # what this test finds in 80 % of cases
    items: int
    clusters: int


def interval(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """The mean of the items, or the macro mean over groups, with a cluster bootstrap interval.

    `bounds` are the least and largest value an item can have. They matter only where clusters are too few
    or all alike: one cluster, right, gives 0.025 to 1. Raises UserError for no items or unequal lengths.
    """
    found = resample(values, None, clusters, groups, bounds, draws, seed)
    return Interval(found.value, *found.limits(level), found.stderr)


def ratio_interval(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    clusters: Sequence[Hashable],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    bounds: tuple[float, float] = (0.0, 8.0),
) -> Interval:
    """Sum of the numerators by sum of the denominators. For bits per byte: nats / ln 2, and bytes.

    `bounds` as in `interval`; 8 bits per byte is what a model that knows nothing needs.
    """
    found = resample(numerators, denominators, clusters, None, bounds, draws, seed)
    return Interval(found.value, *found.limits(level), found.stderr)


def paired(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Paired:
    """Difference of two models, item by item, for items with values from 0 to 1.

    `smallest_effect` is 1.96 + 0.84 standard errors of the difference (Miller 2024, arXiv 2411.00640): a
    true effect of that size is found in 80 % of cases. `p` is at most 0.05 just where the 95 % interval
    leaves 0 out. Raises UserError if the lengths differ; `match` puts items by name side by side first.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(one) != len(other):
        raise UserError(
            f"items do not match: the first model has {len(one):,}, the second {len(other):,}; "
            "evaluate both on the same file"
        )
    found = resample(one - other, None, clusters, groups, (-1.0, 1.0), draws, seed)
    return Paired(
        found.value,
        *found.limits(level),
        found.p_value(),
        POWER_AT_LEVEL * found.stderr,
        found.items,
        found.clusters,
    )


def match(
    first: Mapping[str, float], second: Mapping[str, float]
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Names of the items and the values of both models in one order.

    Raises UserError that names an item which only one of them has.
    """
    if first.keys() != second.keys():
        alone = min(first.keys() ^ second.keys())
        raise UserError(
            f"items do not match: {alone} is in one result only "
            f"({len(first):,} and {len(second):,} items); evaluate both models on the same file"
        )
    names = list(first)
    return names, np.array([first[name] for name in names]), np.array([second[name] for name in names])


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for as many tests (Holm 1979), in their order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def sign_test(wins: int, losses: int) -> float:
    """One-sided exact p of the hypothesis that a win is not likelier than a loss; ties are left out.

    The chance of as many heads or more in `wins + losses` tosses of a fair coin; 1 without any.
    """
    total = wins + losses
    return sum(math.comb(total, heads) for heads in range(wins, total + 1)) / 2**total


def intraclass_correlation(values: npt.ArrayLike, clusters: Sequence[Hashable]) -> float:
    """How alike items of one cluster are, 1 for equal ones; the one-way ANOVA estimate, at times below 0.

    Clusters of one item each, and items that are all equal, give 0. A single cluster gives 1: nothing tells
    its items from one item. Raises UserError for no items and lengths that differ.
    """
    items = np.asarray(values, dtype=np.float64)
    ones = np.ones(len(items))
    labels = ["all"] * len(items)
    check(items, ones, clusters, labels)
    totals, sizes = cluster_sums(items, ones, clusters, labels)["all"]
    number, clusters_found = len(items), len(totals)
    if clusters_found == 1:
        return 1.0 if number > 1 else 0.0
    if number == clusters_found:
        return 0.0
    between = float((totals**2 / sizes).sum() - totals.sum() ** 2 / number)
    within = float(((items - items.mean()) ** 2).sum()) - between
    between_mean, within_mean = between / (clusters_found - 1), within / (number - clusters_found)
    size = (number - float((sizes**2).sum()) / number) / (clusters_found - 1)
    whole = between_mean + (size - 1) * within_mean
    return (between_mean - within_mean) / whole if whole > 1e-15 else 0.0


def effective_items(values: npt.ArrayLike, clusters: Sequence[Hashable]) -> float:
    """How many independent items carry as much: n / (1 + (m - 1) ICC), m = sum(size^2) / n (Kish 1965)."""
    correlation = max(0.0, intraclass_correlation(values, clusters))
    counts: dict[Hashable, int] = {}
    for cluster in clusters:
        counts[cluster] = counts.get(cluster, 0) + 1
    size = sum(count**2 for count in counts.values()) / len(clusters)
    return len(clusters) / (1 + (size - 1) * correlation)


def checkpoint_noise(values: Sequence[float], last: int = LAST_CHECKPOINTS) -> float:
    """Standard deviation of a score over the last checkpoints of one run, oldest first.

    It is apart from the noise over items, which every checkpoint shares. Raises UserError for fewer than 2.
    """
    if len(values) < 2:
        raise UserError(
            f"noise over checkpoints needs 2 checkpoints, found {len(values)}; score more of the run"
        )
    return float(np.std(np.asarray(values[-last:], dtype=np.float64), ddof=1))


def signal_to_noise(
    models: Sequence[float], checkpoints: Sequence[float], last: int = LAST_CHECKPOINTS
) -> float:
    """Spread between models by noise over checkpoints, both relative to their means.

    (max - min) / mean of `models`, one score each, divided by standard deviation / mean of the last
    `checkpoints` of one run (allenai/signal-and-noise, snr/metrics.py; arXiv 2508.13144). Infinite without
    noise. Raises UserError for fewer than 2 of either.
    """
    if len(models) < 2 or len(checkpoints) < 2:
        raise UserError(
            f"signal to noise needs 2 models and 2 checkpoints, found {len(models)} and {len(checkpoints)}"
        )
    scores, late = np.asarray(models, dtype=np.float64), np.asarray(checkpoints[-last:], dtype=np.float64)
    noise = float(np.std(late)) / float(late.mean())
    signal = float(np.ptp(scores)) / float(scores.mean())
    return signal / noise if noise else float("inf")
