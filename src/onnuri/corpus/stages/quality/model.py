"""The quality model: one weight for each bucket of n-grams, and what makes a probability of their mean.

On disk a folder with `weights.npy` (float32, no pickle) and `model.json`, sealed with a manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.stages.quality import features
from onnuri.corpus.stages.quality.features import Chunk, Floats

KIND = "quality"
CHARACTERS = 2000
"""So many of a text are looked at, of long ones in several places. On documents of 4,000 characters from
new sources that is as good as all of them (AUC 0.923 and 0.922) and thrice as fast (300 and 110 MB/s)."""
WEIGHTS, DESCRIPTION = "weights.npy", "model.json"
LAYOUT = {
    "features": 1,
    "ngram_orders": list(features.ORDERS),
    "buckets": 1 << features.BUCKET_BITS,
    "characters": CHARACTERS,
}
"""What the weights mean. `features` counts up when the same text comes to have other n-grams."""


@dataclass(frozen=True)
class Model:
    """What `score` needs."""

    weights: Floats
    """(2 ** BUCKET_BITS,) weight of every bucket."""
    calibration: dict[str, tuple[float, float]]
    """Script that was learnt to (slope, offset) of the logistic curve over the mean weight."""


def score(texts: pa.Array, model: Model) -> Floats:
    """How much each of N texts resembles the good ones.

    texts: (N,) strings. Returns (N,) float32: 0..1, with 0.5 for a text as likely good as not; NaN where
    the model cannot tell: the text has less than two characters, or a script that it has not learnt.
    A text's score does not depend on the others of the batch.
    """
    parts = features.chunks(texts.to_pylist(), CHARACTERS)
    scores = [_score(part, model) for part in parts]
    return np.concatenate(scores) if scores else np.zeros(0, dtype=np.float32)


def mean_weights(part: Chunk, weights: Floats) -> Floats:
    """(T,) mean weight of the n-grams of each text; 0 for a text without any."""
    total = np.zeros(len(part.codes), dtype=np.float32)
    for bucket in features.buckets(part):
        total += weights[bucket]
    features.clear_borders(total, part)
    if len(part.boundaries) < 2:
        return np.zeros(0, dtype=np.float32)
    sums = np.add.reduceat(total[: part.boundaries[-1]], part.boundaries[:-1])
    return (sums / np.maximum(part.num_ngrams * len(features.ORDERS), 1)).astype(np.float32)


def _score(part: Chunk, model: Model) -> Floats:
    nan = (np.nan, np.nan)
    curves = np.array([model.calibration.get(script, nan) for script in features.SCRIPTS], dtype=np.float32)
    slope, offset = curves[features.scripts(part)].T
    with np.errstate(over="ignore"):
        scores = 1 / (1 + np.exp(-(slope * mean_weights(part, model.weights) + offset)))
    scores[part.num_ngrams == 0] = np.nan
    return scores


def save(folder: Path, model: Model) -> None:
    """Write the two files of a model into a folder that the caller will seal."""
    np.save(folder / WEIGHTS, model.weights, allow_pickle=False)
    manifest.write_json(folder / DESCRIPTION, {**LAYOUT, "calibration": model.calibration})


def load(folder: str | Path) -> Model:
    """The model of a folder that scripts/quality.py wrote.

    Raises UserError if the folder is missing, unfinished, of another kind, changed since, or holds n-grams
    that this program does not make.
    """
    folder = Path(folder)
    manifest.verify(folder, manifest.read(folder, KIND))
    try:
        weights = np.load(folder / WEIGHTS, allow_pickle=False)
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        calibration = {
            name: (float(a), float(b)) for name, (a, b) in description.pop("calibration").items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is no quality model: {error}") from None
    expected = (1 << features.BUCKET_BITS,)
    if not set(calibration) <= set(features.SCRIPTS):
        raise UserError(f"{folder} is a model of scripts that are not known here: {', '.join(calibration)}")
    if description != LAYOUT or weights.dtype != np.float32 or weights.shape != expected:
        raise UserError(f"{folder} holds a model of other n-grams ({description}); train it again")
    return Model(weights, calibration)
