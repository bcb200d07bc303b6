"""Which implementation each operation takes."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import check_choice

BACKENDS = {
    "attention": ("reference", "torch", "native", "triton", "varlen", "cudnn", "flash"),
    "rms_norm": ("reference", "torch", "triton"),
    "rope": ("reference", "torch", "triton"),
    "swiglu": ("reference", "torch", "triton"),
    "linear_cross_entropy": ("reference", "torch", "native", "triton", "liger"),
}
"""The operations, and what there is for each."""
ROW_OPERATIONS = ("rms_norm", "rope", "swiglu")
"""Those that memory bounds; Inductor fuses them with each other."""


@dataclass
class KernelConfig:
    """Operations left empty follow `backend`."""

    backend: str = "auto"
    """auto: the fastest measured on such a device, of those that can run; reference: as the formula says;
    torch: PyTorch's own; triton: fused kernels, on NVIDIA GPUs of compute capability 8.0 and up.
    For single operations also native: C++ on CPUs, for bf16 and fp32, compiled with the package."""
    attention: str = ""
    """auto, reference, torch, native, triton; for bf16 and fp16 on GPUs also varlen: the FlashAttention 2
    inside PyTorch; cudnn: whole rows only; flash: the package flash-attn 2, 3 or 4."""
    rms_norm: str = ""
    """auto, reference, torch or triton; add_rms_norm goes with it."""
    rope: str = ""
    """auto, reference, torch or triton."""
    swiglu: str = ""
    """auto, reference, torch or triton."""
    linear_cross_entropy: str = ""
    """auto, reference, torch, native, triton, or liger: PyTorch's products with Liger's loss."""

    def __post_init__(self) -> None:
        check_choice("kernels.backend", self.backend, ("auto", "reference", "torch", "triton"))
        for operation, backends in BACKENDS.items():
            check_choice(f"kernels.{operation}", self.of(operation), ("auto", *backends))

    def of(self, operation: str) -> str:
        """What is asked for an operation."""
        return getattr(self, operation) or self.backend
