"""Training the quality model: naive Bayes weights, then a few passes of logistic regression from there.

What it can do: tell texts that read like the good ones from texts that read like the others, by their
wording: manuals from chatter, articles from menus and spam, running prose from word salad. What it cannot:
know whether a text is true, new or well argued, or judge a topic or register that the good texts lack. It
learns every difference between the two sets, so they should differ in nothing but quality: if all good
texts are about law, law is what it will look for. The held-out figures tell how well it parts these two
sets, not how it does on a new source (in our trials an AUC of 0.92 to 0.96 there, 0.99 held out).

Kept out of what it can learn:
- Length: a score is a mean over n-grams, and each text weighs the same.
- Script: texts are weighed so that good and random ones have the same weight among Korean texts, among
  those in the Latin alphabet, and among all others; each script has its own offset and its own curve from
  mean weight to score. A script with too few texts in either set is not learnt; its texts get no score.
- Layout and numbers: see features.py.

Method: the log-count ratios of Wang and Manning (2012, "Baselines and Bigrams") as the start, EPOCHS of
Adagrad on the logistic loss, the average of all steps as the result, and Platt's curve (1999) fitted on
texts that were held out. Everything is seeded and in file order, so the same texts give the same bytes.
Cost: 37,000 texts of 1,000 characters in 7 s of one core; memory for CHARACTERS of each text (the n-grams
are hashed again in every pass: stored, those of that many texts would fill 0.45 GB).
The ratios alone were as good in English (0.943 AUC on new sources, then 0.939) and worse in Korean (0.922,
then 0.952); more passes fit the sets better and English of other sources worse.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from onnuri.base.errors import UserError
from onnuri.corpus.stages.quality import features
from onnuri.corpus.stages.quality.features import SCRIPTS, Chunk, Floats, Indices, Mask
from onnuri.corpus.stages.quality.model import CHARACTERS, Model, mean_weights

TRAINING_CHARACTERS = 1000
"""So many of a text are learnt from; 500 cost 0.5 points of AUC on new sources, 2,000 gained none."""
HELDOUT = 10
"""One text in so many is kept for calibration and for the figures shown, chosen by its checksum."""
LEAST_HELDOUT = 10
LEAST_TEXTS = 40
"""Texts of one script that each set must have for the script to be learnt."""
EPOCHS = 6
BATCH_TEXTS = 256
LEARNING_RATE = 1.0
SMOOTHING = 1.0
"""Added to every count of a bucket, where a text counts as COUNT n-grams in all."""
COUNT = 1000.0
FIRST_GAP = 4.0
"""How far apart, in log-odds, the two sets are when the logistic regression starts."""

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
"""For which the figures say how much is kept."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """N texts and what is known of them."""

    texts: list[str]
    good: Doubles
    """(N,) 1 for a good text, 0 for another."""
    script: Indices
    """(N,) index into SCRIPTS."""
    weight: Doubles
    """(N,) how much a text counts."""

    def part(self, chosen: Indices) -> Examples:
        """The examples at these indices."""
        texts = [self.texts[i] for i in chosen]
        return Examples(texts, self.good[chosen], self.script[chosen], self.weight[chosen])


def train(good: Sequence[str], random: Sequence[str]) -> tuple[Model, dict[str, Any]]:
    """The model that tells `good` texts from `random` ones, and figures about it.

    Figures, by script that was learnt: texts of each set, and of the held-out ones the number, the area
    under the ROC curve ("auc"), the share on the right side of 0.5, both sets weighing the same
    ("accuracy"), and by threshold the shares of good and of random ones that it keeps ("kept"). Scripts
    that were not learnt have the counts only.
    Raises UserError when no script has LEAST_TEXTS in both.
    """
    examples, heldout, figures = _examples(good, random)
    weights = _fit(examples.part(np.flatnonzero((examples.weight > 0) & ~heldout)))
    rest = examples.part(np.flatnonzero(heldout))
    parts = features.chunks(rest.texts, CHARACTERS)
    means = np.concatenate([mean_weights(part, weights) for part in parts]).astype(np.float64)
    calibration = {}
    for index in np.unique(rest.script):
        x, y = means[rest.script == index], rest.good[rest.script == index]
        slope, offset = platt(x, y)
        if slope <= 0:  # nothing was learnt that holds for other texts
            slope, offset = 0.0, 0.0
        calibration[SCRIPTS[index]] = (slope, offset)
        right = (slope * x + offset > 0) == (y > 0)
        figures[SCRIPTS[index]] |= {
            "heldout": len(x),
            "auc": round(auc(x, y), 5),
            "accuracy": round(float(right[y == 1].mean() + right[y == 0].mean()) / 2, 5),
            "kept": {str(at): _kept(slope * x + offset, y, at) for at in THRESHOLDS},
        }
    return Model(weights, calibration), figures


def _examples(good: Sequence[str], random: Sequence[str]) -> tuple[Examples, Mask, dict[str, Any]]:
    """All texts, those of scripts that cannot be learnt with weight 0; (N,) which of the others are held
    out; and how many each set has by script."""
    texts = [features.windows(text, CHARACTERS) for side in (good, random) for text in side]
    is_good = np.repeat([1.0, 0.0], [len(good), len(random)])
    found = [features.scripts(part) for part in features.chunks(texts, CHARACTERS)]
    script = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    order = np.argsort([zlib.crc32(text.encode()) for text in texts], kind="stable")
    heldout, weight = np.zeros(len(texts), dtype=np.bool_), np.zeros(len(texts))
    figures: dict[str, Any] = {}
    for index, name in enumerate(SCRIPTS):
        examples = [order[((script == index) & (is_good == side))[order]] for side in (1, 0)]
        figures[name] = {"good": len(examples[0]), "random": len(examples[1])}
        fewest = min(map(len, examples))
        for side in examples if fewest >= LEAST_TEXTS else ():
            weight[side] = fewest / len(side)
            heldout[side[: max(LEAST_HELDOUT, len(side) // HELDOUT)]] = True
    if not weight.any():
        counts = "; ".join(f"{name}: {n['good']} good, {n['random']} random" for name, n in figures.items())
        raise UserError(
            f"too few texts to learn from: in one script {LEAST_TEXTS} good and as many random ones are "
            f"needed, found {counts}"
        )
    return Examples(texts, is_good, script, weight), heldout, figures


def _kept(odds: Doubles, y: Doubles, threshold: float) -> list[float]:
    """Which share of the good texts, and of the others, scores at least `threshold`."""
    kept = odds >= np.log(threshold / (1 - threshold))
    return [round(float(kept[y == side].mean()), 4) for side in (1, 0)]


def _fit(examples: Examples) -> Floats:
    """(2 ** BUCKET_BITS,) weights."""
    count = len(examples.texts)
    num_batches = -(-count // BATCH_TEXTS)
    generator = np.random.default_rng(0)
    with tqdm(total=num_batches * (EPOCHS + 1), desc="training", unit="batch", disable=None) as bar:

        def batches(order: Indices) -> Iterator[tuple[Examples, Chunk]]:
            for chosen in np.array_split(order, num_batches):
                some = examples.part(np.sort(chosen))
                yield some, features.chunk([features.windows(t, TRAINING_CHARACTERS) for t in some.texts])
                bar.update()

        ratios, gap, middle = _log_count_ratios(batches(np.arange(count)))
        scale = FIRST_GAP / max(gap, 1e-3)
        weights, offsets = ratios * scale, np.full(len(SCRIPTS), -middle * scale)
        seen, seen_offsets = np.full(len(weights), 1e-10), np.full(len(SCRIPTS), 1e-10)
        total = np.zeros(len(weights))
        for _ in range(EPOCHS):
            for some, part in batches(generator.permutation(count)):
                means = mean_weights(part, weights.astype(np.float32))
                odds = means + offsets[some.script]
                error = (1 / (1 + np.exp(-odds)) - some.good) * some.weight / some.weight.sum()
                gradient = _spread(part, error)
                seen += gradient**2
                weights -= LEARNING_RATE * gradient / np.sqrt(seen)
                offset_gradient = np.bincount(some.script, weights=error, minlength=len(SCRIPTS))
                seen_offsets += offset_gradient**2
                offsets -= 0.1 * LEARNING_RATE * offset_gradient / np.sqrt(seen_offsets)
                total += weights
    return (total / (num_batches * EPOCHS)).astype(np.float32)


def _log_count_ratios(batches: Iterator[tuple[Examples, Chunk]]) -> tuple[Doubles, float, float]:
    """The log of how much more often an n-gram is in good texts, by bucket; the gap between the mean of the
    good texts and that of the others; and the middle between the two."""
    size = 1 << features.BUCKET_BITS
    counts = np.full((2, size), SMOOTHING)
    for some, part in batches:
        for side in (0, 1):
            counts[side] += _spread(part, COUNT * some.weight * (some.good == side))
    shares = counts / counts.sum(axis=1, keepdims=True)
    ratios = np.log(shares[1]) - np.log(shares[0])
    # A text's mean is linear in its counts, so the mean of a set's texts is that of its counts.
    means = [float(((c - SMOOTHING) @ ratios) / max((c - SMOOTHING).sum(), 1e-9)) for c in counts]
    return ratios, means[1] - means[0], (means[1] + means[0]) / 2


def _spread(part: Chunk, values: Doubles) -> Doubles:
    """(2 ** BUCKET_BITS,) sums of what each text's n-grams get when its (T,) value is shared out evenly."""
    each = values / np.maximum(part.num_ngrams * len(features.ORDERS), 1)
    shared = np.zeros(len(part.codes))
    shared[: part.boundaries[-1]] = np.repeat(each, np.diff(part.boundaries))
    features.clear_borders(shared, part)
    size = 1 << features.BUCKET_BITS
    total = np.zeros(size)
    for bucket in features.buckets(part):
        total += np.bincount(bucket, weights=shared, minlength=size)
    return total


