"""The compiled library, and oneDNN's micro-kernels inside PyTorch."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch

PRODUCTS = {
    torch.bfloat16: "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb",
    torch.float32: "_ZN2at6native7cpublas6brgemmEllllllbPKfS3_Pfb",
}
"""at::native::cpublas::brgemm of ATen/native/CPUBlas.h, by the names that the linker gives it."""
VERSION = 2
"""Of the arguments of our functions: `kernels_version` in attention.cpp, to be raised with it."""
RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"


class Outdated(OSError):
    """The library's functions take other arguments: a checkout was updated and not installed again."""


@cache
def library() -> Any:
    """Ours. Raises OSError where it was not compiled, Outdated where from other sources."""
    found = ctypes.CDLL(str(Path(__file__).with_name(f"_kernels.{platform.machine()}.so")))
    if not hasattr(found, "kernels_version") or found.kernels_version() != VERSION:
        raise Outdated
    return found


@cache
def of_pytorch(name: str) -> ctypes.c_void_p:
    """A function of PyTorch's library. Raises AttributeError where it has none of that name."""
    path = Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"
    return ctypes.cast(getattr(ctypes.CDLL(str(path)), name), ctypes.c_void_p)


@cache
def missing(dtype: torch.dtype) -> str:
    """Why nothing of this folder can run here with this dtype, or nothing."""
    if dtype not in PRODUCTS:
        return f"it takes bf16 and fp32, not {str(dtype).removeprefix('torch.')}"
    try:
        found, product, release = library(), of_pytorch(PRODUCTS[dtype]), of_pytorch(RELEASE)
    except Outdated:
        return "it was compiled for another version of Onnuri; install the package again"
    except OSError:
        return "it was not compiled when the package was installed (that takes a C++ compiler)"
    except AttributeError:
        return f"torch {torch.__version__} has no oneDNN micro-kernels"
    if not found.product_works(product, release, ctypes.c_int64(dtype.itemsize)):
        return "oneDNN has no micro-kernel for this processor"
    return ""
