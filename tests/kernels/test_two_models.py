"""Two models by two backends in one process: neither changes the other, compiled or not."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from onnuri.kernels import REFERENCE, KernelConfig, choose
from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.native.library import missing
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Block, Decoder
from onnuri.model.initialise import initialise
from onnuri.train.compile import compile_blocks

CONFIG = ModelConfig(256, 64, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=16, intermediate_size=128)
BACKENDS = ("reference", "torch" if missing(torch.float32) else "auto")


def make(backend: str, compiled: bool) -> Decoder:
    model = Decoder(CONFIG, choose(KernelConfig(backend), "cpu", torch.float32, compiled))
    initialise(model, seed=0)
    if compiled:
        compile_blocks(model, Block)
    return model


def step(model: Decoder, number: int) -> list[torch.Tensor]:
    """Loss and gradients of a batch; batches differ in the number and lengths of their documents."""
    tokens = torch.randint(256, (2, 48), generator=torch.Generator().manual_seed(number))
    mask = attention_mask(2, 48, torch.tensor([0, *range(5, 5 + number), 48, 96]))
    loss = model(tokens, tokens.roll(-1, 1), mask, reduction="sum") / 96
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.fixture(autouse=True)
def no_code_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are traced and differentiated as ever, but run operator by operator."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


@pytest.mark.parametrize("compiled", [False, True])
def test_each_is_as_if_it_were_alone(compiled: bool) -> None:
    torch._dynamo.reset()
    alone = []
    for backend in BACKENDS:
        model = make(backend, compiled)
        alone.append([step(model, number) for number in range(1, 4)])
    torch._dynamo.reset()
    counters.clear()
    models = [make(backend, compiled) for backend in BACKENDS]
    together = [[step(model, number) for model in models] for number in range(1, 4)]
    for first, second in zip(range(3), together, strict=True):
        for mine, model in zip(alone, second, strict=True):
            assert all(map(torch.equal, mine[first], model))
    assert not all(map(torch.equal, *(each[0] for each in alone))), "both take the same backend"
    assert not counters["graph_break"]
    # One graph for the blocks of each; the loss of neither is PyTorch's own.
    assert counters["stats"]["unique_graphs"] == (2 if compiled else 0)


def test_the_loss_is_compiled_for_the_model_that_asked() -> None:
    """Of two models by PyTorch's own kernels, one compiled."""
    torch._dynamo.reset()
    plain, compiled = (
        choose(KernelConfig("torch"), "cpu", torch.float32, compiled) for compiled in (False, True)
    )
    assert plain == REFERENCE
    hidden, weight = torch.randn(8, 16), torch.randn(32, 16)
    targets = torch.arange(8)

    def graphs(loss: Callable[..., torch.Tensor]) -> int:
        counters.clear()
        loss(hidden, weight, targets, reduction="sum")
        return int(counters["stats"]["unique_graphs"])

    found = [graphs(each.linear_cross_entropy) for each in (compiled, plain, compiled)]
    assert found == [1, 0, 0]


def test_the_config_needs_no_torch() -> None:
    program = (
        "import sys; from onnuri.kernels import KernelConfig, config; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
