"""A folder of weights without a run: what training can start from, in the layout of checkpoints.

Like a checkpoint, FOLDER/shard-00000.safetensors and so on hold the tensors `weight/NAME`, flat and in
float32: `onnuri.checkpoint.store.load` reads them on any number of ranks. Beside them are model.json with
the options of the model, the folder `tokenizer`, and a manifest.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.config.former_names import rename_stored
from onnuri.model.config import ModelConfig

KIND = "weights"
"""In the manifest."""
MODEL_FILE = "model.json"
TOKENIZER_FOLDER = "tokenizer"


def shard_name(number: int) -> str:
    """The name of a file of tensors, counted from 0."""
    return f"shard-{number:05d}.safetensors"


def tensor_name(parameter: str) -> str:
    """What a parameter of the model is called in the files."""
    return f"weight/{parameter}"


def write_model_file(folder: Path, model: ModelConfig) -> None:
    """Write the options of the model."""
    manifest.write_json(folder / MODEL_FILE, asdict(model))


def read_weights_folder(folder: str | Path) -> tuple[Manifest, ModelConfig]:
    """The manifest and the model of a finished folder, whose files have the sizes that it states.

    Raises UserError for another folder, a damaged one, and one of a later version.
    """
    found = manifest.read_whole(folder, KIND)
    path = Path(folder) / MODEL_FILE
    try:
        return found, ModelConfig(**rename_stored(json.loads(path.read_text(encoding="utf-8")), "model."))
    except UserError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
