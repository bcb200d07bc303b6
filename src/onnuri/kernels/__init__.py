"""The arithmetic of the training step: operations, several implementations of each, and their choice.

`choose(config, device)` gives a `Kernels`, which a model holds; `REFERENCE` is PyTorch's own for all
operations, on any device and in any dtype, float64 too. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnuri.kernels.config import KernelConfig

if TYPE_CHECKING:
    from onnuri.kernels.backends import REFERENCE, choose
    from onnuri.kernels.operations import Kernels

__all__ = ["REFERENCE", "KernelConfig", "Kernels", "choose"]


def __getattr__(name: str) -> Any:
    """What needs torch, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onnuri.kernels import backends

    return getattr(backends, name)
