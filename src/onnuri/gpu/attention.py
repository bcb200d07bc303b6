"""Attention's rate beside FlashAttention 2 and cuDNN, both inside PyTorch, and varlen on packed documents.

FLOPs are those of the pairs of positions that see each other: 4 a pair, head and element of a head, and
2.5 times that backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from onnuri.gpu.numbers import missing
from onnuri.gpu.stage import Result, Results, Settings, not_run, one_line
from onnuri.gpu.timing import forward_and_backward, normal
from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.backends import load

TOKENS = 16384
HEADS, KV_HEADS = 16, 8
"""Of the models with 300 million and with 1 billion parameters."""
HEAD_DIMS = (64, 128)
LENGTHS = (2048, 4096, 8192, 16384)
DOCUMENTS = 16
Attention = Callable[..., torch.Tensor]


def run(settings: Settings) -> Results:
    """Whole rows of each length, then packed documents, for both head sizes."""
    tokens = 64 if settings.rehearse else TOKENS
    lengths = (32,) if settings.rehearse else LENGTHS
    for size in HEAD_DIMS:
        for length in lengths:
            mask = attention_mask(tokens // length, length, device=settings.device)
            heads = make_heads(settings.device, tokens // length, length, size)
            facts = {"head_dim": size, "length": length, "documents": 0}
            yield from _measure(whole_rows(settings.device), heads, mask, facts, settings)
        mask = attention_mask(1, tokens, document_boundaries(tokens, DOCUMENTS), device=settings.device)
        heads = make_heads(settings.device, 1, tokens, size)
        facts = {"head_dim": size, "length": tokens, "documents": DOCUMENTS}
        yield from _measure(packed_documents(mask, settings.device), heads, mask, facts, settings)
    if settings.device == "cpu":
        for name in ("SDPA flash", "SDPA cudnn", "varlen"):
            yield not_run(f"attention {name}", "it needs an NVIDIA GPU")


def document_boundaries(tokens: int, documents: int) -> torch.Tensor:
    """Documents of unequal length: the last is three times the first."""
    weights = torch.linspace(1, 3, documents)
    ends = (weights.cumsum(0) / weights.sum() * tokens).round().int()
    return torch.cat([torch.zeros(1, dtype=torch.int32), ends])


def make_heads(device: str, batch: int, length: int, size: int) -> dict[str, torch.Tensor]:
    """Query [B, S, H, D], key and value [B, S, K, D]."""
    query = normal(device, batch, length, HEADS, size)
    key, value = (normal(device, batch, length, KV_HEADS, size) for _ in range(2))
    return {"query": query, "key": key, "value": value}


def whole_rows(device: str) -> dict[str, Attention]:
    """What is compared where each row is one document: (query, key, value, mask)."""
    found: dict[str, Attention] = {"triton": load("attention", "triton", device)["attention"]}
    if device == "cpu":
        return found | {"torch": load("attention", "torch", device)["attention"]}
    kernels = {"SDPA flash": SDPBackend.FLASH_ATTENTION, "SDPA cudnn": SDPBackend.CUDNN_ATTENTION}
    return found | {name: sdpa(kernel) for name, kernel in kernels.items()}


def sdpa(kernel: SDPBackend) -> Attention:
    """PyTorch's attention held to one of its kernels."""

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask
    ) -> torch.Tensor:
        del mask
        queries, keys, values = (each.transpose(1, 2) for each in (query, key, value))
        with sdpa_kernel(kernel):
            out = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2)

    return attention


def packed_documents(mask: AttentionMask, device: str) -> dict[str, Attention]:
    """What takes documents: backends of Onnuri, and PyTorch's function as its users call it."""
    found: dict[str, Attention] = {}
    for backend in ("triton", "varlen", "flash", "torch"):
        if not missing("attention", backend, device):
            found[backend] = load("attention", backend, device)["attention"]
    if device == "cuda":
        found["torch varlen_attn"] = varlen_attn(int(mask.longest))
    return found


def varlen_attn(longest: int) -> Attention:
    """`torch.nn.attention.varlen.varlen_attn` on one row, causal."""
    from torch.nn.attention import varlen

    known = signature(varlen.varlen_attn).parameters  # torch 2.11 knows no groups

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask
    ) -> torch.Tensor:
        boundaries = mask.device_cu_seqlens
        grouped: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in known else {}
        group = 1 if grouped else query.shape[2] // key.shape[2]
        keys, values = (
            each[0].repeat_interleave(group, 1) if group > 1 else each[0] for each in (key, value)
        )
        out: Any = varlen.varlen_attn(
            query[0], keys, values, boundaries, boundaries, longest, longest, window_size=(-1, 0), **grouped
        )
        attended: torch.Tensor = out[None]
        return attended

    return attention


def _measure(
    functions: dict[str, Attention],
    heads: dict[str, torch.Tensor],
    mask: AttentionMask,
    facts: dict[str, Any],
    settings: Settings,
) -> Iterator[Result]:
    lengths = [stop - start for start, stop in pairwise(mask.cu_seqlens.tolist())]
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    flops = 4.0 * pairs * HEADS * facts["head_dim"]
    for name, function in functions.items():
        result = {"measured": "attention", "implementation": name, **facts}
        try:
            forward, backward = forward_and_backward(function, {**heads, "mask": mask}, settings.device)
        except Exception as error:  # the others are measured all the same
            yield result | {"error": one_line(error)}
            continue
        yield result | {
            "forward_ms": forward,
            "backward_ms": backward,
            "forward_tflops": flops / forward / 1e9,
            "backward_tflops": 2.5 * flops / backward / 1e9,
        }
