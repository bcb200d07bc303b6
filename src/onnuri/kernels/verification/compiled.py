"""What the compiler makes of a kernel for a GPU that need not be there: registers, spills, shared memory.

A launch is recorded where the code makes it, and compiled with the very specialisation that Triton's
launcher would choose, down to the machine code; the tools that read it come with Triton.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

SHARED_MEMORY_LIMIT = {80: 166_912, 86: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}
"""Largest shared memory of one block in bytes (CUDA programming guide, table of compute capabilities)."""
MATRIX_INSTRUCTIONS = r"\b(?:HGMMA|HMMA|UTC\w*MMA)\b"


@dataclass(frozen=True)
class Launch:
    """One call of a kernel: what to compile."""

    kernel: JITFunction
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel takes."""

    registers: int
    spills: int
    """Loads and stores of thread-local memory, counted in the machine code."""
    local_bytes: int
    """Thread-local memory of a thread, the stack included."""
    shared_bytes: int
    matrix_instructions: int


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Collect the launches inside the block instead of making them; their results stay undefined."""
    launches: list[Launch] = []
    original = JITFunction.run

    def record(kernel: JITFunction, *arguments: Any, grid: Any, warmup: bool, **keywords: Any) -> None:
        del grid, warmup
        launches.append(Launch(kernel, arguments, keywords))

    JITFunction.run = record
    try:
        yield launches
    finally:
        JITFunction.run = original


def compile_launch(launch: Launch, capability: int) -> Resources:
    """Compile for a compute capability (90 for sm_90) and read the result. Needs no GPU and no driver."""
    target = GPUTarget("cuda", capability, 32)
    backend = make_backend(target)
    kernel = launch.kernel
    binder = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, given = binder(*launch.arguments, **launch.keywords)
    options, signature, constants, attributes = kernel._pack_args(
        backend, launch.keywords, bound, specialization, given
    )
    source = ASTSource(kernel, signature, constants, attributes)
    compiled = triton.compile(source, target=target, options=options.__dict__)
    return _read(compiled.asm["cubin"], compiled.metadata.shared)


def _read(binary: bytes, shared_bytes: int) -> Resources:
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(binary)
        usage, code = (
            subprocess.run([tool, flag, path], capture_output=True, text=True, check=True).stdout
            for flag in ("--dump-resource-usage", "-sass")
        )
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
    if not found or "/*0000*/" not in code:
        raise RuntimeError(f"cuobjdump of triton {triton.__version__} writes what this code cannot read")
    registers, stack, local = map(int, found.groups())
    return Resources(
        registers=registers,
        spills=len(re.findall(r"\b(?:LDL|STL)\b", code)),
        local_bytes=stack + local,
        shared_bytes=shared_bytes,
        matrix_instructions=len(re.findall(MATRIX_INSTRUCTIONS, code)),
    )
