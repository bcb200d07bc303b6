"""Rows for new tokens in the embedding and the output head of a Hugging Face model.

A new row is the mean of the rows of the old tokens that spelled its text (Fast Vocabulary Transfer, arXiv
2402.09977). Files are read and written one at a time, so memory stays near the size of the largest.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base import manifest
from onnuri.base.copying import copy_contents
from onnuri.base.errors import UserError
from onnuri.hf.folder import CONFIG, INDEX, read_config_file, read_json, weight_files
from onnuri.hf.full_disk import os_errors

if TYPE_CHECKING:
    import torch

EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
HEADS = ("lm_head.weight", "lm_head.bias", "embed_out.weight", "shared_head.head.weight")
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".ot", ".safetensors")
OLD_VOCABULARIES = ("vocab.json", "merges.txt", "tokenizer.model", "tekken.json", manifest.FILE_NAME)


def check_model(folder: Path, num_tokens: int) -> None:
    """Check that a model's embeddings can grow from `num_tokens` tokens (ids 0 to num_tokens - 1) on.

    Raises UserError if the folder is no model with safetensors or does not fit the tokenizer.
    """
    config = read_config_file(folder)
    rows = _vocabulary_rows(folder)
    embeddings = [name for name in rows if name.endswith(EMBEDDINGS)]
    if not embeddings:
        raise UserError(f"model={folder} has no tensor named {' or '.join(EMBEDDINGS)}; it cannot be grown")
    if not any(name.endswith(HEADS) for name in rows) and not _tied(config):
        raise UserError(f"model={folder} has no output head named {' or '.join(HEADS)}; it cannot be grown")
    stated = {part["vocab_size"] for part in _parts(config) if "vocab_size" in part}
    if stated != set(rows.values()):
        raise UserError(
            f"model={folder}: config.json gives a vocab_size of {_numbers(stated)}, "
            f"{', '.join(rows)} have {_numbers(set(rows.values()))} rows"
        )
    if min(rows.values()) < num_tokens:
        raise UserError(
            f"model={folder} has embeddings for {min(rows.values()):,} tokens, the tokenizer has "
            f"{num_tokens:,}; take the tokenizer that belongs to the model"
        )


def model_identity(folder: Path) -> str:
    """Hash of a model's config and weights."""
    from tqdm import tqdm

    names = [CONFIG, *(path.name for path in weight_files(folder))]
    with tqdm(names, desc="hashing the model", unit="file", disable=None) as bar:
        return manifest.hash_json({name: manifest.hash_file(folder / name) for name in bar})


def grow_model(folder: Path, output: Path, pieces: Sequence[Sequence[int]], num_tokens: int) -> None:
    """Write a model with rows for new tokens, all else as it is, tokenizer files left out.

    Rows from `num_tokens` on, if the model is padded, are the first to be used.

    Args:
        folder: a model that passed `check_model`.
        pieces: for each new token, in the order of the ids, the old ids whose mean is its row.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
    from tqdm import tqdm

    grown = _vocabulary_rows(folder)
    files = [path.name for path in weight_files(folder)]
    _copy_others(folder, output)
    added = {"total_size": 0, "total_parameters": 0}
    for name in tqdm(files, desc="growing the model", unit="file", disable=None):
        with safe_open(folder / name, "pt") as file:
            metadata, here = file.metadata(), [key for key in grown if key in file.keys()]  # noqa: SIM118
        if not here:
            shutil.copyfile(folder / name, output / name)
            continue
        tensors = load_file(folder / name)
        for key in here:
            before = tensors[key]
            tensors[key] = grow_rows(before, pieces, num_tokens)
            added["total_parameters"] += tensors[key].numel() - before.numel()
            added["total_size"] += (tensors[key].numel() - before.numel()) * before.itemsize
        with os_errors(output / name):
            save_file(tensors, output / name, metadata=metadata)
    if (folder / INDEX).is_file():
        index = read_json(folder / INDEX)
        for name in added.keys() & index.get("metadata", {}).keys():
            index["metadata"][name] += added[name]
        _write_json(output / INDEX, index)
    config = read_config_file(folder)
    for part in _parts(config):
        if "vocab_size" in part:
            part["vocab_size"] = max(part["vocab_size"], num_tokens + len(pieces))
    _write_json(output / "config.json", config)


def grow_rows(weight: torch.Tensor, pieces: Sequence[Sequence[int]], num_tokens: int) -> torch.Tensor:
    """`weight` [V, ...] with the means of the rows in `pieces`, taken in float32, from row `num_tokens` on.

    Returns [max(V, num_tokens + len(pieces)), ...] in the dtype of `weight`.
    """
    import torch

    means = torch.stack([weight[list(ids)].float().mean(0) for ids in pieces]).to(weight.dtype)
    return torch.cat([weight[:num_tokens], means, weight[num_tokens + len(pieces) :]])


def _vocabulary_rows(folder: Path) -> dict[str, int]:
    """Rows of every tensor that has one for each token."""
    from safetensors import SafetensorError, safe_open

    rows = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, "np") as file:
                for key in file.keys():  # noqa: SIM118
                    if key.endswith(EMBEDDINGS + HEADS):
                        rows[key] = int(file.get_slice(key).get_shape()[0])
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
    return rows


def _copy_others(folder: Path, output: Path) -> None:
    """Copy what is no weight and no vocabulary: code, licences, texts, settings."""

    def left_out(_: str, names: list[str]) -> list[str]:
        ends = (*OTHER_WEIGHTS, ".tiktoken", ".index.json")
        return [
            name
            for name in names
            if name.startswith(".") or name in OLD_VOCABULARIES or name.endswith(ends)
        ]

    copy_contents(folder, output, left_out)


def _tied(config: dict[str, Any]) -> bool:
    """False if the config says that the output head has weights of its own."""
    return all(part.get("tie_word_embeddings", True) for part in _parts(config))


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A model's config and, in one that also sees or hears, that of its language model."""
    return [config, *([config["text_config"]] if isinstance(config.get("text_config"), dict) else [])]


def _numbers(values: set[int]) -> str:
    return " and ".join(f"{value:,}" for value in sorted(values)) or "nothing"


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """In the order in which the keys were, as other programs' diffs expect."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
