"""Whole tensors out of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from onnuri.checkpoint.shard_file import TensorSlice
from onnuri.checkpoint.store import load
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of
from onnuri.run.checkpoints import FOLDER, name_of


def stored(run_dir: Path, step: int, kind: str) -> dict[str, np.ndarray]:
    """The tensors of a kind in a checkpoint, by parameter, in fp32."""
    model = ModelConfig(**json.loads((run_dir / "run.json").read_text())["config"]["model"])
    table = spec_of(model).by_name(model)
    found = {f"{kind}/{name}": torch.empty(parameter.numel) for name, parameter in table.items()}
    load(run_dir / FOLDER / name_of(step), {name: TensorSlice(values, 0) for name, values in found.items()})
    return {name.removeprefix(f"{kind}/"): values.numpy() for name, values in found.items()}
