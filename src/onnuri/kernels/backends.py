"""Which implementation each operation takes: by name, or the fastest that can run on a device."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from onnuri.base.errors import UserError
from onnuri.kernels import flash
from onnuri.kernels.attention import reference_attention
from onnuri.kernels.choice import Choice, fastest
from onnuri.kernels.config import BACKENDS, KernelConfig
from onnuri.kernels.linear_cross_entropy import (
    compiled_linear_cross_entropy,
    reference_linear_cross_entropy,
)
from onnuri.kernels.operations import Kernels

FUNCTIONS = {
    "attention": ("attention",),
    "rms_norm": ("rms_norm", "add_rms_norm"),
    "rope": ("apply_rope",),
    "swiglu": ("swiglu",),
    "linear_cross_entropy": ("linear_cross_entropy",),
}
"""The functions of each operation, by the same names in every module that implements it."""
REFERENCES: dict[str, Callable[..., Any]] = {
    "attention": reference_attention,
    "linear_cross_entropy": reference_linear_cross_entropy,
}
"""Reference implementations that are not PyTorch's own way to do it."""
MODULES = {
    "varlen": "onnuri.kernels.varlen",
    "cudnn": "onnuri.kernels.cudnn",
    "liger": "onnuri.kernels.liger",
}
"""Backends of one operation, in a module of their own."""
WITHOUT_BRANCHES = ("varlen", "cudnn", "flash")
"""Backends of attention that know documents, or whole rows, and nothing within them."""
LOWEST_CAPABILITY = 80
HALF_PRECISION = (torch.bfloat16, torch.float16)


def _capability(device: torch.device) -> int:
    """90 for compute capability 9.0; 0 where there is none."""
    if device.type != "cuda":
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def _missing(backend: str, device: torch.device, dtype: torch.dtype, branched: bool) -> str:
    """Why a backend cannot run here, or nothing."""
    if branched and backend in WITHOUT_BRANCHES:
        return "it takes no shared prompts (grpo.share_prompts=false gives each answer its own)"
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
    if backend in ("flash", "varlen", "cudnn") and dtype not in HALF_PRECISION:
        return f"it takes bf16 and fp16, not {str(dtype).removeprefix('torch.')}"
    if backend == "flash" and flash.installed_version(capability) is None:
        return "no flash-attn for this GPU is installed"
    return ""


def select(
    config: KernelConfig,
    device: torch.device | str,
    dtype: torch.dtype = torch.bfloat16,
    compiled: bool = False,
    branched: bool = False,
) -> dict[str, Choice]:
    """The backend of each operation, and why.

    auto takes the fastest that was measured on NVIDIA GPUs (`onnuri.kernels.choice`), on CPUs what is there
    in C++, elsewhere PyTorch's own.

    Args:
        compiled: blocks go through torch.compile.
        branched: documents may branch; see `attention_mask`.

    Raises:
        UserError: one that was asked for by name cannot run here.
    """
    device = torch.device(device)
    selected: dict[str, Choice] = {}
    for operation, backends in BACKENDS.items():
        asked = config.of(operation)
        if asked != "auto":
            if reason := _missing(asked, device, dtype, branched):
                option = operation if getattr(config, operation) else "backend"
                raise UserError(f"kernels.{option}={asked}: {reason}; set kernels.{option}=auto")
            selected[operation] = Choice(asked, "")
        elif device.type == "cuda":
            there = [each for each in backends if not _missing(each, device, dtype, branched)]
            selected[operation] = fastest(operation, there, _capability(device), compiled)
        else:
            reason = _missing("native", device, dtype, branched) if "native" in backends else ""
            native = "native" in backends and not reason
            selected[operation] = Choice(
                "native" if native else "torch", reason and f"not native: {reason}"
            )
    return selected


def load(
    operation: str, backend: str, device: torch.device | str, compiled: bool = False
) -> dict[str, Callable[..., Any]]:
    """The functions of an operation by one backend, imported here and not before.

    Args:
        compiled: torch.compile what PyTorch's own loss does with a chunk's logits: fewer passes over them.
    """
    if backend == "flash":
        return {"attention": flash.load(_capability(torch.device(device)))}
    if backend == "reference" and operation in REFERENCES:
        return {operation: REFERENCES[operation]}
    if compiled and (operation, backend) == ("linear_cross_entropy", "torch"):
        return {operation: compiled_linear_cross_entropy()}
    package = f".{backend}" if backend in ("triton", "native") else ""
    module = import_module(MODULES.get(backend, f"onnuri.kernels{package}.{operation}"))
    return {name: getattr(module, name) for name in FUNCTIONS[operation]}


def kernels_of(
    selected: Mapping[str, Choice], device: torch.device | str, compiled: bool = False
) -> Kernels:
    """The selected backends, loaded."""
    functions: dict[str, Callable[..., Any]] = {}
    for operation, choice in selected.items():
        functions |= load(operation, choice.backend, device, compiled)
    parts = [
        f"{name} {backend}" + (f" ({why})" if why else "") for name, (backend, why) in selected.items()
    ]
    return Kernels(**functions, choices=", ".join(parts))


def choose(
    config: KernelConfig,
    device: torch.device | str,
    dtype: torch.dtype = torch.bfloat16,
    compiled: bool = False,
    branched: bool = False,
) -> Kernels:
    """The implementations that a model takes on a device; see `select`. No other model is touched."""
    return kernels_of(select(config, device, dtype, compiled, branched), device, compiled)


REFERENCE = kernels_of(dict.fromkeys(BACKENDS, Choice("torch", "")), "cpu")
"""PyTorch's own for every operation: what a model takes that is given nothing else."""
