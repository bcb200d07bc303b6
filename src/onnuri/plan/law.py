"""What models of a size score after so many tokens: a law fitted to small runs of this project.

L(N, D) = floor + a / N^alpha + b / D^beta, in bits per byte of held-out text; N parameters, D training
tokens (Hoffmann et al., arXiv 2203.15556). benchmarks/law.py writes law.json: the runs, and the numbers
fitted to them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LAW_FILE = Path(__file__).with_name("law.json")
EXPONENTS = np.arange(0.05, 1.5001, 0.01)


class Point(NamedTuple):
    """A finished run."""

    parameters: float
    tokens: float
    bits_per_byte: float


class Law(NamedTuple):
    """The numbers of the formula."""

    floor: float
    a: float
    alpha: float
    b: float
    beta: float

    def bits_per_byte(self, parameters: float, tokens: float) -> float:
        """Of held-out text."""
        return self.floor + self.a / parameters**self.alpha + self.b / tokens**self.beta

    def best_tokens(self, parameters: float) -> float:
        """Tokens at which 6 N D FLOPs are spent best on this many parameters."""
        ratio = self.beta * self.b * parameters**self.alpha / (self.alpha * self.a)
        return float(ratio ** (1 / self.beta))


def fit(points: Sequence[Point]) -> Law:
    """The law with the least sum of squared relative errors; none of its numbers is negative.

    Raises ValueError for fewer than five points, as many as there are numbers.
    """
    if len(points) < 5:
        raise ValueError(f"{len(points)} runs do not determine a law of five numbers")
    parameters, tokens, scores = np.array(points, dtype=float).T
    found: list[tuple[float, Law]] = []
    for alpha in EXPONENTS:
        for beta in EXPONENTS:
            terms = np.stack([np.ones_like(scores), parameters**-alpha, tokens**-beta], axis=1)
            weighted = terms / scores[:, None]
            scale = np.linalg.norm(weighted, axis=0)
            values = np.linalg.lstsq(weighted / scale, np.ones_like(scores))[0] / scale
            if (values >= 0).all():
                error = float(np.square(weighted @ values - 1).sum())
                floor, a, b = (float(value) for value in values)
                found.append((error, Law(floor, a, float(alpha), b, float(beta))))
    if not found:
        raise ValueError(
            "no law with positive numbers comes near these runs: more tokens or more parameters hurt"
        )
    return min(found)[1]


def largest_error(law: Law, runs: Sequence[dict[str, Any]], language: str) -> float:
    """Of the law on runs, as a share of what was measured."""
    expected = [law.bits_per_byte(run["parameters"], run["tokens"]) for run in runs]
    return max(abs(value / run[language] - 1) for value, run in zip(expected, runs, strict=True))


@cache
def load() -> dict[str, Any]:
    """law.json: `runs` as measured, those `held_out` of the fit, and `laws` by language."""
    stored = json.loads(LAW_FILE.read_text(encoding="utf-8"))
    return stored | {"laws": {name: Law(**numbers) for name, numbers in stored["laws"].items()}}
