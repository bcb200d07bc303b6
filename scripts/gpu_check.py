"""Check the kernels on this machine's GPU, and measure them beside PyTorch, flash-attn and Liger.

    python scripts/gpu_check.py

One of ours over its tolerance against float64, or gradients that differ from run to run: exit status 1.
Without a GPU: status 2.
"""

from onnuri.config import run_door
from onnuri.kernel_config import GpuCheckConfig


def main(config: GpuCheckConfig) -> int:
    """Two tables: numbers, then speed."""
    from onnuri.kernels.verification.gpu import check

    return check(config)


if __name__ == "__main__":
    run_door(GpuCheckConfig, main, __doc__)
