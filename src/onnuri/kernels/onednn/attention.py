"""Attention for CPUs: tiles and softmax in C++, matrix products by oneDNN's micro-kernels inside PyTorch.

PyTorch's own attention for CPUs takes two to three times as long (LAB.md). oneDNN compiles its
micro-kernels for the processor that it finds: AMX, AVX-512 BF16 or AVX2.
"""

from __future__ import annotations

import ctypes
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import torch

from onnuri.kernels.attention import attention as attention_by_pytorch
from onnuri.kernels.attention_operator import attention_operator, empty_log_sum

PRODUCTS = {
    torch.bfloat16: "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb",
    torch.float32: "_ZN2at6native7cpublas6brgemmEllllllbPKfS3_Pfb",
}
"""at::native::cpublas::brgemm of ATen/native/CPUBlas.h, by the names that the linker gives it."""
RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"


@cache
def _load(name: str) -> Any:
    """Our library, with this extension of its name, or PyTorch's by its path."""
    return ctypes.CDLL(name)


def _own() -> Any:
    return _load(str(Path(__file__).with_name(f"_attention{sysconfig.get_config_var('EXT_SUFFIX')}")))


def _of_pytorch(name: str) -> ctypes.c_void_p:
    library = _load(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))
    return ctypes.cast(getattr(library, name), ctypes.c_void_p)


@cache
def missing(dtype: torch.dtype) -> str:
    """Why it cannot run here with such numbers, or nothing."""
    if dtype not in PRODUCTS:
        return f"it takes bf16 and fp32, not {str(dtype).removeprefix('torch.')}"
    try:
        library, product, release = _own(), _of_pytorch(PRODUCTS[dtype]), _of_pytorch(RELEASE)
    except OSError:
        return "it was not compiled when the package was installed (that takes a C++ compiler)"
    except AttributeError:
        return f"torch {torch.__version__} has no oneDNN micro-kernels"
    if not library.product_works(product, release, ctypes.c_int64(dtype.itemsize)):
        return "oneDNN has no micro-kernel for this processor"
    return ""


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor | None = None,
    window: int = 0,
) -> torch.Tensor:
    """See `onnuri.kernels.attention`. Other dtypes, and odd head sizes, are left to PyTorch's own."""
    same_dtype = query.dtype == key.dtype == value.dtype
    if query.dtype not in PRODUCTS or not same_dtype or query.shape[-1] % 2:
        return attention_by_pytorch(query, key, value, cu_seqlens, window)
    if cu_seqlens is None:
        batch, length = query.shape[:2]
        cu_seqlens = torch.arange(0, (batch + 1) * length, length, dtype=torch.int32)
    out: torch.Tensor = _onednn_attention(query, key, value, cu_seqlens, window)[0]
    return out


def _call(
    tensors: list[torch.Tensor],
    log_sum: torch.Tensor,
    cu_seqlens: torch.Tensor,
    window: int,
    backward: bool,
) -> None:
    """Run the library on tensors [B, S, heads, D], in its order."""
    query, key = tensors[backward : backward + 2]
    flat = [tensor.flatten(0, 1) for tensor in tensors]
    strides = [stride for tensor in flat for stride in tensor.stride()[:2]]
    kv_heads, size = key.shape[2:]
    documents, threads = len(cu_seqlens) - 1, torch.get_num_threads()
    sizes = [size, kv_heads, query.shape[2] // kv_heads, documents, window, threads, query.itemsize]
    borders = cu_seqlens.to(torch.int32).contiguous()
    if borders[0] != 0 or borders[-1] != len(flat[0]) or bool((borders.diff() < 0).any()):
        raise ValueError(f"cu_seqlens must rise from 0 to {len(flat[0])}, is {borders.tolist()}")
    _own().attention(
        (ctypes.c_int64 * len(sizes))(*sizes),
        ctypes.c_void_p(borders.data_ptr()),
        ctypes.c_float(size**-0.5),
        _of_pytorch(PRODUCTS[query.dtype]),
        _of_pytorch(RELEASE),
        (ctypes.c_void_p * len(flat))(*(tensor.data_ptr() for tensor in flat)),
        (ctypes.c_int64 * len(strides))(*strides),
        ctypes.c_void_p(log_sum.data_ptr()),
        ctypes.c_int64(backward),
    )


def _packed(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, with the numbers of a head side by side and rows that follow one another."""
    side_by_side = tensor.stride(3) == 1 and tensor.stride(0) == tensor.stride(1) * tensor.shape[1]
    return tensor if side_by_side else tensor.contiguous()


def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seqlens: torch.Tensor, window: int
) -> tuple[torch.Tensor, torch.Tensor]:
    out, log_sum = torch.empty(query.shape, dtype=query.dtype), empty_log_sum(query)
    _call([*map(_packed, (query, key, value)), out], log_sum, cu_seqlens, window, backward=False)
    return out, log_sum


def _backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    cu_seqlens: torch.Tensor,
    window: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gradients = [torch.empty(x.shape, dtype=x.dtype) for x in (query, key, value)]
    inputs = map(_packed, (grad, query, key, value, out))
    _call([*inputs, *gradients], log_sum, cu_seqlens, window, backward=True)
    return gradients[0], gradients[1], gradients[2]


_onednn_attention = attention_operator("onednn_attention", _forward, _backward)
