"""What the compiler makes of the kernels, for GPUs that are not here."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from triton.runtime.jit import JITFunction

from onnuri.base.errors import UserError
from onnuri.kernels.linear_cross_entropy import Reduction
from onnuri.kernels.triton.linear_cross_entropy import linear_cross_entropy
from onnuri.kernels.triton.tiles import AttentionTiles, Tile, attention_tiles
from onnuri.kernels.verification.budgets import attention_launches, launches, violations
from onnuri.kernels.verification.compiled import Resources, compile_launch
from onnuri.kernels.verification.speed import peak_bytes
from tests.soak import SOAK

REPOSITORY = Path(__file__).parents[2]
BUDGETS = REPOSITORY / "tests" / "kernels" / "budgets.json"


@pytest.mark.timeout(1800)
def test_every_kernel_is_within_budget() -> None:
    """Compiled for A100 and H100 if they have changed since; `make soak` compiles all, for every GPU."""
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "kernel_budgets.py")]
    command += [] if SOAK else ["--changed", "--capabilities", "80", "90"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    assert "builds within budget" in result.stdout


def forward(tile: Tile, capability: int, dtype: torch.dtype = torch.bfloat16) -> Resources:
    return compile_launch(attention_launches(128, dtype, AttentionTiles(tile, tile, tile))[0], capability)


def found_wrong(name: str, resources: Resources) -> str:
    """The complaint about one build whose budget is what it takes itself."""
    return "\n".join(violations({name: resources}, {name: asdict(resources)}))


@pytest.mark.timeout(600)
def test_a_tile_that_spills_is_refused() -> None:
    resources = forward(Tile(128, 128, 4, 2), 90)
    assert resources.spills > 100
    assert f"{resources.spills} spills" in found_wrong("sm_90 attention forward 128", resources)


@pytest.mark.timeout(600)
def test_too_much_shared_memory_is_refused() -> None:
    resources = forward(Tile(64, 64, 4, 5), 120)
    assert "bytes of shared memory, over 100352" in found_wrong("sm_120 attention forward 128", resources)


@pytest.mark.timeout(600)
def test_products_without_matrix_units_are_refused() -> None:
    resources = forward(Tile(32, 32, 8, 1), 90, torch.float32)
    assert found_wrong("sm_90 attention forward 128", resources).endswith("no matrix instructions")
    assert not found_wrong("sm_90 attention forward 128 fp32", resources)


def test_growth_and_unknown_builds_are_refused() -> None:
    budget = next(iter(json.loads(BUDGETS.read_text()).values()))["builds"]
    name = "sm_90 attention forward 64"
    resources = Resources(**budget[name])
    assert not violations({name: resources}, {name: budget[name]})
    for field in ("registers", "shared_bytes", "matrix_instructions"):
        grown = replace(resources, **{field: getattr(resources, field) + 1})
        line = f"{name}: {field} {getattr(grown, field)}, budget {getattr(resources, field)}"
        assert violations({name: grown}, {name: budget[name]}) == [line]
    assert "not in the budget" in violations({name: resources}, {})[0]
    assert "no longer compiled" in violations({}, {name: budget[name]})[0]


def test_the_budget_holds_what_the_code_chooses() -> None:
    """All launches are in the budget, and an unknown GPU takes a known one's tiles."""
    for recorded in json.loads(BUDGETS.read_text()).values():
        for capability in (80, 90, 100, 120):
            assert {f"sm_{capability} {name}" for name in launches(capability)} <= recorded["builds"].keys()
    for unknown, known in {103: 100, 121: 120, 89: 120, 86: 120, 87: 80, 75: 80}.items():
        for size in (64, 128):
            expected = attention_tiles(known, size, torch.bfloat16)
            assert attention_tiles(unknown, size, torch.bfloat16) == expected
    assert attention_tiles(90, 96, torch.float16) == attention_tiles(90, 128, torch.bfloat16)
    with pytest.raises(UserError, match="head sizes up to 128, found 256; set kernels"):
        attention_tiles(90, 256, torch.bfloat16)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_logits_of_one_chunk_live_at_once(reduction: Reduction, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch's allocator sees around the launches, which compute nothing here."""
    monkeypatch.setattr(JITFunction, "run", lambda *_, **__: None)
    rows, vocabulary, chunk = 64, 16384, 8
    hidden, weight = (torch.ones(size, 4, requires_grad=True) for size in (rows, vocabulary))
    targets = torch.zeros(rows, dtype=torch.int64)

    def step(chunk_size: int) -> None:
        losses = linear_cross_entropy(hidden, weight, targets, chunk_size, reduction=reduction)
        torch.autograd.grad(losses.sum(), (hidden, weight))

    logits, gradient = 4 * rows * vocabulary, 4 * (weight.numel() + hidden.numel())
    assert peak_bytes(lambda: step(rows)) >= logits
    assert peak_bytes(lambda: step(chunk)) <= logits * chunk // rows + 3 * gradient
