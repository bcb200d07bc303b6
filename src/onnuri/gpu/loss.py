"""The loss of a large vocabulary against the matrix products that it cannot do without.

Forward and backward pass together, summed as training does. Counted are 6 FLOPs a token, hidden unit and
vocabulary entry: the logits, the gradient of the hidden states, the gradient of the matrix. The ceiling is
the rate of those three products alone, at the shapes of one chunk, measured here: before and after the
implementations and for as long, as a GPU under its power limit runs 10 % faster for its first 100 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import Any

import torch

from onnuri.gpu.numbers import missing
from onnuri.gpu.stage import Results, Settings, not_run, one_line
from onnuri.gpu.timing import milliseconds, normal
from onnuri.kernels.backends import load
from onnuri.kernels.linear_cross_entropy import GPU_CHUNK_LOGITS, IGNORE_INDEX

TOKENS, HIDDEN = 16384, 2048
VOCABULARIES = (131072, 32768)
CHUNKS = (0, 2048, 8192)
"""0: what is taken where nothing is asked for, 4,096 rows at a vocabulary of 131,072."""
MEASURED_MS = 400
"""A call takes tens of milliseconds."""


def run(settings: Settings) -> Results:
    """The ceiling, then each implementation by chunk, for both vocabularies."""
    tokens, hidden_size = (64, 32) if settings.rehearse else (TOKENS, HIDDEN)
    vocabularies, chunks = ((256,), (0, 32)) if settings.rehearse else (VOCABULARIES, CHUNKS)
    device = settings.device
    for vocabulary in vocabularies:
        facts = {"tokens": tokens, "hidden": hidden_size, "vocabulary": vocabulary}
        rows = min(tokens, max(256, GPU_CHUNK_LOGITS // vocabulary))
        before = products(rows, hidden_size, vocabulary, device)
        hidden = normal(device, tokens, hidden_size)
        weight = (normal(device, vocabulary, hidden_size) * hidden_size**-0.5).detach().requires_grad_()
        targets = torch.randint(vocabulary, (tokens,), device=device)
        for name, function in implementations(device, not settings.rehearse).items():
            for chunk in chunks if name == "triton" else chunks[:1]:
                result = {"measured": "loss", "implementation": name, "chunk": chunk, **facts}
                work = partial(gradients, function, hidden, weight, targets, chunk)
                try:
                    found = milliseconds(work, device, MEASURED_MS)
                except Exception as error:  # out of memory with large chunks
                    torch.cuda.empty_cache()
                    yield result | {"error": one_line(error)}
                    continue
                flops = 6.0 * tokens * hidden_size * vocabulary
                yield result | {"ms": found, "tflops": flops / found / 1e9}
        after = products(rows, hidden_size, vocabulary, device)
        ceiling = {name: mean((before[name], after[name])) for name in before}
        yield {"measured": "loss ceiling", **facts, "rows": rows, **ceiling}
    if missing("linear_cross_entropy", "liger", device):
        yield not_run("loss by Liger", missing("linear_cross_entropy", "liger", device))
    if settings.rehearse:
        yield not_run("loss compiled by Inductor", "a rehearsal does not wait for it")


def gradients(function: Callable[..., Any], *inputs: Any) -> None:
    """The sum of the losses and its gradients."""
    hidden, weight, *_ = inputs
    torch.autograd.grad(function(*inputs), (hidden, weight))


def implementations(device: str, compiled: bool) -> dict[str, Callable[..., torch.Tensor]]:
    """(hidden, weight, targets, chunk) -> the summed loss; PyTorch's own compiled, if asked for."""
    found: dict[str, Callable[..., torch.Tensor]] = {}
    for backend in ("triton", "torch"):
        function = load("linear_cross_entropy", backend, device, compiled)["linear_cross_entropy"]
        found[backend] = partial(function, reduction="sum")
    if not missing("linear_cross_entropy", "liger", device):
        found["Liger's own"] = liger_loss
    return found


def liger_loss(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Liger's fused loss, as its users call it: a mean over rows, chunks of its own."""
    del chunk
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

    loss: torch.Tensor = LigerFusedLinearCrossEntropyFunction.apply(
        hidden, weight, targets, None, None, IGNORE_INDEX
    )[0]
    return loss


def products(rows: int, hidden_size: int, vocabulary: int, device: str) -> dict[str, float]:
    """The rate of the three products of a chunk in bf16, and of each."""
    hidden, weight = (normal(device, n, hidden_size).detach() for n in (rows, vocabulary))
    dlogits = normal(device, rows, vocabulary).detach()
    times = {
        "logits": milliseconds(lambda: hidden @ weight.mT, device, MEASURED_MS),
        "grad_hidden": milliseconds(lambda: dlogits @ weight, device, MEASURED_MS),
        "grad_weight": milliseconds(lambda: dlogits.mT @ hidden, device, MEASURED_MS),
    }
    flops = 2.0 * rows * hidden_size * vocabulary
    rates = {f"{name}_tflops": flops / found / 1e9 for name, found in times.items()}
    return {"tflops": 3 * flops / sum(times.values()) / 1e9, **rates}
