"""The check for machines with a GPU: what it says without one; its numeric part under the interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.extra("triton")
def test_the_numeric_part(tmp_path: Path) -> None:
    """On CPU tensors: the cases, backends and dtypes are those that a GPU would see."""
    output = tmp_path / "gpu.jsonl"
    words = ["stages=[environment,numbers]", "cases=1", f"output={output}", f"data={tmp_path}"]
    result = run("gpu_check.py", "rehearse=true", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    first, *found = [json.loads(line) for line in output.read_text().splitlines()]
    assert first["event"] == "call" and first["rehearsal"] is True
    assert [each["stage"] for each in found if each.get("event") == "done"] == ["environment", "numbers"]
    ours = [each for each in found if each.get("check") == "numbers" and each["ours"]]
    checked = {(each["function"], each["dtype"]) for each in ours}
    functions = ("attention", "rms_norm", "add_rms_norm", "apply_rope", "swiglu", "linear_cross_entropy")
    assert checked == {(name, kind) for name in functions for kind in ("bfloat16", "float16", "float32")}
    assert [each["same_bits"] for each in found if each.get("check") == "bits"] == [True]
    assert any("varlen" in each.get("what", "") for each in found if each.get("event") == "not run")
    assert "A rehearsal on a CPU: no figure below is a measurement." in result.stdout
