"""Adapters alone, as PEFT reads them: adapter_config.json and adapter_model.safetensors.

Matrices that are one parameter here, with one A, are several modules there, each with a copy of A.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.hf.full_disk import os_errors
from onnuri.model.config import ModelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import spec_of
from onnuri.train.warm_start import stored

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Of the names of all weights, in PEFT."""


def write_adapter(
    checkpoint: Path,
    model: ModelConfig,
    lora: LoraConfig,
    file_name: Callable[[str], str],
    base: Path,
    output: Path,
    dtype_name: str,
) -> int:
    """Write both files; how many elements the adapter has here.

    Args:
        file_name: what a parameter is called in the files of the checkpoint.
        base: folder of the model that is adapted.
        dtype_name: float32 or bfloat16.
    """
    import torch
    from safetensors.torch import save_file

    from onnuri.hf.weights import hf_names
    from onnuri.model.lora import adapter_names

    dtype, read = getattr(torch, dtype_name), stored(checkpoint, model, lora, file_name)
    tensors: dict[str, Any] = {}
    modules: set[str] = set()
    count = 0
    for name, each in spec_of(model).by_name(model).items():
        if each.kind != "matrix":
            continue
        a, b = map(read, adapter_names(name))
        count += a.numel() + b.numel()
        for theirs, rows in zip(hf_names(each, name), b.split(each.rows), strict=True):
            module = theirs.removesuffix(".weight")
            modules.add(module.rpartition(".")[2])
            tensors[f"{PREFIX}{module}.lora_A.weight"] = a.to(dtype).clone()
            tensors[f"{PREFIX}{module}.lora_B.weight"] = rows.to(dtype).contiguous()
    with os_errors(output / WEIGHTS_FILE):
        save_file(tensors, output / WEIGHTS_FILE, metadata={"format": "pt"})
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(modules),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    manifest.write_json(output / "adapter_config.json", described)
    return count
