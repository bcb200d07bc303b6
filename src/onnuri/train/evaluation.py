"""Scores of benchmark tasks inside the training loop: those of `onnuri evaluate` and the exported model.

The texts of many requests lie side by side in rows of the training length, each a document that sees only
itself, so that the model runs in the shapes it was compiled for. Runs whose rows are one document each
(`data.document_mask=false`) take a row for each text instead.

B rows, S sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from onnuri.evaluate import suite, task_scores
from onnuri.evaluate.requests import Plan, Row
from onnuri.evaluate.suite import Suite
from onnuri.tokens.batch import IGNORE_INDEX, Batch
from onnuri.train.inputs import to_inputs
from onnuri.train.run_plan import RunPlan


@dataclass
class Planned:
    """A task, its requests as rows, and where each text lies."""

    suite: Suite
    plan: Plan
    tokens: np.ndarray
    """int64 [N, S]."""
    targets: np.ndarray
    """int64 [N, S]; IGNORE_INDEX where nothing is scored."""
    texts: np.ndarray
    """int64 [N, S]: number of the text at each position; what fills a row has the number of none."""


class Evaluation:
    """The tasks of a run, read when they are first due: a fixed subset, or all items."""

    def __init__(self, plan: RunPlan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.config = plan.config.evaluation
        self.planned: dict[bool, list[Planned]] = {}

    def run(self, engine: Any, whole: bool = False) -> dict[str, Any]:
        """Scores by task. A collective call: every rank runs the same number of batches."""
        if whole not in self.planned:
            self.planned[whole] = self._read(0 if whole else self.config.max_items)
        engine.eval()
        results = {}
        for each in self.planned[whole]:
            nats = self._nats(engine, each)
            if self.plan.ranks.is_lead:
                results[each.suite.name] = _scores(each, nats)
        engine.train()
        return results

    def _read(self, max_items: int) -> list[Planned]:
        from tokenizers import Tokenizer

        folder = Path(self.plan.config.data.path) / "tokenizer"
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.encode_special_tokens = True  # marks of special tokens in a text are text

        def encode(texts: list[str]) -> list[list[int]]:
            return [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)]

        separator, length = int(self.plan.data.counts["separator"]), self.plan.config.data.sequence_length
        suites = suite.load_all(self.config.tasks, self.config.tasks_dir, self.config.olmes, max_items)
        found = []
        for each in suites:
            planned = task_scores.plan_suite(each, encode, separator, length)
            together = self.plan.config.data.document_mask
            found.append(Planned(each, planned, *lay_out(planned, length, separator, together)))
        return found

    @torch.no_grad()
    def _nats(self, engine: Any, planned: Planned) -> list[float]:
        """Nats of each request, the same on all ranks."""
        size, ranks = self.plan.micro_batch_size, self.plan.ranks
        texts = sum(map(len, planned.plan.last))
        totals = torch.zeros(texts + 1, dtype=torch.float64, device=self.device)
        for start in range(0, len(planned.tokens), size * ranks.dp_size):
            chosen = np.arange(start + ranks.dp_rank * size, start + (ranks.dp_rank + 1) * size)
            inside = chosen < len(planned.tokens)
            chosen = np.where(inside, chosen, 0)
            ids = np.where(inside[:, None], planned.texts[chosen], texts)
            batch = _batch(planned.tokens[chosen], planned.targets[chosen], planned.texts[chosen])
            inputs = to_inputs(batch, self.plan.config.data, self.device)
            positions = torch.from_numpy(batch.positions).to(self.device)
            losses = engine(*inputs._replace(positions=positions))
            totals.index_add_(0, torch.from_numpy(ids.ravel()).to(self.device), losses.double().ravel())
        dist.all_reduce(totals)
        values = totals.tolist()
        starts = np.cumsum([0, *map(len, planned.plan.last)]).tolist()
        return [values[starts[row] + last] for row, last in planned.plan.uses]


def lay_out(
    planned: Plan, length: int, filler: int, together: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows of a plan with each last token, side by side in rows of `length`: the arrays of `Planned`.

    The longest go first, each row taking what still fits; alone, each has a row to itself.
    """
    texts = [(row, last) for row, many in zip(planned.rows, planned.last, strict=True) for last in many]
    order = sorted(range(len(texts)), key=lambda number: -len(texts[number][0].tokens))
    rows: list[list[int]] = []
    room = 0
    for number in order:
        size = len(texts[number][0].tokens)
        if not rows or size > room or not together:
            rows.append([])
            room = length
        rows[-1].append(number)
        room -= size
    tokens = np.full((len(rows), length), filler, dtype=np.int64)
    targets = np.full_like(tokens, IGNORE_INDEX)
    numbers = np.full_like(tokens, len(texts))
    for row, members in enumerate(rows):
        start = 0
        for number in members:
            text, last = texts[number]
            part = slice(start, start + len(text.tokens))
            tokens[row, part], targets[row, part] = text.tokens, _targets(text, last)
            numbers[row, part] = number
            start = part.stop
    return tokens, targets, numbers


def _targets(text: Row, last: int) -> list[int]:
    successors = [*text.tokens[1:], last]
    return [IGNORE_INDEX] * text.first_scored + successors[text.first_scored :]


def _batch(tokens: np.ndarray, targets: np.ndarray, texts: np.ndarray) -> Batch:
    """Documents begin where the number of the text changes, and at the start of a row."""
    begins = np.ones(texts.shape, dtype=bool)
    begins[:, 1:] = texts[:, 1:] != texts[:, :-1]
    starts = np.flatnonzero(begins)
    return Batch(tokens, targets, np.append(starts, begins.size).astype(np.int32))


def _scores(planned: Planned, nats: list[float]) -> dict[str, Any]:
    """What a line of metrics holds of a task."""
    found = task_scores.summary(planned.suite, task_scores.judge(planned.suite, planned.plan, nats))
    headline = found["metrics"][found["metric"]]
    groups = {name: group["value"] for name, group in found.get("groups", {}).items()}
    tiers = {name: tier["value"] for name, tier in found.get("tiers", {}).items()}
    ends = {end: headline[end] for end in ("value", "low", "high")}
    return ends | {
        "metric": found["metric"],
        "items": found["items"],
        "protocol": found["protocol"],
        **({"groups": groups} if groups else {}),
        **({"tiers": tiers} if tiers else {}),
    }
