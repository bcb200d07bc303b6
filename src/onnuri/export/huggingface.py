"""Write a Hugging Face folder: weights file by file, so memory stays near one file's size."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any

from tqdm import tqdm

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.export.card.results import EVALUATION_FILE
from onnuri.export.card.training import TRAINING_FILE, training_facts
from onnuri.export.card.write import README_FILE, write_first_card
from onnuri.export.chat import TEMPLATE_FILE, Chat, chat_of
from onnuri.export.config import ExportConfig
from onnuri.export.peft import write_adapter
from onnuri.export.weights import Weights, choose_weights, describe, with_adapters
from onnuri.hf.full_disk import os_errors
from onnuri.model.config import ModelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import TOKEN_KINDS, spec_of
from onnuri.run.checkpoints import newest_verified, read_verified
from onnuri.run.locate import locate
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE, context_of, read_run_file
from onnuri.tokens.ramp import batch_ramp, length_ramp, training_flops

log = logging.getLogger(__name__)

FORMAT = 3
"""Counted up when the same request gives another folder: older ones are then written anew."""


@dataclass
class ExportSource:
    """A checkpoint and what its run says about it."""

    folder: Path
    checkpoint: Manifest
    run: dict[str, Any]
    tokens: Manifest
    tokens_folder: Path

    @property
    def model(self) -> ModelConfig:
        """The shape of the trained model."""
        described = self.run["config"]["model"]
        if unknown := sorted(described.keys() - {field.name for field in fields(ModelConfig)}):
            raise UserError(
                f"{self.tokens_folder.parent / RUN_FILE} has the model option '{unknown[0]}', which this "
                "version does not know: export with the version that trained it"
            )
        return ModelConfig(**described)

    @property
    def lora(self) -> LoraConfig:
        """The adapters that were trained; rank 0: all weights were."""
        return LoraConfig(**self.run["config"].get("lora", {}))

    @property
    def exported_model(self) -> ModelConfig:
        """Its shape with an embedding row for each token and no more.

        Training rounds the rows up. Those beyond the tokenizer are never trained, yet each of them would be
        sampled now and then, and not every inference engine has a setting against that.
        """
        return replace(self.model, vocab_size=int(self.tokens.counts["vocab_size"]))

    @property
    def step(self) -> int:
        """Optimizer steps behind the weights."""
        return int(self.checkpoint.settings["step"])

    @property
    def tokens_seen(self) -> int:
        """Training tokens behind the weights."""
        return int(self.checkpoint.counts["progress"]["tokens"])

    @property
    def training_flops(self) -> int:
        """FLOPs behind the weights."""
        train, data = (self.run["config"].get(part, {}) for part in ("train", "data"))
        return training_flops(
            self.model.flops_per_token,
            batch_ramp(train.get("batch_ramp", {}), train.get("global_batch_size", 1)),
            length_ramp(data.get("length_ramp", {}), data["sequence_length"]),
            self.step,
            self.tokens_seen,
        )


def find_source(path: str) -> ExportSource:
    """The checkpoint to export: the newest complete one of a run, or the one named.

    Raises UserError if there is none, if it is damaged, or if the run does not describe its own shards.
    """
    run_dir, folder = locate(path)
    run = read_run_file(run_dir)
    assert run is not None
    if folder:
        checkpoint = read_verified(folder)
    else:
        found = newest_verified(run_dir)
        if found is None:
            raise UserError(f"{run_dir} has no finished checkpoint yet")
        folder, checkpoint, problems = found
        for problem in problems:
            log.info(problem)
    tokens_folder = run_dir / DATA_FOLDER
    tokens = manifest.read(tokens_folder, "tokens")
    if tokens.identity != run["data"]:
        raise UserError(f"{tokens_folder} describes other shards than those {run_dir} was trained on")
    texts = {
        name.removeprefix("tokenizer/"): facts
        for name, facts in tokens.files.items()
        if name.startswith("tokenizer/")
    }
    manifest.verify(tokens_folder / "tokenizer", replace(tokens, files=texts))
    return ExportSource(folder, checkpoint, run, tokens, tokens_folder)


def export(config: ExportConfig) -> Manifest:
    """Write the folder, or do nothing when it already answers this request. Returns its manifest."""
    source = find_source(config.checkpoint)
    architecture = spec_of(source.model).hf_type(source.model).model_type
    run_dir = source.tokens_folder.parent
    weights, averaged, others = choose_weights(config, run_dir, source.folder, source.checkpoint)
    chat = chat_of(config.chat, source.tokens, source.tokens_folder / "tokenizer")
    if config.adapter and not source.lora.rank:
        raise UserError(f"adapter=true: {run_dir} trained all weights (lora.rank=0)")
    kind = "adapter" if config.adapter else "model"
    settings: dict[str, Any] = {
        "dtype": config.dtype,
        "max_shard_gb": config.max_shard_gb,
        "format": FORMAT,
    }
    if averaged:
        settings |= {"weights": config.weights, "mean_of": config.mean_of}
    if chat:
        settings["chat"] = chat.facts
    inputs = {"checkpoint": source.checkpoint.identity, "tokens": source.tokens.identity, **others}
    if made := manifest.up_to_date(config.output, kind, settings, inputs):
        log.info("%s is up to date", config.output)
        if kind == "model" and not (Path(config.output) / README_FILE).is_file():
            write_first_card(Path(config.output), Path(config.output).resolve().name)
        return made
    if source.lora.rank:
        weights = with_adapters(weights, source.model, source.lora, source.checkpoint, config.base)
    if (Path(config.output) / EVALUATION_FILE).exists():
        log.info(f"{EVALUATION_FILE} in {config.output} is of the model before, and goes with it")
    with manifest.building(config.output, kind) as partial:
        write_texts(source, partial, config, averaged, chat)
        if config.adapter:
            base = Path(config.base or source.checkpoint.counts["base"]["folder"]).resolve()
            (partial / "config.json").unlink()  # with it, the folder would be taken for a whole model
            parameters = write_adapter(
                source.folder,
                source.model,
                source.lora,
                weights.file_name,
                base,
                partial,
                config.dtype,
            )
        else:
            parameters = source.exported_model.num_parameters()
            write_weights(
                weights,
                source.model,
                source.exported_model.vocab_size,
                partial,
                config.dtype,
                config.max_shard_gb,
            )
        counts = {
            "step": source.step,
            "tokens_seen": source.tokens_seen,
            "training_flops": source.training_flops,
            "parameters": parameters,
            **({"weights": averaged} if averaged else {}),
        }
        made = manifest.seal(partial, kind, settings, inputs, counts)
        if kind == "model":
            write_first_card(partial, Path(config.output).resolve().name)
    what = f", {describe(averaged)}" if averaged else ""
    what += ", as a chat model" if chat else ""
    what += ", the adapter alone" if config.adapter else ""
    size = f"{parameters / 1e6:.1f}M" if parameters > 99_999 else f"{parameters:,}"
    log.info(
        f"exported {source.folder.name} of {config.checkpoint}{what}: {architecture}, "
        f"{size} parameters in {config.dtype}, to {config.output}"
    )
    return made


def plan_files(sizes: dict[str, int], limit: float) -> list[list[str]]:
    """Group weights of the decoder into files of at most `limit` bytes (one weight may exceed it)."""
    files: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if files[-1] and used + size > limit:
            files.append([])
            used = 0
        files[-1].append(name)
        used += size
    return files


def write_weights(
    weights: Weights,
    model: ModelConfig,
    vocab_size: int,
    output: Path,
    dtype_name: str,
    max_shard_gb: float,
) -> None:
    """Read weights in the layout of checkpoints, file by file, and write them under Hugging Face names.

    Args:
        weights: of checkpoints, or of an imported model.
        vocab_size: rows of the embedding and of the output matrix to write, the first ones.
        dtype_name: float32 or bfloat16.
        max_shard_gb: the largest file, in GB.
    """
    import torch
    from safetensors.torch import save_file

    from onnuri.hf.weights import hf_weights

    table, dtype = spec_of(model).by_name(model), getattr(torch, dtype_name)
    kept = {name: vocab_size if p.kind in TOKEN_KINDS else p.shape[0] for name, p in table.items()}
    sizes = {name: kept[name] * prod(p.shape[1:]) * dtype.itemsize for name, p in table.items()}
    files = plan_files(sizes, max_shard_gb * 1e9)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(tqdm(files, desc="weights", unit="file", disable=None), start=1):
        file_name = (
            "model.safetensors"
            if len(files) == 1
            else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        )
        flat = weights.read({name: table[name].numel for name in names})
        tensors = {
            hf_name: part.to(dtype).contiguous()
            for name in names
            for hf_name, part in hf_weights(model, name, flat[name].view(table[name].shape)[: kept[name]])
        }
        with os_errors(output / file_name):
            save_file(tensors, output / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file_name)
    if len(files) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        manifest.write_json(output / "model.safetensors.index.json", index)


def write_texts(
    source: ExportSource,
    output: Path,
    config: ExportConfig,
    averaged: dict[str, Any] | None = None,
    chat: Chat | None = None,
) -> None:
    """Config, generation config, tokenizer, and what the model card says of the training.

    Args:
        averaged: what the weights are an average of; empty: the checkpoint's own.
        chat: of a chat model.
    """
    from onnuri.hf.config import hf_config
    from onnuri.tokenizer.huggingface import (
        TOKENIZER_FILES,
        load_tokenizer,
        special_token,
        tokenizer_config,
    )
    from onnuri.tokenizer.special import PAD, TURN_END

    length = context_of(source.run)
    folder = source.tokens_folder / "tokenizer"
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, output / name)
    tokenizer, separator = load_tokenizer(folder), source.tokens.counts["separator"]
    end = tokenizer.id_to_token(separator)
    padding = special_token(folder, PAD, "pad_token") or end
    pad = tokenizer.token_to_id(padding)
    roles = {"bos_token": end, "eos_token": end, "pad_token": padding}  # as trained, whatever it had before
    described = tokenizer_config(output) | roles | {"model_max_length": length}
    stops: int | list[int] = separator
    if chat:
        roles["eos_token"] = TURN_END
        described |= roles | {"chat_template": chat.template}
        stops = [chat.turn_end, separator]
        if (output / TEMPLATE_FILE).is_file():
            (output / TEMPLATE_FILE).write_text(chat.template, encoding="utf-8")
    manifest.write_json(output / "tokenizer_config.json", described)
    if (output / "special_tokens_map.json").is_file():
        manifest.write_json(output / "special_tokens_map.json", roles)
    ids = {"bos_token_id": separator, "eos_token_id": stops, "pad_token_id": pad}
    model = hf_config(source.exported_model, length, separator, pad, config.dtype)
    manifest.write_json(output / "config.json", model | {"eos_token_id": stops})
    manifest.write_json(
        output / "generation_config.json",
        ids | {"do_sample": True, "temperature": 0.8, "top_p": 0.95},
    )
    run_dir, rows = source.tokens_folder.parent, source.model.vocab_size
    facts = training_facts(run_dir, source.run, source.tokens, source.checkpoint, rows)
    if averaged:
        facts["weights"] = averaged
    if chat:
        facts["chat"] = chat.facts
    manifest.write_json(output / TRAINING_FILE, facts)
