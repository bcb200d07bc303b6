"""Answers behind a prompt that they share: laid out whole, and learnt from as each is alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onnuri.kernels import KernelConfig, choose
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.tokens.answers import (
    Answer,
    AnswerBatch,
    Answered,
    answer_batch,
    answer_rows,
    fewest_rows,
    share_prompt,
)
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.config import DataConfig
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives.grpo import answer_inputs, loss_sum

LENGTH, SEPARATOR, VOCABULARY = 48, 0, 64
CPU = torch.device("cpu")


def drawn(prompt: int, lengths: list[int], seed: int) -> tuple[list[int], list[Answer]]:
    """A prompt and answers to it, of so many tokens."""
    random = np.random.default_rng(seed)
    answers = [
        Answer(
            random.integers(1, VOCABULARY, size), -random.random(size).astype(np.float32), random.normal()
        )
        for size in lengths
    ]
    return [SEPARATOR, *random.integers(1, VOCABULARY, prompt - 1).tolist()], answers


GROUPS = [
    drawn(20, [1, 5, 9, 2], 1),
    drawn(1, [3, 3, 30], 2),
    drawn(30, [12, 12, 19, 1], 3),
    drawn(7, [4], 4),
]


def batch_of(documents: list[Answered]) -> AnswerBatch:
    rows = answer_rows(documents, LENGTH)
    return answer_batch(rows, len(rows), LENGTH, SEPARATOR)


def shared() -> list[Answered]:
    return [each for group in GROUPS for each in share_prompt(Answered(*group), 8, LENGTH)]


def alone() -> list[Answered]:
    return [Answered(prompt, [answer]) for prompt, answers in GROUPS for answer in answers]


def test_nothing_is_lost_and_every_document_fits() -> None:
    documents = shared()
    assert [len(each.answers) for each in documents] == [4, 3, 1, 1, 1, 1, 1]
    assert all(each.num_tokens <= LENGTH for each in documents)
    order = [answer for each in documents for answer in each.answers]
    assert [id(each) for each in order] == [id(each) for _, answers in GROUPS for each in answers]
    batch = batch_of(documents).batch
    assert (batch.targets != IGNORE_INDEX).sum() == sum(len(each.ids) for each in order)
    assert sum(each.num_tokens for each in documents) < sum(each.num_tokens for each in alone())
    assert len(batch_of(alone()).batch.branches) == 0


def test_sharing_never_takes_more_rows() -> None:
    """Documents of a little more than half a row leave the rest empty, and that is computed."""
    groups = [Answered(*drawn(5, [12, 10], seed)) for seed in range(6)]  # 26 of 48 tokens together
    assert len(answer_rows([each for g in groups for each in share_prompt(g, 2, LENGTH)], LENGTH)) == 6
    rows = fewest_rows(groups, 2, LENGTH)
    assert len(rows) == 4 and sum(len(each.answers) for row in rows for each in row) == 12
    assert len(fewest_rows([Answered(*drawn(5, [10, 8], seed)) for seed in range(6)], 2, LENGTH)) == 3
    assert fewest_rows([], 8, LENGTH) == []


def test_a_branch_counts_on_from_the_prompt_and_predicts_its_answer() -> None:
    prompt, answers = drawn(4, [2, 3], 7)
    found, advantages, logprobs = batch_of([Answered(prompt, answers)])
    assert found.branches.tolist() == [3, 5]
    first, second = (each.ids.tolist() for each in answers)
    assert found.tokens[0, :8].tolist() == [*prompt[:-1], prompt[-1], first[0], prompt[-1], *second[:-1]]
    assert found.targets[0, :8].tolist() == [IGNORE_INDEX] * 3 + first + second
    assert found.positions[0, :10].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 0, 1]
    assert found.cu_seqlens.tolist() == [0, 8, LENGTH]
    assert advantages[0, 3:8].tolist() == pytest.approx(
        [answers[0].advantage] * 2 + [answers[1].advantage] * 3
    )
    assert logprobs[0, 3:8].tolist() == [*answers[0].logprobs, *answers[1].logprobs]


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_it_costs_and_teaches_what_each_answer_does_alone(backend: str) -> None:
    shape = ModelConfig(VOCABULARY, 32, 2, 4, 2, 16, 64)
    model = Decoder(shape, choose(KernelConfig(attention=backend), "cpu", torch.float32), seed=1)
    config = PretrainConfig(data=DataConfig(sequence_length=LENGTH, reset_positions=True))
    losses, gradients = [], []
    for documents in (shared(), alone()):
        sums = loss_sum(model, answer_inputs(batch_of(documents), config.data, CPU), config)
        losses.append(sums.detach())
        grads = torch.autograd.grad(sums[0], list(model.parameters()))
        gradients.append(torch.cat([each.flatten() for each in grads]))
    torch.testing.assert_close(*losses, rtol=1e-6, atol=1e-5)
    assert (gradients[0] - gradients[1]).norm() <= 1e-5 * gradients[1].norm()
