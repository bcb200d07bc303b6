"""Keep the texts that read like the good ones a user has shown: see model.py and train.py.

The score is a column of its own, so a threshold can also be chosen later. Texts that the model cannot judge
(a script that it has not learnt, or nothing in them) get no score and are kept: other stages see to them.
Cost: 100 to 320 MB/s a core, the more the longer the documents are.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onnuri.base.errors import UserError
from onnuri.corpus.stages.quality.model import Model, score


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
