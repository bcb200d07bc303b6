"""A GPU that is not there: CUDA tensors without memory, of compute capability 9.0.

`torch.compile` traces a block for it as for a real one; what is traced is looked at, not run. Run in a
process of its own, as it changes what PyTorch believes about this machine:

    python fake_gpu.py attention=triton rms_norm=torch    # graphs and breaks of compiled blocks, as JSON
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.utils._triton
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode


def install_device_guard() -> None:
    """Autograd asks for the guard of CUDA devices: one that does nothing, in CPU builds of PyTorch too."""
    if torch.version.cuda:
        torch._C._ensureCUDADeviceGuardSet()
        return
    root = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/fake_gpu.so"
        paths = [f"-I{root}/include", f"-L{root}/lib", "-lc10"]
        source = str(Path(__file__).with_suffix(".cpp"))
        subprocess.run(["g++", "-shared", "-fPIC", "-std=c++20", source, "-o", library, *paths], check=True)
        ctypes.CDLL(library)


install_device_guard()
torch.utils._triton.has_triton = lambda *_, **__: True
torch.utils._triton.has_triton_package = lambda *_, **__: True

from onnuri.kernels import Kernels  # noqa: E402
from onnuri.kernels.attention_mask import AttentionMask, attention_mask  # noqa: E402
from onnuri.kernels.backends import kernels_of  # noqa: E402
from onnuri.kernels.choice import Choice  # noqa: E402
from onnuri.kernels.config import BACKENDS  # noqa: E402
from onnuri.kernels.rope import rope_tables  # noqa: E402
from onnuri.model.config import ModelConfig  # noqa: E402
from onnuri.model.decoder import Block, Decoder  # noqa: E402
from onnuri.train.compile import compile_blocks  # noqa: E402


def named(words: list[str]) -> Kernels:
    """The named backends, operation=backend, without a look at what can run here."""
    names = dict.fromkeys(BACKENDS, "torch") | dict(word.split("=") for word in words)
    return kernels_of({name: Choice(backend, "") for name, backend in names.items()}, "cuda")


def on_gpu(config: ModelConfig, kernels: Kernels) -> Decoder:
    """A model of bf16 weights without values."""
    with torch.device("meta"):
        model = Decoder(config, kernels)
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                empty = torch.empty(weight.shape, dtype=torch.bfloat16, device="cuda")
                module._parameters[name] = torch.nn.Parameter(empty)
    return model


def trace_blocks(kernels: Kernels) -> dict[str, Any]:
    """Trace a model's compiled blocks for two batches, as its training step calls them."""
    graphs: list[list[str]] = []

    def look(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    def compile_for_look(forward: Any) -> Any:
        return real_compile(forward, backend=look)

    real_compile, torch.compile = torch.compile, compile_for_look  # type: ignore[assignment]
    config = ModelConfig(
        256, 128, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=64, intermediate_size=256
    )
    masks = [attention_mask(2, 64, torch.tensor([0, *cuts, 64, 128])) for cuts in ([7], [9, 30, 31])]
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = on_gpu(config, kernels)
        hidden = torch.empty(2, 64, 128, dtype=torch.bfloat16, device="cuda", requires_grad=True)
        tables = rope_tables(64, 64, 1e4, "cuda")
        blocks: Any = model.blocks
        compile_blocks(model, Block)
        for mask in masks:
            shapes = (each.shape for each in (mask.cu_seqlens, mask.first_key, mask.end_query))
            on_device = [torch.empty(shape, dtype=torch.int32, device="cuda") for shape in shapes]
            fake = AttentionMask(mask.cu_seqlens, *on_device, *mask[-3:])
            out = hidden
            try:
                for block in blocks:
                    out = block(out, *tables, fake)
            except DataDependentOutputException as error:
                return {"graphs": graphs, "breaks": {f"reads a value: {error}": 1}}
            assert out.device.type == "cuda" and out.shape == hidden.shape and out.requires_grad
    breaks = {str(reason)[:300]: count for reason, count in counters["graph_break"].items()}
    return {"graphs": graphs, "breaks": breaks}


if __name__ == "__main__":
    print(json.dumps(trace_blocks(named(sys.argv[1:]))))
