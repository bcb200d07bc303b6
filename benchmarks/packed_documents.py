"""How much faster is a step when attention keeps to packed documents by boundaries, not by a dense mask?

    python benchmarks/packed_documents.py --threads 2

Forward and backward pass of one model (8 layers, 512 wide, 8 heads over 4, vocabulary 16,384) in bf16,
blocks compiled, on sequences of 2,048 tokens packed with documents of 256 in the mean (exponential).
"dense mask" is PyTorch's attention with a boolean mask [B, 1, S, S]; all take turns on the same batches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median

import torch
import torch.nn.functional as F

from onnuri.base.allocator import keep_freed_memory
from onnuri.kernels import KernelConfig, choose
from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.backends import load
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Block, Decoder
from onnuri.model.initialise import initialise
from onnuri.train.compile import compile_blocks


def draw_boundaries(random: Random, rows: int, length: int, mean: int) -> list[int]:
    """Where documents begin in rows x length positions, and the number of positions."""
    boundaries, place = set(range(0, rows * length + 1, length)), 0
    while place < rows * length:
        boundaries.add(place)
        place += 1 + int(random.expovariate(1 / (mean - 1)))
    return sorted(boundaries)


def dense_mask(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: AttentionMask | None = None
) -> torch.Tensor:
    """Attention with all pairs of positions computed; `mask` is made once a batch."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[0], enable_gqa=True)
    return out.transpose(1, 2)


mask: list[torch.Tensor] = []


def make_mask(boundaries: list[int], rows: int, length: int) -> None:
    """True where a position attends."""
    document = torch.bucketize(torch.arange(rows * length), torch.tensor(boundaries), right=True)
    document = document.view(rows, length)
    same = document[:, :, None] == document[:, None, :]
    mask[:] = [(same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]]


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--mean", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    config = ModelConfig(
        hidden_size=512,
        num_layers=8,
        num_heads=8,
        num_kv_heads=4,
        head_dim=64,
        intermediate_size=1536,
        vocab_size=16384,
    )
    attentions: dict[str, Callable[..., torch.Tensor]] = {
        "native, by document": load("attention", "native", "cpu")["attention"],
        "PyTorch, by document": load("attention", "torch", "cpu")["attention"],
        "PyTorch, dense mask": dense_mask,
    }
    kernels = choose(KernelConfig("torch", linear_cross_entropy="native"), "cpu")
    models = {}
    for name, attention in attentions.items():
        models[name] = Decoder(config, replace(kernels, attention=attention))
        initialise(models[name], 0)
        models[name].bfloat16()
        compile_blocks(models[name], Block)
    random, losses = Random(0), {}
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(options.rounds + 2):
        boundaries = draw_boundaries(random, options.rows, options.length, options.mean)
        tokens = torch.randint(config.vocab_size, (options.rows, options.length))
        make_mask(boundaries, options.rows, options.length)
        documents = attention_mask(options.rows, options.length, torch.tensor(boundaries))
        for name, model in models.items():
            start = time.perf_counter()
            loss = model(tokens, tokens.roll(-1, 1), documents, reduction="sum") / tokens.numel()
            loss.backward()
            times[name] += [time.perf_counter() - start] if number >= 2 else []
            losses[name] = loss.item()
            model.zero_grad()
    tokens_a_step, slowest = options.rows * options.length, median(times["PyTorch, dense mask"])
    print(f"{'':24}{'s':>8}{'tokens/s':>10}{'speed':>8}{'loss':>10}")
    for name, found in times.items():
        middle = median(found)
        speed = f"{tokens_a_step / middle:10,.0f}{slowest / middle:8.2f}"
        print(f"{name:24}{middle:8.2f}{speed}{losses[name]:10.4f}")


if __name__ == "__main__":
    main()