def platt(x: Doubles, y: Doubles, steps: int = 50) -> tuple[float, float]:
    """Slope and offset of the logistic curve from x to P(y = 1), either class weighing the same.

    Newton's method on smoothed targets (Platt 1999; Lin, Lin and Weng 2007), so that classes which do not
    overlap still give a finite slope. x, y: (N,) with both 0 and 1 in y.
    """
    spread = float(x.std()) or 1.0
    z = (x - x.mean()) / spread
    positives, negatives = float(y.sum()), float((1 - y).sum())
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(y == 1, 0.5 / positives, 0.5 / negatives)
    slope, offset = 0.0, 0.0
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(slope * z + offset)))
        error, curvature = weight * (p - target), weight * p * (1 - p)
        gradient = np.array([error @ z, error.sum()])
        cross = curvature @ z
        hessian = np.array([[curvature @ z**2, cross], [cross, curvature.sum()]]) + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -1, 1)
        slope, offset = slope - step[0], offset - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(slope / spread), float(offset - slope * x.mean() / spread)


def auc(x: Doubles, y: Doubles) -> float:
    """Area under the ROC curve: how often a text with y = 1 has the larger x, ties counting half."""
    _, inverse, size = np.unique(x, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[inverse]
    positives, negatives = y.sum(), (1 - y).sum()
    return float((rank[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
