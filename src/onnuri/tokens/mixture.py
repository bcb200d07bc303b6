"""Which source each sequence of a run comes from: exact proportions, and O(1) entry at any step.

Sequence i of a stage takes the point i x (golden ratio) modulo 1; the unit interval is cut into one piece
per source, as wide as its weight. Points of that sequence spread so evenly (Kronecker; the golden ratio
has the lowest discrepancy) that over any stretch of sequences a source is off by a handful at most. How
many of the first n points fell below a boundary is a sum of floors, which takes O(log) steps (Graham, Knuth
and Patashnik, Concrete Mathematics, section 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from onnuri.base.errors import UserError, nearest

CIRCLE = 1 << 64
STEP = 0x9E3779B97F4A7C15
"""2**64 / golden ratio, odd."""


class Phase(NamedTuple):
    """Weights that hold from one sequence of the run on."""

    start: int
    """First sequence."""
    boundaries: np.ndarray
    """[sources] uint64: source k has the points in [boundary k - 1, boundary k); the last is unused."""
    before: list[int]
    """Sequences of each source in all earlier stages."""


def parse_weights(mixture: Mapping[str, float], sources: Sequence[str]) -> dict[int, dict[str, float]]:
    """Options such as {wiki: 0.3, web: 0.7, wiki@8000: 1} as {first step: {name: weight}}.

    A name is that of a source, or begins as several do and ends in `*`: those are one pool, as large as its
    sources together. `name@step` holds from that step (0-based) on; a stage knows only the names in it.
    Empty is empty.

    Raises UserError for a source that is not there, two names for one source, a bad step, a negative
    weight, or a stage without any.
    """
    stages: dict[int, dict[str, float]] = {}
    for key, weight in mixture.items():
        name, at, step = key.rpartition("@")
        if not at or key in sources or key.endswith("*"):
            name, step = key, "0"
        if not named(name, sources):
            what = "begins with" if name.endswith("*") else "is named"
            close = nearest(name, sources) or f"; there are {shortened(sources)}"
            raise UserError(f"data.mixture: no source {what} {name.removesuffix('*')!r}{close}")
        if not step.isdecimal() or not (0 <= weight < float("inf")):
            raise UserError(f"data.mixture: {key}:{weight} must be SOURCE:WEIGHT or SOURCE@STEP:WEIGHT")
        stages.setdefault(int(step), {})[name] = float(weight)
    if mixture and 0 not in stages:
        raise UserError("data.mixture has no weights for the first step; give some without @STEP")
    for start, weights in stages.items():
        if not any(weights.values()):
            raise UserError(f"data.mixture gives every source a weight of 0 from step {start} on")
    _refuse_overlaps(sorted({name for weights in stages.values() for name in weights}), sources)
    return dict(sorted(stages.items()))


def named(name: str, sources: Sequence[str]) -> list[str]:
    """The sources that a name of the mixture stands for: one, or with `*` at its end all that begin so."""
    if name in sources or not name.endswith("*"):
        return [name] if name in sources else []
    return [source for source in sources if source.startswith(name[:-1])]


def shortened(names: Sequence[str], most: int = 5) -> str:
    """A list that fits a message."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _refuse_overlaps(names: Sequence[str], sources: Sequence[str]) -> None:
    """A source in two pools would have two orders, and be read twice in an epoch."""
    taken: dict[str, str] = {}
    for name in names:
        for source in named(name, sources):
            if (other := taken.setdefault(source, name)) != name:
                raise UserError(f"data.mixture: {other} and {name} both stand for the source {source!r}")


class Mixture:
    """Sources of all sequences of a run.

    Args:
        stages: {first sequence: weight of every source}, not all of them 0.
        seed: shifts the points, so that runs differ.
    """

    def __init__(self, stages: Mapping[int, Sequence[float]], seed: int) -> None:
        self._offset = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._stages: list[Phase] = []
        for start, weights in sorted(stages.items()):
            before = self.counts(start) if self._stages else [0] * len(weights)
            shares = np.cumsum(np.asarray(weights, dtype=np.float64)) / np.sum(weights)
            boundaries = [min(CIRCLE - 1, round(float(share) * CIRCLE)) for share in shares]
            self._stages.append(Phase(start, np.array(boundaries, dtype=np.uint64), before))

    def counts(self, sequence: int) -> list[int]:
        """How many of the sequences before this one come from each source."""
        stage = self._stage(sequence)
        n = sequence - stage.start
        below = [_count_below(n, self._offset, int(boundary)) for boundary in stage.boundaries[:-1]] + [n]
        inside = np.diff([0, *below]).tolist()
        return [before + here for before, here in zip(stage.before, inside, strict=True)]

    def assign(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources of the sequences [first, first + count), and their positions among those of that source.

        Returns:
            Two int64 arrays [count].
        """
        sources, positions = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        done = 0
        while done < count:
            stage = self._stage(first + done)
            later = [other.start for other in self._stages if other.start > stage.start]
            size = min(count, min(later, default=first + count) - first) - done
            sequences = np.arange(first + done - stage.start, first + done - stage.start + size)
            with np.errstate(over="ignore"):
                points = sequences.astype(np.uint64) * np.uint64(STEP) + np.uint64(self._offset)
            chosen = np.searchsorted(stage.boundaries[:-1], points, side="right")
            piece = slice(done, done + size)
            sources[piece] = chosen
            for source, start in enumerate(self.counts(first + done)):
                members = chosen == source
                positions[piece][members] = start + np.arange(int(members.sum()))
            done += size
        return sources, positions

    def _stage(self, sequence: int) -> Phase:
        return next(stage for stage in reversed(self._stages) if stage.start <= sequence)


def _count_below(n: int, offset: int, boundary: int) -> int:
    """How many i in [0, n) have (i x STEP + offset) mod CIRCLE < boundary."""
    return floor_sum(n, CIRCLE, STEP, offset) - floor_sum(n, CIRCLE, STEP, offset + CIRCLE - boundary) + n


def floor_sum(n: int, modulus: int, factor: int, offset: int) -> int:
    """The sum of floor((factor x i + offset) / modulus) over i in [0, n), in O(log modulus) steps."""
    total = 0
    while n:
        total += (n - 1) * n // 2 * (factor // modulus) + n * (offset // modulus)
        factor, offset = factor % modulus, offset % modulus
        end = factor * n + offset
        n, offset = divmod(end, modulus)
        modulus, factor = factor, modulus
    return total
