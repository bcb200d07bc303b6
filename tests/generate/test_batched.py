"""Texts of many requests at once: the same as Hugging Face's, as training's, and as one at a time."""

from __future__ import annotations

import copy
import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.generate import forward
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.cache import cache_bytes
from onnuri.generate.events import Completion, Event
from onnuri.generate.sampling import Request, uniforms
from onnuri.hf.weights import load_decoder
from onnuri.kernels import KernelConfig, choose
from onnuri.kernels.native.decode import compiled
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder

VOCABULARY = 160
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Decoder]:
    """The same weights in a Hugging Face model and in ours; with qk_norm and tied, and without."""
    torch.manual_seed(1)
    qwen = request.param == "qwen3"
    config = Qwen3Config(**SHAPE, tie_word_embeddings=True) if qwen else LlamaConfig(**SHAPE)
    theirs: PreTrainedModel = (Qwen3ForCausalLM if qwen else LlamaForCausalLM)(config).eval()
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    ours = load_decoder(folder)
    assert isinstance(ours, Decoder) and ours.config.qk_norm == qwen
    return theirs, ours


@pytest.fixture(scope="module")
def model() -> Decoder:
    """With opinions."""
    config = ModelConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        intermediate_size=48,
        init_std=0.3,
        embedding_init_std=0.3,
        residual_init="full",
    )
    return Decoder(config)


def prompts(count: int, longest: int = 30) -> list[list[int]]:
    draw = random.Random(0)
    return [[draw.randrange(VOCABULARY) for _ in range(draw.randint(1, longest))] for _ in range(count)]


