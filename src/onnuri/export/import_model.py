"""The way back: a Hugging Face folder as weights that training can start from."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.weights import (
    KIND,
    TOKENIZER_FOLDER,
    shard_name,
    tensor_name,
    write_model_file,
)
from onnuri.export.config import ImportConfig
from onnuri.export.huggingface import plan_files
from onnuri.hf.config import read_config
from onnuri.hf.folder import CONFIG, INDEX, read_config_file, weight_files
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of
from onnuri.tokenizer.huggingface import TOKENIZER_FILES, load_tokenizer, num_ids

log = logging.getLogger(__name__)

FORMAT = 1
"""Counted up when the same request gives another folder: older ones are then written anew."""
SHARD_BYTES = 4e9
"""Largest file, but for a weight that is larger; also about the memory that importing takes."""


def import_model(config: ImportConfig) -> Manifest:
    """Write the folder, or do nothing when it already answers this request. Returns its manifest.

    Raises UserError for a folder that is damaged, or holds a model that cannot be trained here.
    """
    folder, output = Path(config.model), Path(config.output)
    model = read_config(folder)
    texts = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    check_tokenizer(folder, model)
    settings = {"format": FORMAT}
    used = [CONFIG, *(path.name for path in weight_files(folder)), *texts]
    used += [INDEX] if (folder / INDEX).is_file() else []
    inputs = {name: manifest.hash_file(folder / name) for name in used}
    if made := manifest.up_to_date(output, KIND, settings, inputs):
        log.info("%s is up to date", output)
        return made
    with manifest.building(output, KIND) as partial:
        write_weights(folder, model, partial)
        write_model_file(partial, model)
        (partial / TOKENIZER_FOLDER).mkdir()
        for name in texts:
            shutil.copyfile(folder / name, partial / TOKENIZER_FOLDER / name)
        made = manifest.seal(partial, KIND, settings, inputs, facts(folder, model))
    kind = spec_of(model).hf_type(model).model_type
    log.info(f"imported {folder}: {kind}, {model.num_parameters() / 1e6:.1f}M parameters, to {output}")
    if "tokenizer.json" not in texts:
        log.info(f"{folder} has no tokenizer.json: none was imported")
    return made


def check_tokenizer(folder: Path, model: ModelConfig) -> None:
    """Raise UserError if the folder has a tokenizer with more tokens than the embedding has rows."""
    if (folder / "tokenizer.json").is_file():
        known = num_ids(load_tokenizer(folder))
        if known > model.vocab_size:
            raise UserError(
                f"model={folder} has embeddings for {model.vocab_size:,} tokens, its tokenizer has "
                f"{known:,}"
            )


def facts(folder: Path, model: ModelConfig) -> dict[str, Any]:
    """What the manifest counts."""
    context = read_config_file(folder).get("max_position_embeddings")
    return {"parameters": model.num_parameters(), "context_length": context}


def write_weights(folder: Path, model: ModelConfig, output: Path) -> None:
    """Read the weights, a file's worth at a time, and write them as checkpoints have them."""
    from tqdm import tqdm

    from onnuri.checkpoint.shard_file import TensorSlice, write_shard
    from onnuri.hf.weights import Weights

    weights = Weights(folder, model)
    files = plan_files({name: 4 * each.numel for name, each in weights.parameters.items()}, SHARD_BYTES)
    for number, names in enumerate(tqdm(files, desc="weights", unit="file", disable=None)):
        pieces = {tensor_name(name): TensorSlice(weights.read(name).flatten(), 0) for name in names}
        write_shard(output / shard_name(number), pieces)
