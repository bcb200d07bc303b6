"""What is being measured: the GPU, its clocks and errors, versions, and two ceilings of this device."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from onnuri.gpu.stage import Result, Results, Settings, not_run
from onnuri.gpu.timing import milliseconds

PACKAGES = ("torch", "triton", "deepspeed", "transformers", "numpy", "liger-kernel", "flash-attn")
QUERY = (
    "name,driver_version,memory.total,memory.used,clocks.max.sm,clocks.sm,power.limit,"
    "ecc.errors.uncorrected.volatile.total,clocks_event_reasons.active"
)


def run(settings: Settings) -> Results:
    """Facts first, then the rates of a large matrix product and of a copy."""
    yield {"device": device_name(), "capability": capability(), **versions(), **machine()}
    yield nvidia_smi()
    size = 256 if settings.rehearse else 8192
    left, right = (torch.randn(size, size, device=settings.device).bfloat16() for _ in range(2))
    seconds = milliseconds(lambda: left @ right, settings.device) / 1e3
    yield {"ceiling": f"matmul {size}^3 bf16", "tflops": 2 * size**3 / seconds / 1e12}
    size = 1 << (20 if settings.rehearse else 31)
    source = torch.empty(size, dtype=torch.uint8, device=settings.device)
    target = torch.empty_like(source)
    seconds = milliseconds(lambda: target.copy_(source), settings.device) / 1e3
    yield {"ceiling": f"copy {size / 2**30:g} GiB", "gbs": 2 * size / seconds / 1e9}


def device_name() -> str:
    """Of the GPU, or of the CPU that stands in for it."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU {platform.machine()}"


def capability() -> int:
    """90 for compute capability 9.0; 0 for a CPU."""
    if not torch.cuda.is_available():
        return 0
    major, minor = torch.cuda.get_device_capability()
    return 10 * major + minor


def versions() -> dict[str, Any]:
    """Of what the numbers depend on; what is not installed is left out."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"versions": found, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def machine() -> dict[str, Any]:
    """Cores of this process, and the device's memory."""
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    if torch.cuda.is_available():
        found["memory_gib"] = torch.cuda.get_device_properties(0).total_memory / 2**30
    return found


def nvidia_smi() -> Result:
    """Clocks, power limit, memory errors: why a rate may be lower than elsewhere."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        return not_run("nvidia-smi: clocks, power, memory errors", " ".join(str(error).split())[:200])
    return {"nvidia_smi": dict(zip(QUERY.split(","), done.stdout.strip().split(", "), strict=False))}
