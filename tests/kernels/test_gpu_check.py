"""The check for machines with a GPU: what it says without one; its numeric part under the interpreter."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **environment},
        cwd=REPOSITORY / "scripts",
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_gpu() -> None:
    result = run("gpu_check.py", CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 2
    assert result.stderr.startswith("error: gpu_check needs an NVIDIA GPU: torch ")
    assert result.stderr.count("\n") == 1


def test_the_numeric_part() -> None:
    """On CPU tensors: the cases, backends and dtypes are those that a GPU would see."""
    program = (
        "from onnuri.kernels.verification import interpreter; interpreter.install(); "
        "from onnuri.kernels.verification import gpu; "
        "small = lambda size, window: gpu.DRAW['attention'](gpu.Random(size), 60); "
        "gpu.several_blocks = small; "
        "print(gpu.check_numbers(2, 'cpu') + gpu.differ_from_run_to_run('cpu'))"
    )
    result = run("-c", program, TRITON_INTERPRET="1", OPENBLAS_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    assert lines[-1] == "0"
    assert "| attention | triton | bfloat16 | 8 |" in result.stdout
    assert "| linear_cross_entropy | triton | float16 | 2 |" in result.stdout
