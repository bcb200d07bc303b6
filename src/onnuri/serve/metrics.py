"""Counts in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets."""
Labels = tuple[tuple[str, str], ...]
HELP = {
    "onnuri_requests_total": "Requests by route, status and key.",
    "onnuri_tokens_total": "Tokens by model, key and kind (prompt, cached, completion).",
    "onnuri_first_token_seconds": "Time from a request to its first token.",
    "onnuri_token_seconds": "Time between two tokens of a request.",
    "onnuri_request_seconds": "Time from a request to the end of its answer.",
    "onnuri_texts": "Texts in progress or waiting, by model.",
    "onnuri_model_failures_total": "Steps of a model that failed.",
}


class Metrics:
    """Counters and histograms."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, Labels], float] = defaultdict(float)
        self.histograms: dict[tuple[str, Labels], list[float]] = {}

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self.counters[name, tuple(labels.items())] += value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add a duration to a histogram."""
        row = self.histograms.setdefault((name, tuple(labels.items())), [0.0] * (len(SECONDS) + 2))
        row[bisect_left(SECONDS, seconds)] += 1
        row[-1] += seconds

    def text(self, gauges: Iterable[tuple[str, Labels, float]]) -> str:
        """All of them, with the gauges of the moment."""
        lines: dict[str, list[str]] = defaultdict(list)
        for (name, labels), value in self.counters.items():
            lines[name].append(f"{name}{_labels(labels)} {value:g}")
        for name, labels, value in gauges:
            lines[name].append(f"{name}{_labels(labels)} {value:g}")
        for (name, labels), row in self.histograms.items():
            total = 0.0
            for bound, number in zip((*map(str, SECONDS), "+Inf"), row[:-1], strict=True):
                total += number
                lines[name].append(f"{name}_bucket{_labels((*labels, ('le', bound)))} {total:g}")
            lines[name].append(f"{name}_sum{_labels(labels)} {row[-1]:.6f}")
            lines[name].append(f"{name}_count{_labels(labels)} {total:g}")
        kinds = {name: "histogram" for name, _ in self.histograms}
        out = []
        for name, found in sorted(lines.items()):
            kind = kinds.get(name, "counter" if name.endswith("_total") else "gauge")
            out += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}", *found]
        return "\n".join([*out, ""])


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = []
    for name, value in labels:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        pairs.append(f'{name}="{escaped}"')
    return f"{{{','.join(pairs)}}}"
