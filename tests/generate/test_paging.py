"""Blocks that texts share, prompts read in parts, a cache that is too small: texts stay what they are."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.generate import forward
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.blocks import BLOCK, Blocks, blocks_of
from onnuri.generate.events import NO_TOKEN, Event
from onnuri.generate.int8 import with_int8_weights
from onnuri.generate.sampling import Request
from onnuri.hf.weights import load_decoder
from onnuri.kernels.native.decode import compiled
from onnuri.model.decoder import Decoder

VOCABULARY = 150
NEAR = 1e-4
"""Logits of Hugging Face's that are so near each other may be taken either way."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Decoder]:
    torch.manual_seed(4)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    theirs: Any = Qwen3ForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("model")
    theirs.save_pretrained(folder)
    ours = load_decoder(folder)
    assert isinstance(ours, Decoder)
    return theirs, ours


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(forward, "usable", lambda *_: False)
    elif not compiled():
        pytest.skip("the native kernels are not compiled")
    return str(request.param)


def prompts(count: int) -> list[list[int]]:
    """Of 1 to 90 tokens; most begin like others."""
    draw = random.Random(5)
    beginnings = [[draw.randrange(VOCABULARY) for _ in range(70)] for _ in range(3)]
    found = []
    for _ in range(count):
        shared = draw.choice(beginnings)[: draw.choice([0, 5, 16, 32, 40, 70])]
        found.append(shared + [draw.randrange(VOCABULARY) for _ in range(draw.choice([1, 1, 4, 20]))])
    return found


def run(generator: BatchGenerator, requests: list[Request], seed: int = 0) -> list[list[Event]]:
    """The events of requests that arrive at random moments."""
    draw, waiting = random.Random(seed), [*requests]
    found: list[list[Event]] = [[] for _ in requests]
    while waiting or generator.active:
        for _ in range(draw.randrange(4)):
            if waiting:
                generator.submit(waiting.pop(0))
        for event in generator.step():
            found[event.request].append(event)
    assert generator.scheduler.blocks.available == generator.scheduler.blocks.count
    return found


def ids_of(found: list[list[Event]]) -> list[list[int]]:
    return [[event.token for event in events] for events in found]


def test_greedy_equals_hugging_face(pair: tuple[Any, Decoder], path: str) -> None:
    """With shared blocks and without, alone and beside others, in parts and whole."""
    theirs, ours = pair
    asked = [Request(ids, 10, 0.0) for ids in prompts(40)]
    options = {"do_sample": False, "max_new_tokens": 10, "eos_token_id": -1, "pad_token_id": 0}
    expected = []
    for request in asked:
        ids = torch.tensor([request.ids])
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), **options)
        expected.append(out[0, len(request.ids) :].tolist())
    assert len({*map(tuple, expected)}) > 20
    near = shared = 0
    for slots, prompt_tokens, reuse in ((1, 512, True), (5, 512, False), (9, 7, True), (16, 512, True)):
        generator = BatchGenerator(ours, slots, 128, prompt_tokens=prompt_tokens, reuse=reuse)
        found = run(generator, asked, seed=slots)
        shared += sum(events[0].cached for events in found)
        for request, mine, right in zip(asked, ids_of(found), expected, strict=True):
            if mine != right:
                at = next(n for n in range(10) if mine[n] != right[n])
                with torch.no_grad():
                    logits = theirs(torch.tensor([[*request.ids, *right[:at]]])).logits[0, -1]
                best = logits.topk(2).values
                assert best[0] - best[1] < NEAR and logits[mine[at]] >= best[0] - NEAR
                near += 1
    print(f"{path}: {near} of {4 * len(asked)} texts differ where two logits are within {NEAR}")
    assert shared > 1000


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_native_texts_are_the_same_to_the_last_bit(
    pair: tuple[Any, Decoder], dtype: torch.dtype, int8: bool
) -> None:
    """However a prompt is read, and whatever runs beside it: in bf16 too, where rounding would show."""
    if not compiled():
        pytest.skip("the native kernels are not compiled")
    model: nn.Module = Decoder(pair[1].config)
    model.load_state_dict(pair[1].state_dict())
    model = model.to(dtype)
    model = with_int8_weights(model) if int8 else model
    kinds: list[dict[str, Any]] = [{"temperature": 0.0}, {}, {"top_p": 0.9, "repetition_penalty": 1.2}]
    asked = [
        Request(ids, 8, seed=number, top_logprobs=VOCABULARY, **kinds[number % 3])
        for number, ids in enumerate(prompts(20))
    ]
    alone = [run(BatchGenerator(model, 1, 128, reuse=False), [request])[0] for request in asked]
    for slots, prompt_tokens, reuse in ((1, 3, False), (6, 512, True), (16, 11, True)):
        found = run(BatchGenerator(model, slots, 128, prompt_tokens=prompt_tokens, reuse=reuse), asked)
        assert ids_of(found) == ids_of(alone)
        for mine, right in zip(found, alone, strict=True):
            for one, two in zip(mine, right, strict=True):
                assert one.logprob == pytest.approx(two.logprob, abs=2e-6)  # a sum over the ids
                shift = two.logprob - one.logprob
                assert dict(one.top) == pytest.approx({k: v - shift for k, v in two.top}, abs=2e-6)


