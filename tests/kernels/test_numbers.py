"""Runs `tests/kernels/numbers` under Triton's interpreter, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "numbers"


@pytest.mark.extra("triton")
@pytest.mark.timeout(1800)
def test_numbers() -> None:
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    options = ["-p", "no:xdist", "-p", "no:cacheprovider", "--timeout", "900"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", str(FOLDER), *options],
        env={**os.environ, **threads, "TRITON_INTERPRET": "1"},
        cwd=FOLDER.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
