"""Weights that a run starts from, in place of drawn ones: `train.init_from`.

They may lie in a Hugging Face folder (qwen3, llama), in one that `onnuri import` made, in a checkpoint, or
in a run directory, of which the newest checkpoint counts. The optimizer starts anew. Once a run has a
checkpoint the folder is not read any more, unless the run trains adapters (`onnuri.model.lora`): its
checkpoints hold nothing else, so the model that they belong to is read at every start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.weights import MODEL_FILE, TOKENIZER_FOLDER, read_weights_folder, tensor_name
from onnuri.hf.config import read_config
from onnuri.hf.folder import CONFIG, read_config_file
from onnuri.model.config import ModelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import TOKEN_KINDS, Parameter, spec_of
from onnuri.run.checkpoints import newest_verified, read_verified
from onnuri.run.locate import find_run
from onnuri.run.run_file import DATA_FOLDER, context_of, read_run_file
from onnuri.train.config import PretrainConfig

if TYPE_CHECKING:
    import torch

PADDED_TO = 64
"""Rows of embeddings are a multiple of it, for matrix units."""
NOT_ITS_SHAPE = ("vocab_size", "init_std", "residual_init", "embedding_init_std", "loss_chunk_size")
"""Options of a model that say nothing of the weights in a folder."""
WHOLE = LoraConfig()
"""No adapters."""


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
    context: int = 0
    """Tokens that the model is known to read; 0: the folder does not say."""

    def read_for(self, model: ModelConfig, name: str, parameter: Parameter) -> torch.Tensor:
        """The same for a model that may have more rows of embeddings.

        Those get the mean of the folder's rows: no token has them, and their logits stay below those of
        tokens.
        """
        import torch

        values = self.read(name)
        missing = model.vocab_size - self.model.vocab_size if parameter.kind in TOKEN_KINDS else 0
        return torch.cat([values, values.mean(0, keepdim=True).expand(missing, -1)]) if missing else values

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
        tokenizer, weights = _hash(folder / "tokenizer.json"), Weights(folder, model)
        context = _whole(read_config_file(folder).get("max_position_embeddings"))
        return WarmStart(folder, model, tokenizer, identity, weights.read, context)
    if (folder / MODEL_FILE).is_file():
        made, model = read_weights_folder(folder)
        tokenizer = _hash(folder / TOKENIZER_FOLDER / "tokenizer.json")
        context = _whole(made.counts.get("context_length"))
        return WarmStart(folder, model, tokenizer, made.identity, stored(folder, model), context)
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
    lora = LoraConfig(**run["config"].get("lora", {}))
    read = merged(checkpoint, made, model, lora) if lora.rank else stored(checkpoint, model)
    return WarmStart(checkpoint, model, counts["tokenizer_sha256"], made.identity, read, context_of(run))


def _whole(found: object) -> int:
    return found if type(found) is int and found > 0 else 0


def _hash(path: Path) -> str:
    return manifest.hash_file(path) if path.is_file() else ""


def stored(
    folder: Path,
    model: ModelConfig,
    lora: LoraConfig = WHOLE,
    file_name: Callable[[str], str] = tensor_name,
) -> Callable[[str], torch.Tensor]:
    """Reads from files in the layout of checkpoints, where a parameter is called `file_name(NAME)`. A
    collective call where a process group exists."""
    import torch

    from onnuri.checkpoint.shard_file import TensorSlice
    from onnuri.checkpoint.store import load
    from onnuri.model.lora import adapters

    table = spec_of(model).by_name(model)
    table = {**table, **adapters(table, lora)}

    def read(name: str) -> torch.Tensor:
        parameter = table[name]
        values = torch.empty(parameter.numel)
        load(folder, {file_name(name): TensorSlice(values, 0)})
        return values.view(-1, parameter.columns) if parameter.columns else values

    return read


def merged(
    folder: Path,
    checkpoint: Manifest,
    model: ModelConfig,
    lora: LoraConfig,
    file_name: Callable[[str], str] = tensor_name,
    base: str = "",
) -> Callable[[str], torch.Tensor]:
    """Reads the weights that a checkpoint of adapters makes of the model that they were trained on.

    Args:
        base: folder of that model, where it is no longer the one that the checkpoint names.

    Raises UserError if that model cannot be read, or has other weights than in training.
    """
    from onnuri.model.lora import adapter_names

    start = open_base(checkpoint, model, base)
    table, read = spec_of(model).by_name(model), stored(folder, model, lora, file_name)

    def merge(name: str) -> torch.Tensor:
        values = start.read_for(model, name, table[name])
        if table[name].kind == "matrix":
            a, b = map(read, adapter_names(name))
            values = values.addmm(b, a, alpha=lora.scale)
        return values

    return merge


def open_base(checkpoint: Manifest, model: ModelConfig, base: str = "") -> WarmStart:
    """The model that a checkpoint's adapters were trained on. Raises as `merged` does."""
    recorded = checkpoint.counts["base"]
    name = base or recorded["folder"]
    try:
        start = open_warm_start(name)
    except UserError as error:
        raise UserError(f"the checkpoint has adapters alone, and the model under them: {error}") from None
    table, ours, theirs = spec_of(model).by_name(model), asdict(model), asdict(start.model)
    fits = start.model.vocab_size <= model.vocab_size and all(
        ours[option] == theirs[option] for option in ours if option not in NOT_ITS_SHAPE
    )
    if fits:
        digests = {each: digest(start.read_for(model, each, table[each])) for each in table}
        if digest_of_all(model, digests) == recorded["weights_sha256"]:
            return start
    raise UserError(f"{name} has other weights than those that the adapters were trained on")


def digest(values: torch.Tensor) -> bytes:
    """sha256 of a weight in float32."""
    return hashlib.sha256(values.numpy().tobytes()).digest()


def digest_of_all(model: ModelConfig, digests: Mapping[str, bytes]) -> str:
    """sha256 over the digests of all weights of a model, in the order of its parameters."""
    import torch

    from onnuri.kernels import REFERENCE

    with torch.device("meta"):
        names = [name for name, _ in spec_of(model).build(model, REFERENCE).named_parameters()]
    whole = hashlib.sha256()
    for name in names:
        whole.update(name.encode() + digests[name])
    return whole.hexdigest()


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


def fill(engine: Any, start: WarmStart, table: Mapping[str, Parameter], seed: int) -> str:
    """Put the weights of the folder into the fp32 master values of an engine, and into what it does not
    train; adapters get their first values. A collective call.

    Args:
        table: what is known of the engine's parameters, by name.
        seed: of adapters.

    Returns:
        sha256 of the values of all but adapters in float32, in the order of the parameters.
    """
    from onnuri.model.initialise import drawn
    from onnuri.parallel.zero_layout import local_shards, refresh_copies, set_frozen

    model, digests = engine.module.config, {}

    def whole(name: str) -> torch.Tensor:
        if table[name].kind == "adapter":
            return drawn(seed, name, table[name])
        values = start.read_for(model, name, table[name])
        digests[name] = digest(values)
        return values

    for shard in local_shards(engine):
        held = shard.of(shard.master)
        held.copy_(whole(shard.name).flatten()[shard.start : shard.start + held.numel()])
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            set_frozen(engine, parameter, whole(name))
    refresh_copies(engine)
    return digest_of_all(model, digests)
