"""Check and measure this machine's GPU: kernels against float64 and beside their peers, training, resume.

    onnuri gpu_check                          # everything, half an hour at most
    onnuri gpu_check stages=[numbers]         # correctness alone
    onnuri gpu_check call=A minutes=9         # what is wanted most, in nine minutes
    onnuri gpu_check rehearse=true            # every stage on a CPU, at tiny sizes

Each stage has a process and a limit of its own; results are in `output` as they come.
Exit status 1: a kernel over its tolerance, gradients or a resumed run that are not bit for bit the same, or
a stage that crashed. 2: no GPU, or options that cannot work.
"""

from onnuri.config import run_cli
from onnuri.gpu.config import GpuCheckConfig


def run(config: GpuCheckConfig) -> int:
    """Run the stages, print the goals."""
    from onnuri.gpu.check import check, failed
    from onnuri.gpu.report import summary

    results = check(config)
    print(summary(results))
    return 1 if any(map(failed, results)) else 0


def main() -> None:
    """The command."""
    run_cli(GpuCheckConfig, run, __doc__, command="gpu_check")


if __name__ == "__main__":
    main()