def test_what_is_read_is_not_read_again(pair: tuple[Any, Decoder], path: str) -> None:
    """The answers to one task, and the next turn of a conversation."""
    ids = [9, *range(50)]
    generator = BatchGenerator(pair[1], 8, 128)
    found = run(generator, [Request(ids, 6, seed=n) for n in range(8)])
    assert [events[0].cached for events in found] == [0] + [48] * 7
    assert all(event.cached == 0 for events in found for event in events[1:])
    turn = Request([*ids, *[event.token for event in found[3]], *range(30)], 2)
    number = generator.submit(turn)
    first = next(event for _ in range(9) for event in generator.step())
    assert (first.request, first.cached) == (number, 48)
    generator.step()
    longer = [*ids, *[event.token for event in found[3]], *range(40)]
    assert run(generator, []) == [] and generator.scheduler.blocks.find(longer).blocks[:3]
    generator.submit(Request(longer, 1))
    assert generator.step()[0].cached == 80
    generator.clear_prefixes()
    generator.submit(Request(longer, 1))
    assert generator.step()[0].cached == 0


def test_a_long_prompt_delays_nobody(pair: tuple[Any, Decoder], path: str) -> None:
    generator = BatchGenerator(pair[1], 3, 128, prompt_tokens=8)
    writing = generator.submit(Request([1, 2], 30, seed=1))
    reading = generator.submit(Request([*range(100)], 3, seed=2))
    steps = [[event.request for event in generator.step()] for _ in range(16)]
    assert all(step.count(writing) == 1 for step in steps)
    assert [reading in step for step in steps] == [False] * 12 + [True] * 3 + [False]


def test_who_begins_alike_waits_but_not_for_ever(pair: tuple[Any, Decoder], path: str) -> None:
    """The first reads for all; when it is dropped, the next one does."""
    generator = BatchGenerator(pair[1], 4, 128, prompt_tokens=16)
    ids = [*range(90)]
    numbers = [generator.submit(Request(ids, 2, seed=n)) for n in range(3)]
    other = generator.submit(Request([7, 8, 9], 2))
    generator.step()
    assert [text.number for text in generator.scheduler.texts] == [numbers[0], other]
    generator.cancel(numbers[0])
    found = [event for _ in range(20) for event in generator.step()]
    firsts = {event.request: event.cached for event in reversed(found)}
    assert firsts[numbers[1]] == 16 and firsts[numbers[2]] == 80 and other in firsts
    assert not generator.active


