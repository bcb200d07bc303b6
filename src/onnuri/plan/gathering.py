"""Which whole parameters ZeRO-3 holds, and how large its messages become (DeepSpeed 0.19).

After a module has run its parameters are given up, unless the next 1e9 elements of the order in which
modules run use them again (`stage3_max_reuse_distance`): a model below half of that stays whole from the
forward to the backward pass. Parameters to come are asked for ahead until `engine.bucket_size` elements are
under way; until all of them are in use, the message that brought them is held beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onnuri.model.spec import spec_of
from onnuri.plan.config import PlanModelConfig

REUSE_DISTANCE = 10**9


class Gathered(NamedTuple):
    """Elements held at the turn from the forward to the backward pass, and after it."""

    last_block: int
    """Whole parameters when the last block has run forward."""
    ahead: int
    """The message that brings parameters ahead, while the forward pass runs."""
    loss: int
    """Whole parameters at the loss."""
    turn: int
    """When the backward pass is in the last block."""
    end: int
    """When it is at the embedding."""


def block_parameters(model: PlanModelConfig) -> list[int]:
    """Elements of each parameter of a block, in the order they are used."""
    sizes = [each.numel for each in spec_of(model).parameters(model) if each.in_block]
    if not model.num_experts:
        return sizes
    router = model.num_experts * model.hidden_size
    return [*sizes[:-2], router, *sizes[-2:] * model.num_experts]


def gathered(model: PlanModelConfig, bucket_size: int) -> Gathered:
    """Follow the parameters through a step."""
    parameters = block_parameters(model)
    block, layers = sum(parameters), model.num_layers
    embedding = model.vocab_size * model.hidden_size
    head = 0 if model.tie_embeddings else embedding
    kept = 0
    for after in range(layers):  # blocks that run after this one; what lies between its two uses
        between = 2 * head + 2 * after * block
        beginning = between - block if after else head
        if beginning >= REUSE_DISTANCE:
            break
        kept += block
    held = embedding if model.tie_embeddings else 0  # used at both ends
    keeps_all = kept == layers * block
    first = held or (embedding if 2 * (head + kept) < REUSE_DISTANCE and keeps_all else 0)
    ahead = _filled(parameters * layers, bucket_size)
    running = max(kept, block)
    return Gathered(
        last_block=first + running,
        ahead=ahead if keeps_all else min(ahead, block + bucket_size),
        loss=first + kept + head,
        turn=first + max(kept, block) + (0 if keeps_all else ahead),
        end=first or embedding,
    )


def _filled(sizes: Sequence[int], bucket_size: int) -> int:
    """Elements of the first parameters that fill a bucket."""
    total = 0
    for size in sizes:
        if total >= bucket_size:
            break
        total += size
    return total


def largest_message(model: PlanModelConfig, bucket_size: int) -> int:
    """Elements of the largest run of gradients that fits a bucket; larger ones go by themselves.

    Gradients come from the last block to the first, the embedding at the end.
    """
    embedding = model.vocab_size * model.hidden_size
    order = [] if model.tie_embeddings else [embedding]
    order += [model.hidden_size, *reversed(block_parameters(model) * model.num_layers), embedding]
    largest = filled = 0
    for size in order:
        if filled + size > bucket_size:
            largest, filled = max(largest, filled), 0
        filled += size if size <= bucket_size else 0
    return max(largest, filled)
