"""Weights that a run starts from, in place of drawn ones: `train.init_from`.

They may lie in a Hugging Face folder (qwen3, llama), in one that `onnuri import` made, in a checkpoint, or
in a run directory, of which the newest checkpoint counts. The optimizer starts anew. Once a run has a
checkpoint the folder is not read any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.weights import MODEL_FILE, TOKENIZER_FOLDER, read_weights_folder, tensor_name
from onnuri.hf.config import read_config
from onnuri.hf.folder import CONFIG
from onnuri.model.config import ModelConfig
from onnuri.model.spec import TOKEN_KINDS, spec_of
from onnuri.run.checkpoints import newest_verified, read_verified
from onnuri.run.locate import find_run
from onnuri.run.run_file import DATA_FOLDER, read_run_file
from onnuri.train.config import PretrainConfig

if TYPE_CHECKING:
    import torch

PADDED_TO = 64
"""Rows of embeddings are a multiple of it, for matrix units."""
NOT_ITS_SHAPE = ("vocab_size", "init_std", "residual_init", "embedding_init_std", "loss_chunk_size")
"""Options of a model that say nothing of the weights in a folder."""


@dataclass(frozen=True)
class WarmStart:
    """A folder with weights."""

    folder: Path
    model: ModelConfig
    """Its shape, with the rows of embeddings that it has."""
    tokenizer_sha256: str
    """Of its tokenizer.json; "" where it has none."""
    identity: str
    """Of the manifest, which states the hash of every file; "" for a folder that others have made."""
    read: Callable[[str], torch.Tensor]
    """A weight by the name that the model has for it: float32, [rows, columns] or [rows]."""

    def missing_rows(self, name: str, model: ModelConfig) -> int:
        """How many rows of a weight of a model the folder has not."""
        kind = spec_of(model).by_name(model)[name].kind
        return model.vocab_size - self.model.vocab_size if kind in TOKEN_KINDS else 0

    @property
    def record(self) -> dict[str, str]:
        """What the ledger keeps of it, beside the hash of all weights."""
        return {"folder": str(self.folder), "identity": self.identity}


def open_warm_start(name: str) -> WarmStart:
    """The weights in a folder, whose headers are checked; values are read one at a time later.

    Raises UserError for a folder that is none of the kinds above, damaged, or of an unknown architecture.
    """
    folder = Path(name)
    if (folder / CONFIG).is_file():
        from onnuri.hf.weights import Weights

        model = read_config(folder)
        identity = (
            manifest.read(folder, "model").identity if (folder / manifest.FILE_NAME).is_file() else ""
        )
        return WarmStart(
            folder, model, _hash(folder / "tokenizer.json"), identity, Weights(folder, model).read
        )
    if (folder / MODEL_FILE).is_file():
        made, model = read_weights_folder(folder)
        tokenizer = _hash(folder / TOKENIZER_FOLDER / "tokenizer.json")
        return WarmStart(folder, model, tokenizer, made.identity, _stored(folder, model))
    if not folder.exists():
        raise UserError(f"train.init_from={name} does not exist")
    found = find_run(name)
    if not found:
        raise UserError(
            f"train.init_from={name} has no weights to start from; allowed are a Hugging Face folder, one "
            "that `onnuri import` made, a checkpoint and a run directory"
        )
    run = read_run_file(found.run_dir)
    if found.checkpoint:
        checkpoint, made = found.checkpoint, read_verified(found.checkpoint)
    elif newest := newest_verified(found.run_dir):
        checkpoint, made, _ = newest
    else:
        raise UserError(f"train.init_from={name} has no finished checkpoint yet")
    assert run is not None
    known = {field.name for field in fields(ModelConfig)}
    if unknown := sorted(run["config"]["model"].keys() - known):
        raise UserError(
            f"train.init_from={name} has the model option '{unknown[0]}', which this version does not know"
        )
    model = ModelConfig(**run["config"]["model"])
    counts = manifest.read(found.run_dir / DATA_FOLDER, "tokens").counts
    return WarmStart(
        checkpoint, model, counts["tokenizer_sha256"], made.identity, _stored(checkpoint, model)
    )


def _hash(path: Path) -> str:
    return manifest.hash_file(path) if path.is_file() else ""


def _stored(folder: Path, model: ModelConfig) -> Callable[[str], torch.Tensor]:
    """Reads from files in the layout of checkpoints. A collective call where a process group exists."""
    import torch

    from onnuri.checkpoint.shard_file import TensorSlice
    from onnuri.checkpoint.store import load

    table = spec_of(model).by_name(model)

    def read(name: str) -> torch.Tensor:
        parameter = table[name]
        values = torch.empty(parameter.numel)
        load(folder, {tensor_name(name): TensorSlice(values, 0)})
        return values.view(-1, parameter.columns) if parameter.columns else values

    return read


def model_of(config: PretrainConfig, start: WarmStart, data: Manifest) -> ModelConfig:
    """The model that is trained: of the folder's shape, with at least the rows that the tokenizer needs.

    Raises UserError where options of the command line say another shape, where the tokenizer of the shards
    is not the folder's, or has more tokens than the folder has rows.
    """
    name = f"train.init_from={config.train.init_from}"
    if start.tokenizer_sha256 not in ("", data.counts["tokenizer_sha256"]):
        raise UserError(
            f"{name} has another tokenizer than the shards of data={config.data.path}; pack with its own"
        )
    vocab_size = int(data.counts["vocab_size"])
    if start.model.vocab_size < vocab_size:
        raise UserError(
            f"{name} has {start.model.vocab_size:,} rows of embeddings, the tokenizer of the shards "
            f"{vocab_size:,} tokens"
        )
    return shaped(config.model, start)


def shaped(model: ModelConfig, start: WarmStart) -> ModelConfig:
    """A model with the shape of a folder's. Raises UserError where its options say another."""
    given, theirs, default = (asdict(each) for each in (model, start.model, ModelConfig()))
    shape = [option for option in theirs if option not in NOT_ITS_SHAPE]
    chosen = [option for option in shape if given[option] != default[option]]
    if wrong := [option for option in shape if given[option] != theirs[option]] if chosen else []:
        option = next((each for each in wrong if each in chosen), wrong[0])
        raise UserError(
            f"train.init_from={start.folder} has model.{option}={theirs[option]}, the options say "
            f"{given[option]}; leave the shape of the model out"
        )
    rows = max(given["vocab_size"], -(-start.model.vocab_size // PADDED_TO) * PADDED_TO)
    return replace(model, **{option: theirs[option] for option in shape}, vocab_size=rows)


def model_as_started(model: ModelConfig, started: dict[str, Any]) -> ModelConfig:
    """The model of a run that has begun, where the options of the command line leave it open."""
    given, default = asdict(model), asdict(ModelConfig())
    if any(given[option] != default[option] for option in given if option not in NOT_ITS_SHAPE):
        return model
    stored = {name: value for name, value in started["config"]["model"].items() if name in given}
    return ModelConfig(**stored | {"loss_chunk_size": model.loss_chunk_size})


def fill(engine: Any, start: WarmStart) -> str:
    """Put the weights of the folder into the fp32 master values of an engine. A collective call.

    Rows of embeddings beyond those of the folder get the mean of its rows: no token has them, and their
    logits stay below those of tokens.

    Returns:
        sha256 of all values in float32, in the order of the parameters.
    """
    import torch

    from onnuri.parallel.zero_layout import local_shards, refresh_copies

    digests = {}
    for shard in local_shards(engine):
        values = start.read(shard.name)
        if missing := start.missing_rows(shard.name, engine.module.config):
            values = torch.cat([values, values.mean(0, keepdim=True).expand(missing, -1)])
        digests[shard.name] = hashlib.sha256(values.numpy().tobytes()).digest()
        held = shard.of(shard.master)
        held.copy_(values.flatten()[shard.start : shard.start + held.numel()])
    refresh_copies(engine)
    whole = hashlib.sha256()
    for name, _ in engine.module.named_parameters():
        whole.update(name.encode() + digests[name])
    return whole.hexdigest()
