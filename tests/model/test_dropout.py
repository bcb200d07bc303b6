"""Masks are a function of the row and its place, and look random in every direction."""

from __future__ import annotations

import pytest
import torch

from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.model.dropout import Dropout, at_layer, at_positions, drop, row_keys

RATE, ROWS, LENGTH, WIDTH = 0.1, 8, 128, 96


def mask(
    step: int = 0, layer: int = 1, site: int = 0, rows: range = range(ROWS), seed: int = 0
) -> torch.Tensor:
    """1 where an element is kept, 0 where it is dropped: [rows, LENGTH, WIDTH]."""
    dropout = at_positions(Dropout(RATE, row_keys(seed, step, rows)), LENGTH)
    return (drop(torch.ones(len(rows), LENGTH, WIDTH), at_layer(dropout, layer), site) > 0).double()


def test_the_mean_stays_and_rows_keep_their_masks() -> None:
    ones = torch.ones(ROWS, LENGTH, WIDTH)
    for rate in (0.05, 0.5):
        dropout = at_positions(Dropout(rate, row_keys(3, 7, range(ROWS))), LENGTH)
        found = drop(ones, dropout)
        sigma = (rate * (1 - rate) / ones.numel()) ** 0.5
        assert abs(float((found > 0).double().mean()) - (1 - rate)) < 4 * sigma
        assert abs(float(found.double().mean()) - 1) < 4 * sigma / (1 - rate)
        assert torch.allclose(found[found > 0], torch.tensor(1 / (1 - rate)))
    assert torch.equal(mask(rows=range(3, 6)), mask()[3:6])


def test_no_direction_is_correlated() -> None:
    """Between positions, channels and rows that are neighbours, and the same element elsewhere."""
    base = mask()
    pairs = {
        "position": (base[:, 1:], base[:, :-1]),
        "channel": (base[..., 1:], base[..., :-1]),
        "row": (base[1:], base[:-1]),
        "step": (mask(step=1), base),
        "layer": (mask(layer=2), base),
        "site": (mask(site=1), base),
        "embedding": (mask(layer=0), base),
        "seed": (mask(seed=1), base),
    }
    for name, (first, second) in pairs.items():
        covariance = ((first - 1 + RATE) * (second - 1 + RATE)).mean()
        assert abs(float(covariance)) < 4 * RATE * (1 - RATE) / first.numel() ** 0.5, name
    for dims in ((0, 1), (0, 2)):  # sums by channel and by position spread as those of independent bits
        sums = base.sum(dim=dims)
        expected = RATE * (1 - RATE) * base.numel() / len(sums)
        assert 0.5 < float(sums.var()) / expected < 1.7


@pytest.mark.parametrize("every", [0, 1])
def test_a_model_drops_by_rows_and_not_without(every: int) -> None:
    config = ModelConfig(
        vocab_size=64,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=16,
        intermediate_size=48,
    )
    model = Decoder(config)
    model.activation_checkpointing = every
    tokens = torch.randint(0, 64, (4, 24), generator=torch.Generator().manual_seed(0))
    keys = row_keys(0, 5, range(4))

    def gradients(*parts: slice) -> tuple[list[torch.Tensor], torch.Tensor]:
        model.zero_grad()
        losses = []
        for part in parts:
            loss = model(tokens[part], tokens[part], dropout=Dropout(0.2, keys[part]))
            loss.sum().backward()
            losses.append(loss.detach())
        return [each.grad.clone() for each in model.parameters()], torch.cat(losses)

    whole, losses = gradients(slice(0, 4))
    parts, losses_of_parts = gradients(slice(0, 1), slice(1, 4))
    assert torch.allclose(losses, losses_of_parts, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(whole, parts, strict=True))
    assert not torch.allclose(losses, model(tokens, tokens), atol=1e-2)
    model.activation_checkpointing = 1 - every
    again, _ = gradients(slice(0, 4))
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
