"""How PyTorch is set on GPUs, before the first tensor is there."""

from __future__ import annotations

import os

import torch

ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


def set_up_cuda() -> None:
    """Choose allocator and arithmetic. The allocator reads its variable once, with its first use."""
    if not any(name in os.environ for name in ALLOCATOR_VARIABLES):
        # Gathered parameters, packed documents and side streams free blocks that no later tensor fits.
        # Segments that grow in place keep such memory usable; fixed ones leave it reserved until an
        # allocation fails.
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
    # fp32 means fp32. NVIDIA's containers turn TF32 on (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1).
    torch.set_float32_matmul_precision("highest")
    # A weight gradient is a sum over all tokens of a micro-batch. Where cuBLAS splits it, it would add the
    # parts in bf16; micro-batches are added in fp32, and parts of them should be. Its cost is not measured.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
