"""What a GPU would be given: traced with fake CUDA tensors, without one."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime.jit import JITFunction

from onnuri.kernels.backends import load

PROGRAM = Path(__file__).with_name("fake_gpu.py")
ROWS = ("rms_norm", "rope", "swiglu")


def trace(*words: str) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAM), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("attention", ["triton", "varlen"])
@pytest.mark.parametrize("rows", ["torch", "triton"])
def test_a_compiled_block_is_one_graph(attention: str, rows: str) -> None:
    """For any number and lengths of documents; attention is one operator in it."""
    found = trace(f"attention={attention}", *(f"{name}={rows}" for name in ROWS))
    assert found["breaks"] == {}
    assert len(found["graphs"]) == 1, "all blocks and all batches share one graph"
    assert sum(f"{attention}_attention" in target for target in found["graphs"][0]) == 1


def test_a_break_would_be_seen() -> None:
    """PyTorch's own attention on a GPU goes over documents in Python."""
    found = trace("attention=torch")
    assert found["breaks"] or len(found["graphs"]) > 1


class Count(TorchDispatchMode):
    """Counts operators as they are dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[str(function)] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_the_loss_reads_nothing_back_from_the_device(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors without values, from which reading one is an error; also, what is computed how often."""
    monkeypatch.setattr(JITFunction, "run", lambda *_, **__: None)
    loss = load("linear_cross_entropy", backend, "cpu")["linear_cross_entropy"]
    with torch.device("meta"):
        hidden, weight = (torch.empty(n, 64, dtype=torch.bfloat16, requires_grad=True) for n in (96, 1000))
        targets = torch.empty(96, dtype=torch.int64)
        with pytest.raises(RuntimeError):
            bool((targets == 0).all())
        for chunks in (1, 3):
            if chunks > 1 and torch.__version__ < "2.12":
                pytest.skip("torch 2.11 cannot tell the shape of a product with a dtype of its own")
            size = -(-96 // chunks)
            with Count() as summed:
                (loss(hidden, weight, targets, size, reduction="sum") / 96).backward()
            with Count() as by_row:
                loss(hidden, weight, targets, size).backward(torch.empty(96))
            for count, products in ((summed, 3), (by_row, 4)):
                found = {name: number for name, number in count.calls.items() if "mm" in name}
                assert sum(found.values()) == chunks * products, found
                # Of several chunks, the gradient by the weight is summed within the product.
                assert found.get("aten.mm.dtype", 0) == (chunks > 1)
                assert found.get("aten.addmm.dtype_out", 0) == chunks - 1
