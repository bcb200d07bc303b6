"""Bits per byte by language on held-out documents, inside the training loop.

Bits per byte does not depend on the tokenizer: total negative log-likelihood in bits over the UTF-8
bytes that the scored tokens stand for. Here the documents of a language are read as one stream in
windows of the training length; scripts/evaluate.py scores document by document with sliding windows.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX, make_batch
from onnuri.tokens.shards import TokenShards, load_array
from onnuri.train.inputs import to_inputs
from onnuri.train.run_plan import RunPlan


class Validation:
    """Held-out windows by language, and the bytes behind every token."""

    def __init__(self, plan: RunPlan, device: torch.device) -> None:
        folder = Path(plan.config.data.path)
        self.plan, self.device = plan, device
        self.token_bytes = torch.from_numpy(load_array(folder / "token_bytes.npy")).to(device)
        languages = plan.data.counts["languages"]
        self.separator = int(plan.data.counts["separator"])
        self.vocab_size = int(plan.data.counts["vocab_size"])
        self.windows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if not plan.data.counts["heldout_shards"]:
            return
        shards = TokenShards.open(folder, "heldout")
        documents = shards.documents
        for index, language in enumerate(languages):
            stream = collect_stream(
                shards, documents[documents["lang"] == index], plan.config.train.validation_tokens
            )
            if len(stream) > 1:
                self.windows[language] = cut_windows(stream, plan.config.data.sequence_length)

    def run(self, engine: Any) -> dict[str, float]:
        """Bits per byte by language. A collective call: every rank runs the same number of batches."""
        engine.eval()
        results = {name: self._bits_per_byte(engine, *rows) for name, rows in self.windows.items()}
        engine.train()
        return results

    @torch.no_grad()
    def _bits_per_byte(self, engine: Any, windows: np.ndarray, lengths: np.ndarray) -> float:
        size, rank, count = self.plan.micro_batch_size, self.plan.ranks.dp_rank, self.plan.ranks.dp_size
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        for start in range(0, len(windows), size * count):
            chosen = np.arange(start + rank * size, start + (rank + 1) * size)
            counted = np.where(chosen < len(windows), lengths.take(chosen, mode="clip"), 1)
            rows = windows.take(chosen, axis=0, mode="clip")
            batch = make_batch(rows, counted, self.separator, self.vocab_size)
            inputs = to_inputs(batch, self.plan.config.data, self.device)
            losses, targets = engine(*inputs), inputs.targets
            scored = self.token_bytes[targets.clamp(min=0)] * (targets != IGNORE_INDEX)
            totals[0] += losses[scored > 0].double().sum()
            totals[1] += scored.sum()
        dist.all_reduce(totals)
        if totals[1] == 0:
            raise UserError("the held-out documents hold no text to score")
        return float(totals[0] / math.log(2) / totals[1])


def collect_stream(shards: TokenShards, documents: np.ndarray, limit: int) -> np.ndarray:
    """The first `limit` tokens of the given documents, end to end; each ends with the separator.

    A leading separator gives the first document the context that the others have.
    """
    if len(documents) == 0:
        return np.zeros(0, dtype=np.int64)
    pieces, total = [], 0
    for row in documents:
        pieces.append(np.asarray(shards.read(int(row["offset"]), int(row["length"])), dtype=np.int64))
        total += int(row["length"])
        if total >= limit:
            break
    separator = pieces[0][-1:]
    return np.concatenate([separator, *pieces])[: limit + 1]


def cut_windows(stream: np.ndarray, sequence_length: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, S + 1] windows at stride S over a stream, and how many tokens of each count: [N], S + 1 but for
    the last."""
    count = -(-(len(stream) - 1) // sequence_length)
    positions = np.arange(count)[:, None] * sequence_length + np.arange(sequence_length + 1)
    lengths = np.minimum(len(stream) - positions[:, 0], sequence_length + 1)
    return stream.take(positions, mode="clip"), lengths
