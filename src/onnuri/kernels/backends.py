"""Which implementation stands behind each operation. Until `use` is called it is PyTorch's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from onnuri.errors import UserError
from onnuri.kernel_config import BACKENDS, KernelConfig
from onnuri.kernels import flash
from onnuri.kernels.attention import attention_by_definition
from onnuri.kernels.linear_cross_entropy import linear_cross_entropy_by_definition

FUNCTIONS = {
    "attention": ("attention",),
    "rms_norm": ("rms_norm", "add_rms_norm"),
    "rope": ("apply_rope",),
    "swiglu": ("swiglu",),
    "linear_cross_entropy": ("linear_cross_entropy",),
}
"""The functions of each operation, by the same names in every module that implements it."""
DEFINITIONS: dict[str, Callable[..., Any]] = {
    "attention": attention_by_definition,
    "linear_cross_entropy": linear_cross_entropy_by_definition,
}
"""References that are not PyTorch's own way to do it."""
LOWEST_CAPABILITY = 80
HALF_PRECISION = (torch.bfloat16, torch.float16)


def _capability(device: torch.device) -> int:
    """90 for compute capability 9.0; 0 where there is none."""
    if device.type != "cuda":
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def _missing(backend: str, device: torch.device, dtype: torch.dtype) -> str:
    """Why a backend cannot run here, or nothing."""
    if backend in ("reference", "torch"):
        return ""
    if backend == "native":
        from onnuri.kernels.native.library import missing

        return missing(dtype) if device.type == "cpu" else f"it needs a CPU, the device is {device.type}"
    package = {"triton": "triton", "liger": "liger_kernel"}.get(backend)
    if package and find_spec(package) is None:
        return f"{package.replace('_', '-')} is not installed"
    if backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1":
        return ""
    if device.type != "cuda" or torch.version.cuda is None:
        return f"it needs an NVIDIA GPU, the device is {device.type}"
    capability = _capability(device)
    if capability < LOWEST_CAPABILITY:
        return f"it needs compute capability 8.0, this GPU has {capability / 10}"
    if backend == "flash" and dtype not in HALF_PRECISION:
        return f"flash-attn takes bf16 and fp16, not {str(dtype).removeprefix('torch.')}"
    if backend == "flash" and flash.installed_version(capability) is None:
        return "no flash-attn for this GPU is installed"
    return ""


def select(
    config: KernelConfig, device: torch.device | str, dtype: torch.dtype = torch.bfloat16
) -> dict[str, str]:
    """The backend of each operation.

    auto takes Triton on NVIDIA GPUs, for attention flash-attn where it is installed; on CPUs what is there
    in C++; elsewhere PyTorch.

    Raises:
        UserError: one that was asked for by name cannot run here.
    """
    device, chosen = torch.device(device), {}
    for operation, backends in BACKENDS.items():
        asked = config.of(operation)
        if asked == "auto":
            order = [backend for backend in ("flash", "triton", "native") if backend in backends]
            chosen[operation] = next((each for each in order if not _missing(each, device, dtype)), "torch")
        elif reason := _missing(asked, device, dtype):
            option = operation if getattr(config, operation) else "backend"
            raise UserError(f"kernels.{option}={asked}: {reason}; set kernels.{option}=auto")
        else:
            chosen[operation] = asked
    return chosen


def load(operation: str, backend: str, device: torch.device | str) -> dict[str, Callable[..., Any]]:
    """The functions of an operation by one backend, imported here and not before."""
    if backend == "flash":
        return {"attention": flash.load(_capability(torch.device(device)))}
    if backend == "liger":
        from onnuri.kernels import liger

        return {"linear_cross_entropy": liger.linear_cross_entropy}
    if backend == "reference" and operation in DEFINITIONS:
        return {operation: DEFINITIONS[operation]}
    package = f".{backend}" if backend in ("triton", "native") else ""
    module = import_module(f"onnuri.kernels{package}.{operation}")
    return {name: getattr(module, name) for name in FUNCTIONS[operation]}


_names = dict.fromkeys(BACKENDS, "torch")
chosen: dict[str, Callable[..., Any]] = {}
"""The function behind each public one."""


def _take(names: dict[str, str], device: torch.device | str) -> None:
    functions: dict[str, Callable[..., Any]] = {}
    for operation, backend in names.items():
        functions |= load(operation, backend, device)
    chosen.update(functions)
    _names.update(names)


_take(_names, "cpu")


def use(config: KernelConfig, device: torch.device | str, dtype: torch.dtype = torch.bfloat16) -> str:
    """Put the selected implementations behind the public functions, for this whole process.

    Returns:
        What `describe` says.
    """
    _take(select(config, device, dtype), device)
    return describe()


def describe() -> str:
    """One line for the start of a run: "kernels: attention triton, rms_norm triton, ..."."""
    return "kernels: " + ", ".join(f"{operation} {backend}" for operation, backend in _names.items())
