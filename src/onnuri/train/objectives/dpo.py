"""Direct preference optimization over packed pairs (`onnuri pack kind=preference`; arXiv 2305.18290).

The log-probabilities of all answers under the weights that the run starts with are computed once, before
the first step, and kept in the run directory; so no second model is in memory. The loss is the mean over
the pairs of the global batch.

B rows, S sequence length, P pairs of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from onnuri.base.errors import UserError
from onnuri.base.manifest import hash_file
from onnuri.kernels.attention_mask import AttentionMask
from onnuri.model.dropout import Dropout
from onnuri.run.chain import read, recorded_files
from onnuri.run.run_file import DATA_FOLDER, as_typed
from onnuri.tokens.config import DataConfig
from onnuri.tokens.pairs import HeldOutPairs, PairBatch, PairLoader
from onnuri.tokens.shards import load_array, write_array
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import move, to_inputs
from onnuri.train.objectives.objective import Objective
from onnuri.train.tuning_config import DpoConfig

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan
    from onnuri.train.run_state import Run

NEEDED: dict[str, tuple[Any, str]] = {
    "data.document_mask": (True, "an answer must not see the other one"),
    "data.reshuffle": ("windows", "the two answers of a pair stay together"),
    "data.length_ramp": ({}, "pairs are not cut"),
    "train.z_loss": (0.0, "it would count as a part of the log-probabilities"),
}
"""Options that others would make wrong, and why."""
REFERENCE_FILE, HELD_OUT_FILE = "reference.npy", "reference-heldout.npy"
WAY_OUT = "bring it back from a copy, or start over with another run_dir"
MEASURES = ("accuracy", "margin", "chosen_reward", "rejected_reward", "chosen_tokens", "rejected_tokens")


class PairInputs(NamedTuple):
    """`Inputs` of the rows, and what belongs to their pairs."""

    tokens: torch.Tensor
    targets: torch.Tensor
    mask: AttentionMask
    positions: torch.Tensor | None
    answers: torch.Tensor
    """int64 [B, S]; see PairBatch."""
    reference: torch.Tensor
    """float32 [P, 2]."""
    dropout: Dropout | None = None


def open_source(plan: RunPlan, folder: Path) -> PairLoader:
    """Rows of pairs. Raises UserError for shards that hold something else, and options that it cannot
    follow."""
    config = plan.config
    for name, (value, reason) in NEEDED.items():
        part, _, option = name.partition(".")
        if getattr(getattr(config, part), option) != value:
            raise UserError(f"objective=dpo needs {name}={as_typed(value)}: {reason}")
    if plan.data.counts.get("chat", {}).get("kind") != "preference":
        raise UserError(
            f"objective=dpo learns from pairs, and data={config.data.path} holds none: pack with "
            "kind=preference"
        )
    train = config.train
    return PairLoader(config.data, plan.data, train.global_batch_size, folder, train.batch_ramp)


def pair_inputs(found: PairBatch, config: DataConfig, device: torch.device) -> PairInputs:
    """Rows and pairs on the device."""
    inputs = to_inputs(found.batch, config, device)
    answers, reference = (move(torch.from_numpy(each), device) for each in (found.answers, found.reference))
    return PairInputs(inputs.tokens, inputs.targets, inputs.mask, inputs.positions, answers, reference)


def answer_sums(model: Any, inputs: PairInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability and number of tokens of each answer, chosen and rejected: [P, 2] each."""
    losses = model(
        tokens=inputs.tokens,
        targets=inputs.targets,
        mask=inputs.mask,
        positions=inputs.positions,
        dropout=inputs.dropout,
    )
    size = inputs.reference.numel()
    index = torch.where(inputs.answers < 0, size, inputs.answers).flatten()
    sums, counts = (
        torch.zeros(size + 1, device=losses.device).index_add(0, index, values)[:size].view(-1, 2)
        for values in (-losses.flatten(), torch.ones_like(losses).flatten())
    )
    return sums, counts


def loss_sum(model: Any, inputs: PairInputs, config: PretrainConfig) -> torch.Tensor:
    """[1 + MEASURES]: the loss of all pairs and what is measured, summed."""
    sums, counts = answer_sums(model, inputs)
    return pair_losses(sums, inputs.reference, counts, config.dpo)