def test_a_cache_that_is_too_small_for_all(pair: tuple[Any, Decoder], path: str) -> None:
    """Requests wait for blocks; known ones are forgotten; dropped ones give theirs back at once."""
    asked = [Request(ids, 10, seed=n) for n, ids in enumerate(prompts(30))]
    expected = ids_of(run(BatchGenerator(pair[1], 8, 128), asked))
    for slots in (3, 8):
        assert ids_of(run(BatchGenerator(pair[1], slots, 128, cache_tokens=128 + 16), asked)) == expected
    generator = BatchGenerator(pair[1], 4, 128, cache_tokens=128)
    draw, blocks = random.Random(6), generator.scheduler.blocks
    found: dict[int, list[int]] = {}
    dropped = set()
    for request in asked:
        generator.submit(request)
        for _ in range(2):
            for event in generator.step():
                found.setdefault(event.request, []).append(event.token)
        if draw.random() < 0.4:
            dropped.add(number := draw.randrange(len(asked)))
            generator.cancel(number)
            held = {block for text in generator.scheduler.texts for block in text.blocks}
            assert blocks.available == blocks.count - len(held)
    while generator.active:
        for event in generator.step():
            found.setdefault(event.request, []).append(event.token)
    assert blocks.available == blocks.count
    for number, tokens in found.items():
        assert tokens == expected[number][: len(tokens)]
        assert number in dropped or len(tokens) == len(expected[number])
    with pytest.raises(UserError, match="cache_tokens=100 must be at least 128"):
        BatchGenerator(pair[1], 4, 128, cache_tokens=100)


def test_prompts_are_scored(pair: tuple[Any, Decoder], path: str) -> None:
    theirs, ours = pair
    generator = BatchGenerator(ours, 4, 128, prompt_tokens=9, known_ids=140)
    asked = [
        Request(ids, number % 3, 0.0, top_logprobs=number % 4, prompt_logprobs=True)
        for number, ids in enumerate([*prompts(8), [*range(128)][:128]])
    ]
    asked[-1] = asked[-1]._replace(max_tokens=0)
    for request, events in zip(asked, run(generator, asked), strict=True):
        prompt, top = events[0].prompt, request.top_logprobs
        with torch.no_grad():
            logprobs = theirs(torch.tensor([request.ids])).logits[0].log_softmax(-1)
        assert prompt[0] == (None, ()) and len(prompt) == len(request.ids)
        for at, each in enumerate(prompt[1:], 1):
            assert each.logprob == pytest.approx(logprobs[at - 1, request.ids[at]].item(), abs=1e-4)
            best = logprobs[at - 1, :140].topk(top)
            assert [value for _, value in each.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert all(not event.prompt for event in events[1:])
        if request.max_tokens == 0:
            assert [(event.token, event.ended) for event in events] == [(NO_TOKEN, "length")]
            assert generator.generate([request])[0].ids == []
        else:
            assert len(events) == request.max_tokens and events[0].token == logprobs[-1, :140].argmax()
    with pytest.raises(UserError, match="max_tokens >= 1"):
        generator.submit(Request([1], 0))
    with pytest.raises(UserError, match="has 129 tokens"):
        generator.submit(Request([1] * 129, 0, prompt_logprobs=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 70), st.integers(0, 3)), max_size=40))
def test_blocks_are_counted_and_hold_what_they_are_known_for(steps: list[tuple[int, int, int]]) -> None:
    """Texts of two letters come and go; a block that is found holds the tokens that were written to it."""
    blocks, written, texts = Blocks(8), dict[int, list[int]](), list[list[int]]()
    for kind, length, variant in steps:
        if kind < 4:
            ids = [(n // (8 + 8 * variant)) % 2 for n in range(length)]
            found = blocks.find(ids)
            assert len(found.blocks) * BLOCK < length
            for n, block in enumerate(found.blocks):
                assert written[block] == ids[n * BLOCK : (n + 1) * BLOCK]
            others = {block for text in texts for block in text}
            more = blocks_of(length) - len(found.blocks)
            taken = blocks.take(found.blocks, more)
            assert (taken is None) == (more > 8 - len({*others, *found.blocks}))
            if taken is None:
                continue
            assert not others & {*taken[len(found.blocks) :]}
            texts.append(taken)
            end = found.end
            for n in range(len(found.blocks), length // BLOCK):
                written[taken[n]] = ids[n * BLOCK : (n + 1) * BLOCK]
                end = blocks.learn(end, written[taken[n]], taken[n])
        elif kind == 4 and texts:
            blocks.leave(texts.pop(length % len(texts)))
        elif kind == 5 and variant == 0:
            blocks.forget()
            assert blocks.find([0] * 70).blocks == []
        assert blocks.available == 8 - len({block for text in texts for block in text})
