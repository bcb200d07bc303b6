"""The arithmetic of the training step: one public function per operation.

What stands here is the reference path in plain PyTorch: any device, any dtype, float64 too.
Shapes: B batch, S sequence, H query heads, K key/value heads, D head size, E hidden size, V vocabulary.
"""

from onnuri.kernels.attention import attention
from onnuri.kernels.linear_cross_entropy import linear_cross_entropy
from onnuri.kernels.rms_norm import rms_norm
from onnuri.kernels.rope import apply_rope, rope_tables
from onnuri.kernels.swiglu import swiglu

__all__ = ["apply_rope", "attention", "linear_cross_entropy", "rms_norm", "rope_tables", "swiglu"]
