"""Attention by flash-attn, when it is installed: version 4 (CuTe DSL), 3 (Hopper) or 2.

They take packed documents and windows through `flash_attn_varlen_func`; the arguments used here have the
same names in all three. Never run by this project's tests, which have no GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from onnuri.base.errors import UserError
from onnuri.kernels.attention_mask import AttentionMask, check_heads, check_unbranched, whole_rows

MODULES = {4: "flash_attn.cute", 3: "flash_attn_interface", 2: "flash_attn"}
"""Where each version has its functions."""
CAPABILITIES = {4: range(90, 120), 3: range(90, 100), 2: range(80, 120)}
"""The GPUs on which a version is taken (README of flash-attention)."""


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # a package around it that does not load
        return False


def installed_version(capability: int) -> int | None:
    """The newest installed version for a compute capability (90 for 9.0)."""
    for version, module in MODULES.items():
        # Version 4 shares the name space of version 2, whose own functions are in a compiled module.
        needed = "flash_attn_2_cuda" if version == 2 else module
        if capability in CAPABILITIES[version] and _is_installed(needed):
            return version
    return None


def load(capability: int) -> Callable[..., torch.Tensor]:
    """`attention` by the newest version for this GPU."""
    version = installed_version(capability)
    if version is None:
        raise UserError("no flash-attn for this GPU is installed; set kernels.attention=triton")
    call: Callable[..., Any] = import_module(MODULES[version]).flash_attn_varlen_func
    no_window = (None, None) if version == 4 else (-1, -1)

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
    ) -> torch.Tensor:
        mask = mask or whole_rows(query)
        check_heads(query, key, value, mask)
        check_unbranched(mask, "flash")
        longest = int(mask.longest)
        result = call(
            query.flatten(0, 1),
            key.flatten(0, 1),
            value.flatten(0, 1),
            cu_seqlens_q=mask.device_cu_seqlens,
            cu_seqlens_k=mask.device_cu_seqlens,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            causal=True,
            window_size=(mask.window - 1, 0) if mask.window > 0 else no_window,
            deterministic=True,
        )
        return (result[0] if isinstance(result, tuple) else result).view(query.shape)

    return attention
