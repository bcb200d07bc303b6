"""From likelihoods to scores: what each item is worth, and what a task's items come to.

Of answers: `accuracy` takes the likeliest, `accuracy_chars` and `accuracy_bytes` the likeliest by length,
`accuracy_pmi` the one whose likelihood the context raises most; `bits_per_byte` is of the right answer.
Names and tie-breaking (the first of equals) are lm-evaluation-harness's acc, acc_norm, acc_bytes,
acc_mutual_info. Of sentences, `accuracy` is a point where the good one is likelier, half a point for a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from onnuri.base.errors import UserError
from onnuri.evaluate.chat.given import MEASURES, exposed_bits
from onnuri.evaluate.chat.given import by_chance as exposure_by_chance
from onnuri.evaluate.items import Item
from onnuri.evaluate.statistics import Interval, interval, ratio_interval

TIE_NATS = 1e-6
"""Sentences this close are equally likely: what remains of sums in another order."""


@dataclass(frozen=True)
class Scored:
    """An item and what the model says of it."""

    item: Item
    nats: tuple[float, ...]
    tokens: tuple[int, ...]
    alone: tuple[float, ...] = ()
    """Nats of the answers without their context, where the metric asks for them."""
    chosen: dict[str, int] = field(default_factory=dict)
    """By metric, the index of the answer taken."""
    values: dict[str, float] = field(default_factory=dict)
    """By metric, 1, 0, or 0.5 for a tie."""


def judge(item: Item, nats: Sequence[float], tokens: Sequence[int], alone: Sequence[float] = ()) -> Scored:
    """What an item is worth by each of its metrics. Raises UserError for a likelihood that is no number."""
    if not all(map(math.isfinite, nats)):
        raise UserError(f"item {item.name}: the likelihood of an answer is {nats}; the model is damaged")
    scored = Scored(item, tuple(nats), tuple(tokens), tuple(alone))
    if item.contrast:
        scored.values["accuracy"] = _contrast(nats)
    elif item.label is not None:
        texts = item.texts
        by = {
            "accuracy": list(nats),
            "accuracy_chars": [n / max(1, len(text)) for n, text in zip(nats, texts, strict=True)],
            "accuracy_bytes": [n / max(1, len(text.encode())) for n, text in zip(nats, texts, strict=True)],
        }
        if alone:
            by["accuracy_pmi"] = [n - without for n, without in zip(nats, alone, strict=True)]
        for metric, costs in by.items():
            scored.chosen[metric] = costs.index(min(costs))
            scored.values[metric] = float(scored.chosen[metric] == item.label)
        if item.measure == "exposure":
            scored.values["exposure"] = exposed_bits(nats, item.label)
    return scored


def _contrast(costs: Sequence[float]) -> float:
    """A point if the good sentence costs less, in a quad less than the control's difference explains."""
    margin = costs[1] - costs[0] - (costs[3] - costs[2] if len(costs) == 4 else 0.0)
    return 0.5 if abs(margin) < TIE_NATS else float(margin > 0)


def bits_and_bytes(scored: Scored) -> tuple[float, int]:
    """Bits of the right answer, and the bytes of the text they are for, delimiter included."""
    index = scored.item.label or 0
    return scored.nats[index] / math.log(2), len(scored.item.options[index].continuation.encode())


def chance(items: Sequence[Item]) -> float | None:
    """The accuracy of guessing; None where nothing is chosen."""
    if any(len(item.options) == 1 for item in items):
        return None
    return sum(0.5 if item.contrast else 1 / len(item.options) for item in items) / len(items)


def summary(scored: list[Scored], headline: str) -> dict[str, Any]:
    """The scores of a task's items as they stand in `evaluation.json`, each with its 95 % interval.

    A headline that ends in `_macro` is the mean over groups. Groups that do not count (see
    `group_summary`) and tier D, which is no grammar, stand outside that mean.
    """
    metric = headline.removesuffix("_macro")
    by = "accuracy" if metric == "macro_f1" else metric
    names = sorted({each.item.group for each in scored})
    parts = {name: [each for each in scored if each.item.group == name] for name in names}
    groups = {name: group_summary(part, by) for name, part in parts.items()} if len(parts) > 1 else {}
    tiers = sorted({group["tier"] for group in groups.values()} - {""})
    metrics = _metrics(scored)
    measure = scored[0].item.measure
    more, floors = MEASURES[measure](scored) if measure else ({}, {})
    if not (scored[0].item.contrast or measure) and min(len(each.item.options) for each in scored) > 1:
        metrics["macro_f1"] = _macro_f1(scored, _clusters(scored))
    metrics |= more
    if groups and by not in ("bits_per_byte", "exposure"):
        counted = [each for each in scored if counts(groups[each.item.group])]
        metrics[f"{by}_macro"] = macro(counted, by)
    found = metrics[headline]
    by_chance = floors["exposure"]["random"] if by == "exposure" else chance([each.item for each in scored])
    result: dict[str, Any] = {
        "metric": headline,
        "items": len(scored),
        "clusters": len(set(_clusters(scored))),
        "chance": None if headline == "bits_per_byte" else by_chance,
        "metrics": {name: asdict(value) for name, value in metrics.items()},
    }
    if by_chance is not None and headline not in ("bits_per_byte", "macro_f1", "exposure"):
        ends = ("value", "low", "high")
        result["centred"] = {end: centred(getattr(found, end), by_chance) for end in ends}
    if floors:
        result["floors"] = floors
    if groups:
        result["groups"] = groups
    if tiers:
        result["tiers"] = {tier: tier_summary(scored, groups, tier) for tier in tiers}
    return result


