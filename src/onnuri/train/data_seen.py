"""How often a run sees its data: epochs in log and metrics, tokens of each source in the ledger."""

from __future__ import annotations

from typing import Any

from onnuri.tokens.source import BatchSource


def describe_epochs(source: BatchSource, steps: int) -> str:
    """A line on the epochs that a whole run of so many steps makes, and the unique tokens behind them."""
    parts = [
        f"{epochs:.2f} of {name or 'all sources'} ({source.unique_tokens[name]:,} unique tokens)"
        for name, epochs in source.epochs(steps).items()
    ]
    return f"epochs in {steps} steps: {', '.join(parts)}"


def epochs_seen(source: BatchSource, step: int) -> dict[str, Any]:
    """Fields of metrics.jsonl after so many steps.

    `epoch`: tokens so far over the unique tokens of all sources in use; with a mixture also `epochs` of
    each.
    """
    epochs, unique = source.epochs(step), source.unique_tokens
    tokens = sum(epochs[name] * unique[name] for name in epochs)
    overall = {"epoch": round(tokens / sum(unique.values()), 6)}
    if "" in epochs:
        return overall
    return overall | {"epochs": {name: round(value, 6) for name, value in epochs.items()}}


class SourceTokens:
    """Tokens of each source up to a step; of the steps counted before only what came since is counted."""

    def __init__(self) -> None:
        self.step, self.tokens = 0, dict[str, int]()

    def until(self, source: BatchSource, step: int) -> dict[str, int]:
        """Tokens predicted in the first `step` steps, by name of the source."""
        if step < self.step:  # a rollback
            self.step, self.tokens = 0, {}
        new = source.targets_by_source(step, since=self.step)
        names = [*self.tokens, *(name for name in new if name not in self.tokens)]
        self.step, self.tokens = step, {name: self.tokens.get(name, 0) + new.get(name, 0) for name in names}
        return self.tokens
