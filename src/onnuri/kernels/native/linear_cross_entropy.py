"""PyTorch's products with the loss of a chunk's logits in C++, which puts their derivative in their place.

The compiled PyTorch of the same goes through memory several times, in float32 (LAB.md).
"""

from __future__ import annotations

import ctypes

import torch

from onnuri.kernels.linear_cross_entropy import by_chunks
from onnuri.kernels.linear_cross_entropy import loss_and_dlogits as loss_and_dlogits_by_pytorch
from onnuri.kernels.native.library import PRODUCTS, library


def loss_and_dlogits(
    logits: torch.Tensor, targets: torch.Tensor, z_loss: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row of logits [N, V], and its derivative by them, both zero for IGNORE_INDEX.

    The derivative is in the place of the logits, in their dtype. Other dtypes than bf16 and fp32, and other
    devices than CPUs, are left to PyTorch. Raises IndexError for a target that is none.
    """
    if logits.dtype not in PRODUCTS or logits.device.type != "cpu":
        return loss_and_dlogits_by_pytorch(logits, targets, z_loss)
    losses = torch.empty(len(logits), dtype=torch.float32)
    targets, logits = targets.to(torch.int64).contiguous(), logits.contiguous()
    wrong = library().cross_entropy(
        ctypes.c_void_p(logits.data_ptr()),
        ctypes.c_void_p(targets.data_ptr()),
        ctypes.c_void_p(losses.data_ptr()),
        *map(ctypes.c_int64, logits.shape),
        ctypes.c_float(z_loss),
        ctypes.c_int64(torch.get_num_threads()),
        ctypes.c_int64(logits.itemsize),
    )
    if wrong:
        raise (
            IndexError(f"{wrong} target(s) are not in 0 to {logits.shape[1] - 1}")
            if wrong > 0
            else MemoryError
        )
    return losses, logits


linear_cross_entropy = by_chunks(loss_and_dlogits)
"""See `operations.LinearCrossEntropy`."""
