"""quality: keep the texts that read like the positive examples that a user has shown.

The score is a column of its own, so a threshold can also be chosen later. Texts that the model cannot judge
(a script that it has not learnt, or nothing in them) get no score and are kept: other stages see to them.
Cost: 100 to 320 MB/s a core, the more the longer the documents are. model.py scores, train.py trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.corpus.stages.quality.model import KIND, Model, load, score
from onnuri.corpus.stages.stage import COMMAND, Bars, Stage, counts_of, one_array, with_columns


@dataclass
class QualityOptions:
    """The model that scores, and the score that a document needs."""

    model: str = path_option("", metadata={COMMAND: "quality_model"})
    """Folder made by onnuri quality (quality_model=...)."""
    threshold: int | float = field(default=0, metadata={COMMAND: "quality_threshold"})
    """Documents that score lower are rejected, from 0 (keeps all) to 1 (quality_threshold=...)."""

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("quality_model=... is missing (a folder made by onnuri quality)")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"threshold={self.threshold} must be from 0 to 1")


def inputs(options: QualityOptions) -> dict[str, str]:
    """The model. Raises UserError if it cannot be used."""
    load(options.model)
    return {"quality model": manifest.read(options.model, KIND).identity}


@lru_cache(maxsize=1)
def _model(folder: str) -> Model:
    return load(folder)


def run(rows: pa.Table, options: QualityOptions) -> pa.Table:
    """The stage."""
    scores, reasons = quality(one_array(rows["text"]), _model(options.model), options.threshold)
    return with_columns(rows, quality=scores, reason=reasons)


def quality(texts: pa.Array, model: Model, threshold: float) -> tuple[pa.Array, pa.Array]:
    """The score of N texts, and why a text should go, "" to keep it.

    texts: (N,) strings. threshold: least score of a text that is kept, 0 to keep all.
    Returns (N,) float32 in 0..1, null where the model cannot judge; and (N,) strings as
    "low quality: 0.12 < 0.3", the score rounded down.
    Raises UserError for a threshold outside of 0..1.
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"quality threshold={threshold} must be from 0 to 1")
    scores = score(texts, model)
    unknown = np.isnan(scores)
    low = ~unknown & (scores < np.float32(threshold))
    reasons = [""] * len(texts)
    for index in np.flatnonzero(low):
        reasons[index] = f"low quality: {np.floor(scores[index] * 100) / 100:.2f} < {threshold:g}"
    return pa.array(scores, pa.float32(), mask=unknown), pa.array(reasons, pa.string())


def summary(rows: pa.Table, options: Any) -> Mapping[str, Any]:
    """Kept documents by tenths of the score."""
    kept = rows.filter(pc.equal(rows["reason"], ""))
    scores = pc.min_element_wise(kept["quality"], 0.999, skip_nulls=False)
    tenths = counts_of(pc.floor(pc.multiply(scores, 10)).cast(pa.int32()))
    return {"quality": {f"{int(tenth) / 10:.1f}": n for tenth, n in tenths.items()}}


STAGE = Stage(
    name="quality",
    run=run,
    title="quality score · 품질 점수",
    options=QualityOptions,
    columns=pa.schema([("quality", pa.float32())]),
    inputs=inputs,
    summary=summary,
    charts=(
        Bars(
            "quality",
            "Quality score · 품질 점수",
            lambda tenth: f"{float(tenth):.1f} – {float(tenth) + 0.1:.1f}",
        ),
    ),
    reasons={"low quality": "low quality score · 품질 점수 낮음"},
)
