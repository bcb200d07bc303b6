"""Attention for CPUs: tiles and softmax in C++, matrix products by oneDNN's micro-kernels inside PyTorch.

PyTorch's own attention for CPUs takes two to three times as long (LAB.md). oneDNN compiles its
micro-kernels for the processor that it finds: AMX, AVX-512 BF16 or AVX2.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from onnuri.kernels.attention import attention as attention_by_pytorch
from onnuri.kernels.attention_mask import AttentionMask, check_boundaries
from onnuri.kernels.attention_operator import attention_operator, empty_log_sum
from onnuri.kernels.native.library import PRODUCTS, RELEASE, library, of_pytorch


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """See `operations.Attention`. Other dtypes, and odd head sizes, are left to PyTorch's own."""
    same_dtype = query.dtype == key.dtype == value.dtype
    if query.dtype not in PRODUCTS or not same_dtype or query.shape[-1] % 2:
        return attention_by_pytorch(query, key, value, mask)
    return _native_attention(query, key, value, mask)


def _call(
    tensors: list[torch.Tensor],
    log_sum: torch.Tensor,
    mask: AttentionMask,
    backward: bool,
) -> None:
    """Run the library on tensors [B, S, heads, D], in its order."""
    query, key = tensors[backward : backward + 2]
    flat = [tensor.flatten(0, 1) for tensor in tensors]
    strides = [stride for tensor in flat for stride in tensor.stride()[:2]]
    kv_heads, size = key.shape[2:]
    documents, threads = len(mask.cu_seqlens) - 1, torch.get_num_threads()
    sizes = [size, kv_heads, query.shape[2] // kv_heads, documents, mask.window, threads, query.itemsize]
    check_boundaries(mask.cu_seqlens, len(flat[0]))
    ends = mask.end_query.contiguous()
    if ends.dtype != torch.int32 or len(ends) != len(flat[0]):
        raise ValueError(f"end_query must be int32 [{len(flat[0])}], is {ends.dtype} {[*ends.shape]}")
    done = library().attention(
        (ctypes.c_int64 * len(sizes))(*sizes),
        ctypes.c_void_p(mask.cu_seqlens.data_ptr()),
        ctypes.c_void_p(ends.data_ptr() if mask.branched else None),
        ctypes.c_float(size**-0.5),
        of_pytorch(PRODUCTS[query.dtype]),
        of_pytorch(RELEASE),
        (ctypes.c_void_p * len(flat))(*(tensor.data_ptr() for tensor in flat)),
        (ctypes.c_int64 * len(strides))(*strides),
        ctypes.c_void_p(log_sum.data_ptr()),
        ctypes.c_int64(backward),
    )
    if not done:
        raise RuntimeError(
            "attention in C++ failed for want of memory or of a product; kernels.attention=torch"
        )


def _packed(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, with the elements of a head side by side and rows that follow one another."""
    side_by_side = tensor.stride(3) == 1 and tensor.stride(0) == tensor.stride(1) * tensor.shape[1]
    return tensor if side_by_side else tensor.contiguous()


def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *mask: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    out, log_sum = torch.empty(query.shape, dtype=query.dtype), empty_log_sum(query)
    _call([*map(_packed, (query, key, value)), out], log_sum, AttentionMask(*mask), backward=False)
    return out, log_sum


def _backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    *mask: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gradients = [torch.empty(x.shape, dtype=x.dtype) for x in (query, key, value)]
    inputs = map(_packed, (grad, query, key, value, out))
    _call([*inputs, *gradients], log_sum, AttentionMask(*mask), backward=True)
    return gradients[0], gradients[1], gradients[2]


_native_attention = attention_operator("native_attention", _forward, _backward, ("cpu",))
