"""Check and measure this machine's GPU: kernels against float64 and beside their peers, training, resume.

    python scripts/gpu_check.py                          # everything, half an hour at most
    python scripts/gpu_check.py stages=[numbers]         # correctness alone
    python scripts/gpu_check.py call=A minutes=9         # what is wanted most, in nine minutes
    python scripts/gpu_check.py rehearse=true            # every stage on a CPU, at tiny sizes

Each stage has a process and a limit of its own; results are in `output` as they come.
Exit status 1: a kernel over its tolerance, gradients or a resumed run that are not bit for bit the same, or
a stage that crashed. 2: no GPU, or options that cannot work.
"""

from onnuri.config import run_door
from onnuri.gpu.config import GpuCheckConfig


def main(config: GpuCheckConfig) -> int:
    """Run the stages, print the goals."""
    from onnuri.gpu.check import check

    return check(config)


if __name__ == "__main__":
    run_door(GpuCheckConfig, main, __doc__)
