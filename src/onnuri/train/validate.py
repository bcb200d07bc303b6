"""Bits per byte by language on held-out documents, inside the training loop; of conversations apart.

Bits per byte does not depend on the tokenizer: total negative log-likelihood in bits over the UTF-8
bytes that the scored tokens stand for. Here the documents of a language are read as one stream in
windows of the training length; scripts/evaluate.py scores document by document with sliding windows. Of
conversations the assistant's turns are scored.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX, make_batch
from onnuri.tokens.shards import TokenShards, load_array
from onnuri.tokens.trained import TrainedTokens, open_trained
from onnuri.train.inputs import to_inputs
from onnuri.train.run_plan import RunPlan


class Rows(NamedTuple):
    """Held-out windows; N of them, S sequence length."""

    tokens: np.ndarray
    """int64 [N, S + 1]."""
    lengths: np.ndarray
    """int64 [N]: tokens of each that count."""
    scored: np.ndarray
    """bool [N, S]: whether the token that follows each position is scored."""


class Validation:
    """Held-out windows by language, and the bytes behind every token."""

    def __init__(self, plan: RunPlan, device: torch.device) -> None:
        folder = Path(plan.config.data.path)
        self.plan, self.device = plan, device
        self.token_bytes = torch.from_numpy(load_array(folder / "token_bytes.npy")).to(device)
        self.separator = int(plan.data.counts["separator"])
        self.vocab_size = int(plan.data.counts["vocab_size"])
        self.windows = held_out_windows(
            folder, plan.data.counts, plan.config.train.validation_tokens, plan.config.data.sequence_length
        )

    def run(self, engine: Any) -> dict[str, float]:
        """Bits per byte by language. A collective call: every rank runs the same number of batches."""
        engine.eval()
        results = {name: self._bits_per_byte(engine, rows) for name, rows in self.windows.items()}
        engine.train()
        return results

    @torch.no_grad()
    def _bits_per_byte(self, engine: Any, windows: Rows) -> float:
        size, rank, count = self.plan.micro_batch_size, self.plan.ranks.dp_rank, self.plan.ranks.dp_size
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        for start in range(0, len(windows.tokens), size * count):
            chosen = np.arange(start + rank * size, start + (rank + 1) * size)
            rows = Rows(*(values.take(chosen, axis=0, mode="clip") for values in windows))
            lengths = np.where(chosen < len(windows.tokens), rows.lengths, 1)
            batch = make_batch(rows.tokens, lengths, self.separator, self.vocab_size)
            batch.targets[~rows.scored] = IGNORE_INDEX
            inputs = to_inputs(batch, self.plan.config.data, self.device)
            losses, targets = engine(*inputs), inputs.targets
            scored = self.token_bytes[targets.clamp(min=0)] * (targets != IGNORE_INDEX)
            totals[0] += losses[scored > 0].double().sum()
            totals[1] += scored.sum()
        dist.all_reduce(totals)
        if totals[1] == 0:
            raise UserError("the held-out documents hold no text to score")
        return float(totals[0] / math.log(2) / totals[1])


def held_out_windows(
    folder: Path, counts: Mapping[str, Any], limit: int, sequence_length: int
) -> dict[str, Rows]:
    """Windows over the first `limit` held-out tokens, by language; of conversations as chat-LANGUAGE.

    Args:
        counts: of the manifest of the shards in `folder`.
    """
    found: dict[str, Rows] = {}
    if not counts["heldout_shards"]:
        return found
    shards = TokenShards.open(folder, "heldout")
    trained = open_trained(shards.document_files)
    pairs = counts.get("chat", {}).get("kind") == "preference"  # half of their answers are wrong
    for chat in (False,) if pairs else (False, True):
        documents = shards.documents([i for i, table in enumerate(trained) if bool(table) == chat])
        for index, language in enumerate(counts["languages"]):
            chosen = documents[documents["lang"] == index]
            stream, scored = collect_stream(shards, chosen, limit, trained)
            if scored.any():
                name = f"chat-{language}" if chat else language
                found[name] = cut_windows(stream, scored, sequence_length)
    return found


def collect_stream(
    shards: TokenShards, documents: np.ndarray, limit: int, trained: Sequence[TrainedTokens | None]
) -> tuple[np.ndarray, np.ndarray]:
    """The first `limit` tokens of the given documents, end to end, and whether each is scored.

    Each document ends with the separator, and another one before the first gives that the context that the
    others have.
    """
    pieces, masks, total = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=bool)], 0
    for row in documents:
        start, size = int(row["offset"]), int(row["length"])
        pieces.append(np.asarray(shards.read(start, size), dtype=np.int64))
        shard = bisect.bisect_right(shards.starts, start) - 1
        table, inside = trained[shard], start - shards.starts[shard]
        masks.append(table.mask(inside, inside + size) if table else np.ones(size, dtype=bool))
        total += size
        if total >= limit:
            break
    if len(pieces) > 1:
        pieces[0][0] = pieces[1][-1]
    return np.concatenate(pieces)[: limit + 1], np.concatenate(masks)[: limit + 1]


def cut_windows(stream: np.ndarray, scored: np.ndarray, sequence_length: int) -> Rows:
    """Windows at stride S over a stream; of the last one fewer tokens count."""
    count = -(-(len(stream) - 1) // sequence_length)
    positions = np.arange(count)[:, None] * sequence_length + np.arange(sequence_length + 1)
    lengths = np.minimum(len(stream) - positions[:, 0], sequence_length + 1)
    tokens, masks = (values.take(positions, mode="clip") for values in (stream, scored))
    return Rows(tokens, lengths, masks[:, 1:])
