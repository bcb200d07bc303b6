"""What `auto` takes for each operation: the fastest that was measured on such a device, else by rule.

`measured.json` holds milliseconds by compute capability, by whether blocks are compiled, and by operation;
`benchmarks/gpu_report.py` writes it from the results of `scripts/gpu_check.py`. Where a device has no
figures the rule stands in: flash-attn where it is installed, else Triton for attention and loss; for norms,
RoPE and SwiGLU Inductor's code when blocks are compiled, as it fuses them with each other, else Triton.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.kernels.config import ROW_OPERATIONS

TABLE = Path(__file__).with_name("measured.json")


class Choice(NamedTuple):
    """A backend, and why."""

    backend: str
    reason: str


@cache
def measured() -> dict[str, Any]:
    """{capability: {"source": device and versions, "compiled" or "eager": {operation: {backend: ms}}}}."""
    found: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def fastest(operation: str, there: list[str], capability: int, compiled: bool) -> Choice:
    """What to take on a GPU of a compute capability (90 for 9.0), of the backends that can run there."""
    device = measured().get(str(capability), {})
    times = device.get("compiled" if compiled else "eager", {}).get(operation, {})
    known = {backend: times[backend] for backend in there if backend in times}
    if known:
        best = min(known, key=known.__getitem__)
        shown = ", ".join(f"{backend} {known[backend]:.3g} ms" for backend in sorted(known, key=known.get))  # type: ignore[arg-type]
        return Choice(best, f"fastest of {shown} on {device['source']}")
    if operation in ROW_OPERATIONS and compiled:
        return Choice("torch", "compiled; not measured on this kind of GPU")
    order = [backend for backend in ("flash", "triton", "varlen") if backend in there]
    return Choice(order[0] if order else "torch", "not measured on this kind of GPU")
