"""Likelihoods of continuations against the definition, whatever the batch, the order and the ranks."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.evaluate.items import Request
from onnuri.evaluate.requests import Plan, plan
from onnuri.evaluate.score import forward_of, request_nats, row_nats
from tests.conftest import untrained_model

CONTEXT = 32


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    return untrained_model(100, CONTEXT)


def encode(texts: list[str]) -> list[list[int]]:
    """A token a character."""
    return [[2 + ord(char) % 98 for char in text] for text in texts]


REQUESTS = [
    Request(context, continuation)
    for context in ("", "abc", "where is it? ", "x" * 40)
    for continuation in ("a", "b", " answer", "the longest answer of them all")
]


def naive(model: Qwen3ForCausalLM, request: Request) -> float:
    """One token at a time."""
    context, continuation = encode([request.context, request.continuation])
    stream = (context or [0]) + continuation
    if request.context.endswith(" "):  # spaces belong to the continuation
        continuation = encode([" " + request.continuation])[0]
    total = 0.0
    stream = stream[-(CONTEXT + 1) :]
    for place in range(len(stream) - len(continuation), len(stream)):
        with torch.no_grad():
            logits = model(torch.tensor([stream[:place]])).logits[0, -1]
        total -= float(F.log_softmax(logits.double(), -1)[stream[place]])
    return total


def test_equals_the_definition(model: Qwen3ForCausalLM) -> None:
    found = request_nats(model, plan(REQUESTS, encode, 0, CONTEXT), 0)
    assert found == pytest.approx([naive(model, request) for request in REQUESTS], rel=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 70, 4096])
def test_batches_and_order_change_nothing(model: Qwen3ForCausalLM, batch_tokens: int) -> None:
    expected = request_nats(model, plan(REQUESTS, encode, 0, CONTEXT), 0)
    order = list(range(len(REQUESTS)))
    random.Random(batch_tokens).shuffle(order)
    shuffled = plan([REQUESTS[i] for i in order], encode, 0, CONTEXT)
    found = request_nats(model, shuffled, 0, batch_tokens)
    assert found == pytest.approx([expected[i] for i in order], abs=1e-5)


def test_letters_of_a_question_share_a_pass() -> None:
    found = plan([Request("question", letter) for letter in "ABCD"], encode, 0, CONTEXT)
    assert len(found.rows) == 1
    assert len(found.last[0]) == 4
    assert len(plan([Request("question", "AB"), Request("question", "CB")], encode, 0, CONTEXT).rows) == 2


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_share_the_batches_evenly(model: Qwen3ForCausalLM, ranks: int) -> None:
    """The same number of passes on each, also where no number divides; the sum is what one rank finds."""
    planned = plan(REQUESTS[:7], encode, 0, CONTEXT)
    calls: list[int] = []

    def run(rank: int, size: int, planned: Plan) -> torch.Tensor:
        calls.append(0)
        forward = forward_of(model)

        def counted(tokens: torch.Tensor, first: int) -> torch.Tensor:
            calls[-1] += 1
            return forward(tokens, first)

        return row_nats(counted, planned.rows, planned.last, 0, "cpu", 24, rank, size)

    whole = run(0, 1, planned)
    parts = [run(rank, ranks, planned) for rank in range(ranks)]
    assert torch.equal(sum(parts, torch.zeros_like(whole)), whole)
    assert len(set(calls[1:])) == 1


def test_what_cannot_be_scored_is_an_error() -> None:
    for request, reason in ((Request("a", ""), "no token"), (Request("a", "b" * 50), "50 tokens")):
        with pytest.raises(UserError, match=reason):
            plan([request], encode, 0, CONTEXT)
