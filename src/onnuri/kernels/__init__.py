"""The arithmetic of the training step: one public function per operation, several implementations.

PyTorch's own is always there: any device, any dtype, float64 too. `use(config, device)` chooses another.
"""

from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.backends import describe, use
from onnuri.kernels.config import KernelConfig
from onnuri.kernels.operations import (
    add_rms_norm,
    apply_rope,
    attention,
    linear_cross_entropy,
    rms_norm,
    swiglu,
)
from onnuri.kernels.rope import rope_tables

__all__ = [
    "AttentionMask",
    "KernelConfig",
    "add_rms_norm",
    "apply_rope",
    "attention",
    "attention_mask",
    "describe",
    "linear_cross_entropy",
    "rms_norm",
    "rope_tables",
    "swiglu",
    "use",
]