def sampled(count: int, **options: Any) -> list[Request]:
    """Requests of many kinds."""
    kinds: list[dict[str, Any]] = [{}, {"top_p": 0.7}, {"top_k": 5}, {"min_p": 0.1}, {"temperature": 0.0}]
    kinds += [{"temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.02}]
    return [
        Request(ids, 4 + number % 9, **{**kinds[number % len(kinds)], "seed": number // 2, **options})
        for number, ids in enumerate(prompts(count))
    ]


def ids_of(found: list[Completion]) -> list[list[int]]:
    return [each.ids for each in found]


def training_logprobs(model: Decoder, prompt: list[int], ids: list[int]) -> torch.Tensor:
    whole = torch.tensor([prompt + ids])
    with torch.no_grad():
        losses = model(whole[:, :-1], whole[:, 1:])
    return -losses[0, len(prompt) - 1 :]


def test_greedy_equals_hugging_face(pair: tuple[Any, Decoder]) -> None:
    theirs, ours = pair
    asked = [Request(ids, 12, temperature=0.0) for ids in prompts(50)]
    expected = []
    for request in asked:
        ids = torch.tensor([request.ids])
        out = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=-1,
            pad_token_id=0,
        )
        expected.append(out[0, len(request.ids) :].tolist())
    assert len({*map(tuple, expected)}) > 40, "a model that always writes the same would show nothing"
    for slots in (1, 3, 8):
        found = BatchGenerator(ours, slots, 64).generate(asked)
        assert ids_of(found) == expected
        assert {each.ended for each in found} == {"length"}


@pytest.mark.parametrize("native", [False, True])
def test_a_text_depends_on_its_request_alone(model: Decoder, native: bool) -> None:
    """Alone, in batches, in another order; log-probabilities are those of the training forward."""
    kernels = choose(KernelConfig(), "cpu", torch.float32) if native else model.kernels
    other = Decoder(model.config, kernels)
    asked = sampled(24)
    alone = [BatchGenerator(other, 1, 64).generate([request])[0] for request in asked]
    assert len({tuple(each.ids) for each in alone}) > 20
    for slots in (3, 8, 30):
        found = BatchGenerator(other, slots, 64).generate(asked)
        assert ids_of(found) == ids_of(alone)
        backwards = BatchGenerator(other, slots, 64).generate(asked[::-1])[::-1]
        assert ids_of(backwards) == ids_of(alone)
        for request, each in zip(asked, found, strict=True):
            expected = training_logprobs(other, list(request.ids), each.ids)
            torch.testing.assert_close(torch.tensor(each.logprobs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_in_one_call(
    pair: tuple[Any, Decoder], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In C++ the hidden states and the cache are those of PyTorch's operations, to rounding."""
    if not compiled():
        pytest.skip("the native kernels are not compiled")
    ours = copy.deepcopy(pair[1]).to(dtype)
    asked = [Request(ids, 6, temperature=0.0) for ids in prompts(11)]
    threads = torch.get_num_threads()
    native = BatchGenerator(ours, 11, 64)
    assert native.forward.decode is not None
    try:
        torch.set_num_threads(2)
        found = native.generate(asked)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(forward, "usable", lambda *_: False)
    plain = BatchGenerator(ours, 11, 64)
    assert plain.forward.decode is None
    expected = plain.generate(asked)
    tolerance = 1e-5 if dtype == torch.float32 else 0.15
    for one, two in zip(found, expected, strict=True):
        same = next((n for n in range(6) if one.ids[n] != two.ids[n]), 6)
        assert same == 6 or dtype == torch.bfloat16
        assert one.logprobs[:same] == pytest.approx(two.logprobs[:same], abs=tolerance)
    assert sum(one.ids == two.ids for one, two in zip(found, expected, strict=True)) > 5


def test_a_text_goes_on_as_it_began(model: Decoder) -> None:
    """The position in the text decides what is drawn, wherever the prompt ends."""
    generator = BatchGenerator(model, 2, 64)
    whole = generator.generate([Request([3, 4], 20, seed=7)])[0]
    rest = generator.generate([Request([3, 4, *whole.ids[:8]], 12, seed=7)])[0]
    assert rest.ids == whole.ids[8:]


def test_draws_follow_the_distribution_that_is_reported(model: Decoder) -> None:
    """First tokens of many seeds: how often each comes, and what is reported of it."""
    options: dict[str, Any] = {"temperature": 1.7, "top_k": 6, "top_p": 0.8}
    generator = BatchGenerator(model, 500, 8, known_ids=120)
    found = generator.generate(Request([5, 6, 7], 1, seed=seed, **options) for seed in range(2000))
    with torch.no_grad():
        logits = model(torch.tensor([[5, 6, 7]]))[0, -1, :120] / 1.7
    likeliest = logits.topk(6)
    shares = likeliest.values.softmax(-1)
    kept = shares.cumsum(-1) - shares < 0.8
    assert 2 < kept.sum() < 6, "both limits count"
    expected = dict(
        zip(likeliest.indices[kept].tolist(), (shares[kept] / shares[kept].sum()).tolist(), strict=True)
    )
    counts = Counter(each.ids[0] for each in found)
    assert counts.keys() == expected.keys()
    for token, share in expected.items():
        assert counts[token] / 2000 == pytest.approx(share, abs=0.04)
    for each in found[:50]:
        assert each.sampling_logprobs[0] == pytest.approx(math.log(expected[each.ids[0]]), abs=1e-5)
        plain = training_logprobs(model, [5, 6, 7], each.ids)[0].item()
        assert each.logprobs[0] == pytest.approx(plain, abs=1e-5)


def test_a_wide_nucleus_is_exact(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Top-p over more tokens than are looked at first."""
    asked = sampled(12, top_p=0.97, temperature=3.0, top_k=0, min_p=0.0)
    expected = BatchGenerator(model, 4, 64).generate(asked)
    monkeypatch.setattr("onnuri.generate.sampling.LIKELIEST", 3)
    assert BatchGenerator(model, 4, 64).generate(asked) == expected


def test_numbers_are_even_and_independent() -> None:
    drawn = torch.from_numpy(
        uniforms([seed for seed in range(-50, 50) for _ in range(200)], [*range(200)] * 100)
    )
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = torch.histc(drawn, 20, 0, 1)
    assert ((counts - 1000).square() / 1000).sum() < 44  # chi-square of 19 degrees, p = 0.001
    table = drawn.view(100, 200)
    for one, two in ((table[:-1], table[1:]), (table[:, :-1], table[:, 1:])):
        assert abs(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]) < 0.03


def test_ends(model: Decoder) -> None:
    generator = BatchGenerator(model, 3, 32, known_ids=100)
    free = generator.generate([Request([1, 2, 3], 50, seed=3)])[0]
    assert (len(free.ids), free.ended) == (29, "length"), "the context is full"
    assert max(free.ids) < 100
    stop = free.ids[6]
    first = free.ids.index(stop)
    asked = [
        Request([1, 2, 3], 50, seed=3, stops=frozenset(stops)) for stops in ((stop, 157), free.ids[:1])
    ]
    short, one = generator.generate(asked)
    assert (short.ids, short.ended) == (free.ids[: first + 1], "stop")
    assert short.logprobs == pytest.approx(free.logprobs[: first + 1], abs=1e-5)
    assert (one.ids, one.ended) == (free.ids[:1], "stop")
    last = generator.generate([Request([1] * 31, 9), Request([1, 2, 3], 1, stops=frozenset())])
    assert [(len(each.ids), each.ended) for each in last] == [(1, "length")] * 2
    both = generator.generate([Request([1, 2, 3], 7, seed=3, stops=frozenset([stop]))])[0]
    assert both.ended == "stop", "a stop that is the last token that fits is a stop"
    assert generator.generate([]) == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request([], 5), "is empty"),
        (Request([1] * 32, 5), "has 32 tokens, the model reads at most 31"),
        (Request([VOCABULARY], 5), "id beyond the 160 of the model"),
        (Request([-1], 5), "id beyond"),
        (Request([1], 0), "max_tokens >= 1"),
        (Request([1], 5, temperature=float("nan")), "temperature >= 0"),
        (Request([1], 5, top_p=0.0), "0 < top_p <= 1"),
        (Request([1], 5, min_p=1.5), "0 <= min_p <= 1"),
        (Request([1], 5, top_k=-1), "top_k >= 0"),
    ],
)
def test_requests_that_cannot_be_continued(model: Decoder, request_: Request, message: str) -> None:
    generator = BatchGenerator(model, 2, 32)
    with pytest.raises(UserError, match=message) as caught:
        generator.generate([Request([1], 1), request_])
    assert str(caught.value).startswith("request 1: ") and "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"^(the|needed:).*{message}"):
        generator.generate([request_])
    assert not generator.active, "nothing of it stays"
    with pytest.raises(UserError, match="slots >= 1"):
        BatchGenerator(model, 0, 32)


def test_streams_that_are_left_and_requests_that_come_later(model: Decoder) -> None:
    generator = BatchGenerator(model, 2, 64)
    asked = sampled(6)
    expected = generator.generate(asked)
    events = generator.stream(asked)
    assert isinstance(next(events), Event)
    with pytest.raises(RuntimeError, match="other requests"):
        generator.stream(asked)
    events.close()  # type: ignore[attr-defined]
    assert not generator.active
    found: dict[int, list[int]] = {}
    numbers = []
    for number, request in enumerate(asked):
        numbers.append(generator.submit(request))
        if number == 3:
            generator.cancel(numbers[1])
            generator.cancel(numbers[3])
        for event in generator.step():
            found.setdefault(event.request, []).append(event.token)
    while generator.active:
        for event in generator.step():
            found.setdefault(event.request, []).append(event.token)
    for number in (0, 2, 4, 5):
        assert found[numbers[number]] == expected[number].ids
    assert len(found[numbers[1]]) < len(expected[1].ids) and numbers[3] not in found
    assert generator.step() == []


def test_the_cache_has_the_size_that_was_computed(model: Decoder) -> None:
    cache = BatchGenerator(model, 3, 50).forward.cache
    stored = sum(each.untyped_storage().nbytes() for each in (*cache.keys, *cache.values))
    assert stored == cache_bytes(model.config, 3 * 64, torch.float32) == 2 * 2 * 2 * 3 * 64 * 16 * 4
    half = BatchGenerator(Decoder(model.config).bfloat16(), 3, 50, cache_tokens=70).forward.cache
    stored = sum(each.untyped_storage().nbytes() for each in (*half.keys, *half.values))
    assert stored == cache_bytes(model.config, 64, torch.bfloat16)


def test_half_precision(model: Decoder) -> None:
    """Log-probabilities stay those of the training forward, within the rounding of bf16 logits."""
    half = Decoder(model.config).bfloat16()
    asked = sampled(8)
    for request, each in zip(asked, BatchGenerator(half, 4, 64).generate(asked), strict=True):
        expected = training_logprobs(half, list(request.ids), each.ids)
        torch.testing.assert_close(torch.tensor(each.logprobs), expected, atol=0.15, rtol=0)


def test_logits_that_are_not_finite(model: Decoder) -> None:
    broken = Decoder(model.config)
    with torch.no_grad():
        broken.norm.weight[3] = float("nan")
    generator = BatchGenerator(broken, 2, 16)
    for temperature in (0.0, 1.0):
        with pytest.raises(FloatingPointError, match="not finite after 2 tokens"):
            generator.generate([Request([1, 2], 4, temperature)])
    assert not generator.active


def test_sharded_weights_are_gathered_layer_by_layer(model: Decoder) -> None:
    """And a rank with less to do enters the same contexts, in the same order, until all are done."""
    names = {module: name for name, module in model.named_modules()}
    order: list[str] = []

    @contextmanager
    def gather(module: nn.Module) -> Iterator[None]:
        assert not torch.is_inference_mode_enabled()
        order.append(f"+{names[module]}")
        yield
        order.append(f"-{names[module]}")

    one_step = ["+embedding", "-embedding", "+blocks.0", "-blocks.0", "+blocks.1", "-blocks.1"]
    one_step += ["+norm", "+embedding", "-embedding", "-norm"]
    asked = [Request([1, 2], 5, seed=1), Request([3], 2), Request([4], 3)]
    mine = BatchGenerator(model, 2, 64, gather=gather)
    found = mine.generate(asked)
    assert found == BatchGenerator(model, 2, 64).generate(asked)
    assert order == 5 * one_step
    order.clear()
    actives = iter([True] * 5 + [False])
    answers = []

    def any_active(own: bool) -> bool:
        answers.append(own)
        return next(actives)

    less = BatchGenerator(model, 2, 64, gather=gather, any_active=any_active)
    assert less.generate(asked[1:2])[0].ids == found[1].ids
    assert order == 5 * one_step and answers == [True, True, False, False, False, False]
    idle = BatchGenerator(model, 2, 64, gather=gather, any_active=lambda own: own or len(order) < 50)
    order.clear()
    assert idle.generate([]) == [] and order == 5 * one_step


def test_weights_are_those_of_the_moment(model: Decoder) -> None:
    """A training engine changes them between rollouts, and trains on after one."""
    trained = Decoder(model.config)
    generator = BatchGenerator(trained, 2, 64)
    asked = sampled(4)
    before = generator.generate(asked)
    ids = torch.tensor([[1, 2, 3, 4]])
    trained(ids, ids.roll(-1, 1)).sum().backward()
    with torch.no_grad():
        for parameter in trained.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.05 * parameter.grad)
    generator.clear_prefixes()
    after = generator.generate(asked)
    assert after != before
    assert after == BatchGenerator(trained, 2, 64).generate(asked)
