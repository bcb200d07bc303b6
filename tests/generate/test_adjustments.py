"""Penalties, bias, constraints and alternatives of a request, whatever else runs beside it."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.events import Completion
from onnuri.generate.sampling import Request
from onnuri.hf.weights import load_decoder
from onnuri.model.decoder import Decoder

VOCABULARY = 150


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Decoder]:
    torch.manual_seed(2)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    theirs: Any = Qwen3ForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("model")
    theirs.save_pretrained(folder)
    ours = load_decoder(folder)
    assert isinstance(ours, Decoder)
    return theirs, ours


class Rising:
    """Each token is larger than the one before, by at most 20; near the end of the ids the text ends."""

    def __init__(self, packed: bool) -> None:
        self.last, self.packed = 0, packed
        self.accepted: list[int] = []

    def allowed(self) -> np.ndarray:
        mask = np.zeros(VOCABULARY + 10, dtype=bool)
        mask[self.last + 1 : self.last + 21] = True
        mask[VOCABULARY:] = False
        if not self.packed:
            return mask[: self.last + 21]  # what lies beyond is not allowed either
        return np.packbits(mask, bitorder="little").view("<i4")

    def accept(self, token: int) -> bool:
        assert self.last < token <= self.last + 20
        self.last = token
        self.accepted.append(token)
        return token > VOCABULARY - 20


def prompts(count: int) -> list[list[int]]:
    draw = random.Random(3)
    return [[draw.randrange(VOCABULARY) for _ in range(draw.randint(2, 20))] for _ in range(count)]


def test_repetition_penalty_equals_hugging_face(pair: tuple[Any, Decoder]) -> None:
    theirs, ours = pair
    asked = [Request(ids, 15, 0.0, repetition_penalty=1.4) for ids in prompts(12)]
    found = BatchGenerator(ours, 5, 64).generate(asked)
    changed = 0
    for request, each in zip(asked, found, strict=True):
        ids = torch.tensor([request.ids])
        options = {"do_sample": False, "max_new_tokens": 15, "eos_token_id": -1, "pad_token_id": 0}
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), repetition_penalty=1.4, **options)
        assert each.ids == out[0, len(request.ids) :].tolist()
        changed += each.ids != BatchGenerator(ours, 1, 64).generate([Request(request.ids, 15, 0.0)])[0].ids
    assert changed > 6


def test_penalties_and_bias_by_their_formula(pair: tuple[Any, Decoder]) -> None:
    """Each token is the likeliest after the penalties; log-probabilities are of the unchanged logits."""
    theirs, ours = pair
    bias = {3: 4.0, 9: -100.0, VOCABULARY - 1: 2.5}
    options: dict[str, Any] = {"presence_penalty": 1.5, "frequency_penalty": 0.7, "bias": bias}
    asked = [Request(ids, 15, 0.0, **options) for ids in prompts(8)]
    for request, each in zip(asked, BatchGenerator(ours, 3, 64).generate(asked), strict=True):
        whole = [*request.ids, *each.ids]
        with torch.no_grad():
            logits = theirs(torch.tensor([whole])).logits[0]
        for n, token in enumerate(each.ids):
            row = logits[len(request.ids) + n - 1].clone()
            assert each.logprobs[n] == pytest.approx(row.log_softmax(-1)[token].item(), abs=1e-4)
            for written, count in Counter(each.ids[:n]).items():
                row[written] -= 1.5 + 0.7 * count
            for biased, value in bias.items():
                row[biased] += value
            assert row[token] >= row.max() - 1e-4
        assert 9 not in each.ids


def kinds(count: int) -> list[Request]:
    options: list[dict[str, Any]] = [
        {"presence_penalty": 1.0},
        {"frequency_penalty": 1.0, "top_p": 0.8},
        {"repetition_penalty": 1.3, "temperature": 1.4},
        {"bias": {5: 3.0}, "top_k": 8},
        {"min_p": 0.05, "top_logprobs": 2},
        {"temperature": 0.0, "top_logprobs": 4},
        {"constraint": 0},
        {"constraint": 1, "temperature": 0.0},
    ]
    found = []
    for number, ids in enumerate(prompts(count)):
        chosen = dict(options[number % len(options)])
        if "constraint" in chosen:
            chosen["constraint"] = Rising(packed=bool(chosen["constraint"]))
        found.append(Request(ids, 5 + number % 7, seed=number, **chosen))
    return found


def test_a_text_depends_on_its_request_alone(pair: tuple[Any, Decoder]) -> None:
    """The same alone, and in batches that it joins at random moments."""
    model = pair[1]
    alone = [BatchGenerator(model, 1, 64).generate([request])[0] for request in kinds(24)]
    draw = random.Random(1)
    for slots in (2, 7, 16):
        generator, waiting, events = BatchGenerator(model, slots, 64), kinds(24), []
        while waiting or generator.active:
            for _ in range(draw.randrange(4)):
                if waiting:
                    generator.submit(waiting.pop(0))
            events += generator.step()
        found = [Completion([], [], [], "") for _ in alone]
        for event in events:
            found[event.request].ids.append(event.token)
            assert len(event.top) == kinds(24)[event.request].top_logprobs
            assert [*event.top] == sorted(event.top, key=lambda each: -each[1])
        assert [each.ids for each in found] == [each.ids for each in alone]


def test_constraints_hold_and_end_a_text(pair: tuple[Any, Decoder]) -> None:
    for packed in (False, True):
        rules = [Rising(packed) for _ in range(8)]
        asked = [
            Request(ids, 40, float(number % 2) * 3, seed=number, constraint=rules[number])
            for number, ids in enumerate(prompts(8))
        ]
        for rule, each in zip(rules, BatchGenerator(pair[1], 4, 64).generate(asked), strict=True):
            assert each.ids == rule.accepted and each.ended == "stop"
            assert VOCABULARY - 20 < each.ids[-1] < VOCABULARY


def test_alternatives_are_the_models(pair: tuple[Any, Decoder]) -> None:
    theirs, ours = pair
    request = Request([1, 2, 3], 6, 0.0, top_logprobs=3, bias={7: 50.0})
    whole = [1, 2, 3]
    for event in BatchGenerator(ours, 2, 64, known_ids=100).stream([request]):
        with torch.no_grad():
            logprobs = theirs(torch.tensor([whole])).logits[0, -1].log_softmax(-1)
        expected = logprobs[:100].topk(3)
        assert [token for token, _ in event.top] == expected.indices.tolist()
        assert [value for _, value in event.top] == pytest.approx(expected.values.tolist(), abs=1e-4)
        assert event.token == 7 and event.logprob == pytest.approx(logprobs[7].item(), abs=1e-4)
        whole.append(event.token)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"presence_penalty": math.nan}, "presence_penalty"),
        ({"frequency_penalty": math.inf}, "frequency_penalty"),
        ({"repetition_penalty": 0.0}, "repetition_penalty > 0"),
        ({"bias": {VOCABULARY: 1.0}}, "bias has an id beyond the 150"),
        ({"bias": {3: math.nan}}, "finite values of bias"),
        ({"top_logprobs": -1}, "top_logprobs >= 0"),
    ],
)
def test_options_that_make_no_sense(pair: tuple[Any, Decoder], options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BatchGenerator(pair[1], 2, 32).submit(Request([1], 5, **options))
