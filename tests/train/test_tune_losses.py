"""Losses of packed conversations and pairs are those of each conversation by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from onnuri.base.errors import UserError
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.tokens.pairs import HeldOutPairs, PairLoader
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import to_inputs
from onnuri.train.objectives import dpo, next_token
from onnuri.train.tuning_config import DpoConfig
from tests.chat.talks import documents, packed
from tests.train.tuning_shards import CPU, LENGTH, Packed, pack_both, pairs

Sample = Callable[[str], str]


@pytest.fixture(scope="module")
def shards(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Packed]:
    return pack_both(tmp_path_factory.mktemp("shards"), sample("tokenizer"))


@pytest.fixture(scope="module")
def model() -> Decoder:
    """Random weights that are large enough to have opinions."""
    found = Decoder(ModelConfig(1024, 32, 2, 2, 1, 16, 64), seed=1)
    with torch.no_grad():
        for weight in found.parameters():
            weight.mul_(3.0 if weight.dim() == 2 else 1.0)
    return found


class Alone(NamedTuple):
    """One conversation as a batch of one row."""

    tokens: torch.Tensor
    targets: torch.Tensor


def each_alone(folder: Path) -> list[Alone]:
    found = []
    for _, tokens, spans in documents(folder):
        targets = np.full(len(tokens), IGNORE_INDEX)
        for start, end in spans:
            targets[start:end] = tokens[start:end]
        rows = np.array([0, *tokens[:-1]]), targets
        found.append(Alone(*(torch.from_numpy(row)[None] for row in rows)))
    return found


def gradients(model: Decoder, loss: torch.Tensor) -> torch.Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])


def assert_same_gradients(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_packed_conversations_cost_what_each_costs_alone(shards: dict[str, Packed], model: Decoder) -> None:
    config = shards["chat"].config
    loader = Loader(config, shards["chat"].made, 4, None)
    windows = np.arange(loader.groups[0].num_windows)
    batch = loader.window_rows(np.zeros_like(windows), windows, len(windows))
    alone = each_alone(shards["chat"].folder)
    assert len(windows) < len(alone), "packed"
    inputs, whole = to_inputs(batch, config, CPU), PretrainConfig(data=config)
    loss = next_token.loss_sum(model, inputs, whole)
    losses = torch.stack([model(*each, reduction="sum") for each in alone])
    assert loss.item() == pytest.approx(losses.sum().item(), rel=1e-6)
    assert_same_gradients(gradients(model, loss), gradients(model, losses.sum()))
    num_targets = sum(int((each.targets != IGNORE_INDEX).sum()) for each in alone)
    assert (
        num_targets == int((inputs.targets != IGNORE_INDEX).sum()) == loader._num_targets(0, windows).sum()
    )
    config.document_mask = False
    seen = next_token.loss_sum(model, to_inputs(batch, config, CPU), whole)
    assert seen.item() != pytest.approx(loss.item(), rel=1e-4), "weights that look beyond a document differ"


def all_pairs(loader: PairLoader, config: DataConfig) -> tuple[dpo.PairInputs, np.ndarray]:
    windows = np.arange(loader.groups[0].num_windows)
    found = loader.pairs_of(np.zeros_like(windows), windows, len(windows) + 1)
    return dpo.pair_inputs(found, config, CPU), found.pairs


def test_packed_pairs_have_the_log_probabilities_of_each_answer_alone(
    shards: dict[str, Packed], model: Decoder
) -> None:
    config = shards["preference"].config
    loader = PairLoader(config, shards["preference"].made, 4, None)
    loader.reference = np.random.default_rng(0).normal(-100, 3, (24, 2)).astype(np.float32)
    inputs, numbers = all_pairs(loader, config)
    assert sorted(numbers.tolist()) == list(range(24)) and len(inputs.tokens) < 24
    sums, counts = dpo.answer_sums(model, inputs)
    alone = each_alone(shards["preference"].folder)
    expected = torch.stack([-model(*each, reduction="sum") for each in alone]).view(-1, 2)[numbers]
    sizes = torch.tensor([int((each.targets != IGNORE_INDEX).sum()) for each in alone]).view(-1, 2)
    assert torch.equal(counts.long(), sizes[numbers])
    torch.testing.assert_close(sums, expected, rtol=1e-6, atol=0)
    assert torch.equal(inputs.reference, torch.from_numpy(loader.reference[numbers]))
    for options in (DpoConfig(), DpoConfig(5.0, 0.1, True)):
        whole = PretrainConfig(data=config, dpo=options)
        loss = dpo.loss_sum(model, inputs, whole)[0]
        other = dpo.pair_losses(expected, inputs.reference, counts, options)[0]
        assert loss.item() == pytest.approx(other.item(), rel=1e-5)
        found, wanted = (gradients(model, each) for each in twice(model, inputs, alone, numbers, options))
        assert_same_gradients(found, wanted)


def twice(
    model: Decoder, inputs: dpo.PairInputs, alone: list[Alone], numbers: np.ndarray, options: DpoConfig
) -> Iterator[torch.Tensor]:
    """The loss of packed pairs, and of answers alone."""
    sums, counts = dpo.answer_sums(model, inputs)
    yield dpo.pair_losses(sums, inputs.reference, counts, options)[0]
    sums = torch.stack([-model(*each, reduction="sum") for each in alone]).view(-1, 2)[numbers]
    yield dpo.pair_losses(sums, inputs.reference, counts, options)[0]


def test_a_batch_in_parts_is_the_whole(shards: dict[str, Packed], model: Decoder) -> None:
    """Rows of two ranks, two micro-batches each, hold the pairs of the global batch, each once."""
    config = shards["preference"].config
    loader = PairLoader(config, shards["preference"].made, 4, None)
    parts = [loader.micro_batch(3, micro, rank, 2, 1) for micro in range(2) for rank in range(2)]
    whole = loader.micro_batch(3, 0, 0, 1, 4)
    assert np.concatenate([part.pairs for part in parts]).tolist() == whole.pairs.tolist()
    assert loader.num_targets(3) == len(whole.pairs) and loader.num_tokens(3) > len(whole.pairs)
    options = PretrainConfig(data=config)
    found = [dpo.loss_sum(model, dpo.pair_inputs(part, config, CPU), options) for part in parts]
    expected = dpo.loss_sum(model, dpo.pair_inputs(whole, config, CPU), options)
    torch.testing.assert_close(torch.stack(found).sum(0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [DpoConfig(), DpoConfig(0.5, 0.2), DpoConfig(5.0, length_normalised=True), DpoConfig(2.0, 0.3, True)],
)
def test_pair_losses_by_hand(options: DpoConfig) -> None:
    generator = np.random.default_rng(4)
    policy, reference = (generator.normal(-40, 4, (6, 2)) for _ in range(2))
    counts = generator.integers(1, 30, (6, 2)).astype(float)
    given = torch.tensor(policy, requires_grad=True)
    both = dpo.pair_losses(given, torch.tensor(reference), torch.tensor(counts), options)
    loss, *measured = both
    losses, margins, rewards, slopes = [], [], [], []
    for row in range(6):
        own = []
        for side in range(2):
            length = counts[row, side] if options.length_normalised else 1.0
            own.append(options.beta * (policy[row, side] - reference[row, side]) / length)
            slopes.append(options.beta / length * (1 if side == 0 else -1))
        margin, wrong = own[0] - own[1], options.label_smoothing
        right = 1 / (1 + math.exp(-margin))
        losses.append(-(1 - wrong) * math.log(right) - wrong * math.log(1 - right))
        slopes[-2:] = [slope * (-(1 - wrong) * (1 - right) + wrong * right) for slope in slopes[-2:]]
        margins.append(margin)
        rewards.append(own)
    assert loss.item() == pytest.approx(sum(losses), rel=1e-12)
    (found,) = torch.autograd.grad(both.sum(), given)  # what is measured has no gradient
    np.testing.assert_allclose(found.flatten(), slopes, rtol=1e-10)
    expected = [
        sum(margin > 0 for margin in margins),
        sum(margins),
        *np.sum(rewards, axis=0),
        *counts.sum(axis=0),
    ]
    assert [each.item() for each in measured] == pytest.approx(expected, rel=1e-12)


def test_pairs_that_do_not_fit(shards: dict[str, Packed]) -> None:
    config, made = shards["preference"].config, shards["preference"].made
    sizes = [len(tokens) + 1 for _, tokens, _ in documents(shards["preference"].folder)]
    lengths = sorted(map(sum, zip(sizes[::2], sizes[1::2], strict=True)))
    config.sequence_length = lengths[3]
    loader = PairLoader(config, made, 4, None)
    fit = sum(length <= lengths[3] for length in lengths)
    _, numbers = all_pairs(loader, config)
    assert len(numbers) == len(set(numbers.tolist())) == fit < 24
    warning = f"{24 - fit} of 24 pairs are longer than data.sequence_length={lengths[3]} and are left out"
    assert warning in loader.warnings(0)
    config.sequence_length = lengths[0] - 1
    message = f"no pair fits data.sequence_length={lengths[0] - 1}; the longest has {lengths[-1]} tokens"
    with pytest.raises(UserError, match=message):
        PairLoader(config, made, 4, None)


def test_pairs_beside_text(sample: Sample, tmp_path: Path) -> None:
    """Text among the sources is no pair: refused where it is chosen, passed over in held-out data."""
    made = packed(tmp_path, list(pairs(60)), sample("tokenizer"), kind="preference", base=sample("tokens"),
                  source="pairs", heldout_share=0.05)  # fmt: skip
    config = DataConfig(path=str(tmp_path / "out"), sequence_length=LENGTH)
    with pytest.raises(UserError, match="holds text, not pairs; name those of pairs"):
        PairLoader(config, made, 4, None)
    config.mixture = {"pairs": 1.0}
    loader = PairLoader(config, made, 4, None)
    _, numbers = all_pairs(loader, config)
    config.mixture = {}
    held_out = HeldOutPairs(config, made, 1, None)
    assert len(numbers) == loader.num_pairs == 60 - held_out.num_pairs
    assert 0 < held_out.num_pairs == len(all_pairs(held_out, config)[1])
    config.sequence_length = 8
    assert HeldOutPairs(config, made, 1, None).groups[0].num_windows == 0