def _metrics(scored: list[Scored]) -> dict[str, Interval]:
    clusters = _clusters(scored)
    found = {
        name: interval([each.values[name] for each in scored], clusters)
        for name in scored[0].values
        if all(name in each.values for each in scored)
    }
    if not scored[0].item.contrast:
        found["bits_per_byte"] = _bits_per_byte(scored)
    return found


def _clusters(scored: list[Scored]) -> list[str]:
    return [each.item.cluster or each.item.name for each in scored]


def _bits_per_byte(scored: list[Scored]) -> Interval:
    pairs = [bits_and_bytes(each) for each in scored]
    return ratio_interval([pair[0] for pair in pairs], [pair[1] for pair in pairs], _clusters(scored))


def macro(scored: list[Scored], metric: str) -> Interval:
    """The mean over groups, each weighing the same."""
    groups = [each.item.group for each in scored]
    return interval([each.values[metric] for each in scored], _clusters(scored), groups)


NOT_GRAMMAR = "D"
"""KoPairs' tier of register and spelling."""
COUNTED = 0.45, 0.55
"""Where the score by token count may lie for a bare pair's phenomenon to count."""


def counts(group: dict[str, Any]) -> bool:
    """Whether a group is in the mean over groups."""
    return group.get("counts", True) and group["tier"] != NOT_GRAMMAR


def group_summary(scored: list[Scored], metric: str) -> dict[str, Any]:
    """One subject or phenomenon.

    Beside sentences stands what counting tokens scores, fewer being better. Where that is not near one half
    for bare pairs, the score measures length as well, and the phenomenon does not count.
    """
    if metric == "bits_per_byte":
        found, by_chance = _bits_per_byte(scored), None
    else:
        found = interval([each.values[metric] for each in scored], _clusters(scored))
        by_chance = chance([each.item for each in scored])
        if metric == "exposure":
            by_chance = fmean(exposure_by_chance(len(each.nats)) for each in scored)
    result: dict[str, Any] = {
        "tier": scored[0].item.tier,
        "items": len(scored),
        "clusters": len(set(_clusters(scored))),
        "chance": by_chance,
        **{end: getattr(found, end) for end in ("value", "low", "high")},
    }
    if scored[0].item.contrast:
        by_tokens = sum(_contrast(each.tokens) for each in scored) / len(scored)
        result["controls"] = {"tokens": by_tokens}
        if len(scored[0].nats) == 2:
            result["counts"] = COUNTED[0] <= by_tokens <= COUNTED[1]
    return result


def add_controls(result: dict[str, Any], controls: dict[str, dict[str, float]]) -> None:
    """Beside each group, tier and headline what scorers that know no grammar reach, as means."""
    groups = {name: group for name, group in result["groups"].items() if name in controls}
    for name, group in groups.items():
        group["controls"] |= controls[name]
    for tier, facts in result["tiers"].items():
        here = [g for g in groups.values() if g["tier"] == tier and g.get("counts", True)]
        facts["controls"] = _means([group["controls"] for group in here])
    result["controls"] = _means([group["controls"] for group in groups.values() if counts(group)])


def _means(controls: list[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(each[name] for each in controls) for name in (controls[0] if controls else ())}


def tier_summary(scored: list[Scored], groups: dict[str, Any], tier: str) -> dict[str, Any]:
    """The mean over the phenomena of a tier that count."""
    here = [
        each for each in scored if each.item.tier == tier and groups[each.item.group].get("counts", True)
    ]
    if not here:
        return {"phenomena": 0, "value": None, "low": None, "high": None, "chance": 0.5}
    found = macro(here, "accuracy")
    ends = {end: getattr(found, end) for end in ("value", "low", "high")}
    return {"phenomena": len({each.item.group for each in here}), "chance": 0.5, **ends}


def centred(value: float, by_chance: float) -> float:
    """0 for guessing, 1 for all right."""
    return (value - by_chance) / (1 - by_chance)


def _macro_f1(scored: list[Scored], clusters: list[str]) -> Interval:
    """The mean over labels of F1, with a cluster bootstrap of its own: F1 is no mean of items."""
    import numpy as np

    gold = np.array([each.item.label for each in scored])
    taken = np.array([each.chosen["accuracy"] for each in scored])
    labels = sorted(set(gold.tolist()) | set(taken.tolist()))
    _, which = np.unique(np.array(clusters), return_inverse=True)
    counts = np.zeros((which.max() + 1, len(labels), 3))
    for index, label in enumerate(labels):
        hits = ((gold == label) & (taken == label), taken == label, gold == label)
        for column, hit in enumerate(hits):
            np.add.at(counts[:, index, column], which, hit)
    f1: Callable[[Any], Any] = lambda sums: (  # noqa: E731
        2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)
    ).mean(-1)
    generator = np.random.Generator(np.random.PCG64(0))
    weights = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=2000)
    drawn = f1(np.tensordot(weights, counts, 1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(f1(counts.sum(0))), float(low), float(high), float(drawn.std(ddof=1)))