def pair_losses(
    policy: torch.Tensor, reference: torch.Tensor, counts: torch.Tensor, options: DpoConfig
) -> torch.Tensor:
    """The loss and MEASURES, summed over pairs.

    Args:
        policy: log-probabilities of chosen and rejected answers, [P, 2].
        reference: the same under the reference, [P, 2].
        counts: tokens of the answers, [P, 2].
    """
    change = policy - reference
    if options.length_normalised:
        change = change / counts.clamp(min=1)
    rewards = options.beta * change
    margin = rewards[:, 0] - rewards[:, 1]
    wrong = options.label_smoothing
    losses = -(1 - wrong) * F.logsigmoid(margin) - wrong * F.logsigmoid(-margin)
    measured = [(margin > 0).float(), margin, rewards[:, 0], rewards[:, 1], counts[:, 0], counts[:, 1]]
    return torch.stack([losses.sum(), *(each.detach().sum() for each in measured)])


def prepare(run: Run) -> None:
    """Read what the first weights make of all answers, or compute it before the first step."""
    source: Any = run.source
    pairs = {REFERENCE_FILE: source}
    if run.plan.data.counts["heldout_shards"]:
        everything = replace(run.plan.config.data, mixture={})
        pairs[HELD_OUT_FILE] = source.held_out = HeldOutPairs(everything, run.plan.data, 1, None)
    fresh = not run.progress.step and not run.plan.replay_until
    for name, each in pairs.items():
        path = run.run_dir / DATA_FOLDER / name
        if fresh:
            run.record.say(f"{each.num_pairs:,} pairs under the first weights, for {path.name}")
            values = log_probabilities(run, each)
            if run.plan.ranks.is_lead:
                write_array(path, values)
                run.record.keep_file(0, path)
            dist.barrier()
        if not path.is_file():
            raise UserError(f"{path} is missing; {WAY_OUT}")
        recorded = {} if fresh or run.plan.replay_until else recorded_files(read(run.run_dir))
        _, digest = recorded.get(f"{DATA_FOLDER}/{name}", (0, ""))
        if digest and digest != hash_file(path):
            raise UserError(f"{path} is not the file that the ledger records; {WAY_OUT}")
        each.reference = load_array(path, way_out=WAY_OUT)
        if each.reference.shape != (each.num_pairs, 2):
            raise UserError(f"{path} is of other pairs; {WAY_OUT}")


@torch.no_grad()
def log_probabilities(run: Run, source: PairLoader) -> np.ndarray:
    """Of all answers that fit a window, float32 [all pairs, 2]. A collective call."""
    totals = torch.zeros(source.num_pairs, 2, dtype=torch.float64, device=run.device)
    for inputs, pairs in one_pass(run, source):
        sums, _ = answer_sums(run.engine, inputs)
        totals[torch.from_numpy(pairs).to(run.device)] = sums.double()
    dist.all_reduce(totals)
    return totals.float().cpu().numpy()


@torch.no_grad()
def held_out(run: Run) -> dict[str, float]:
    """MEASURES over held-out pairs, as many as fit `train.validation_tokens`. A collective call."""
    source: Any = getattr(run.source, "held_out", None)
    if source is None or not source.groups[0].num_windows:
        return {}
    totals = torch.zeros(2 + len(MEASURES), dtype=torch.float64, device=run.device)
    for inputs, pairs in one_pass(run, source, run.plan.config.train.validation_tokens):
        totals[1:] += loss_sum(run.engine, inputs, run.plan.config).double()
        totals[0] += len(pairs)
    dist.all_reduce(totals)
    count, *sums = totals.tolist()
    return {name: value / max(1, count) for name, value in zip(("loss", *MEASURES), sums, strict=True)}


def one_pass(
    run: Run, source: PairLoader, most_tokens: int | None = None
) -> Iterator[tuple[PairInputs, np.ndarray]]:
    """Windows, each once over all ranks, and the numbers of their pairs; all ranks get as many batches.

    The model is in evaluation until the end.
    """
    size, ranks = run.plan.micro_batch_size, run.plan.ranks
    groups = np.concatenate([np.full(each.num_windows, i) for i, each in enumerate(source.groups)])
    windows = np.concatenate([np.arange(each.num_windows) for each in source.groups])
    count = len(windows)
    if most_tokens is not None:
        count = min(count, max(1, most_tokens // source.config.sequence_length))
    run.engine.eval()
    for start in range(0, count, size * ranks.dp_size):
        first = start + ranks.dp_rank * size
        own = slice(first, min(first + size, count))
        found = source.pairs_of(groups[own], windows[own], size)
        yield pair_inputs(found, run.plan.config.data, run.device), found.pairs
    run.engine.train()


OBJECTIVE = Objective(open_source, pair_inputs, loss_sum, MEASURES, prepare, held_out=held_out)
