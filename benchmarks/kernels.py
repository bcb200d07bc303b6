"""How fast are the operations of a training step on a CPU, and how much memory do they take?

    python benchmarks/kernels.py --threads 2

PyTorch's own, the same compiled, C++ and the definition; a GPU's table is that of scripts/gpu_check.py.
"""

from __future__ import annotations

import argparse

import torch

from onnuri.base.allocator import keep_freed_memory
from onnuri.kernels.backends import FUNCTIONS, REFERENCES, load
from onnuri.kernels.config import BACKENDS
from onnuri.kernels.verification.speed import (
    TABLE_HEAD,
    attention_workload,
    loss_workload,
    measure,
    row_workloads,
    table_row,
)


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    dtype = getattr(torch, options.dtype)
    workloads = [attention_workload(2048, (8, 4), 64, documents, "cpu", dtype) for documents in (1, 8)]
    workloads += row_workloads(2048, 512, "cpu", dtype)
    workloads += [loss_workload(1024, 512, 131072, chunk, "cpu", dtype) for chunk in (0, 128)]
    operations = {function: operation for operation, names in FUNCTIONS.items() for function in names}
    print(f"torch {torch.__version__}, {options.threads} threads, {options.dtype}\n\n{TABLE_HEAD}")
    for workload in workloads:
        operation = operations[workload.operation]
        functions = {"torch": load(operation, "torch", "cpu")[workload.operation]}
        functions["torch, compiled"] = torch.compile(functions["torch"])
        for backend in ("native", "reference"):
            if backend in BACKENDS[operation] and operation in REFERENCES:
                functions[backend] = load(operation, backend, "cpu")[workload.operation]
        for backend, function in functions.items():
            torch._dynamo.reset()
            print(
                table_row(workload, backend, measure(workload, function, options.rounds)),
                flush=True,
            )


if __name__ == "__main__":
    main()
