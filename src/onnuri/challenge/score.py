"""The score of an entry: bits per byte of Korean and English, and KoPairs."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.challenge.folder import Challenge
from onnuri.challenge.sealed_text import LANGUAGES
from onnuri.corpus.texts import Text
from onnuri.hf.full_disk import os_errors
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of

if TYPE_CHECKING:
    from onnuri.evaluate.suite import Suite

BATCH_TOKENS = 4096
ENDS = {"value": "bits_per_byte", "low": "low", "high": "high"}


def score(
    challenge: Challenge, checkpoint: Path, model: ModelConfig, context: int, texts: Sequence[Text]
) -> dict[str, Any]:
    """Scores of the weights in a checkpoint, each {"value", "low", "high"} with its 95 % interval.

    Args:
        model: the shape of the model.
        context: tokens that it was trained to read at once.
        texts: in Korean and English.

    Raises UserError for weights of another shape, and as `kopairs` does.
    """
    from onnuri.evaluate import held_out, suite, task_scores
    from onnuri.hf.load import first_token, load_model

    pairs = kopairs(challenge)
    with tempfile.TemporaryDirectory(prefix="onnuri-challenge-") as folder:
        write_model(challenge, checkpoint, model, context, Path(folder))
        loaded, tokenizer = load_model(folder, dtype="float32")
    separator = first_token(tokenizer, str(checkpoint))
    known = [text for text in texts if text.lang in LANGUAGES]
    bits = held_out.score(loaded, tokenizer, known, separator, BATCH_TOKENS)["languages"]
    tasks, _ = task_scores.score(loaded, tokenizer, [pairs], separator, BATCH_TOKENS)
    found = tasks[suite.KOPAIRS]
    headline = found["metrics"][found["metric"]]
    return {
        **{name: {end: bits[name][key] for end, key in ENDS.items()} for name in LANGUAGES},
        "mean": sum(bits[name]["bits_per_byte"] for name in LANGUAGES) / len(LANGUAGES),
        "kopairs": {name: headline[name] for name in ("value", "low", "high")},
    }


def kopairs(challenge: Challenge) -> Suite:
    """The benchmark as the challenge pins it. Raises UserError if this version has another one."""
    from onnuri.evaluate import suite

    found = suite.load(suite.KOPAIRS, max_items=challenge.content["kopairs_items"])
    if found.protocol != challenge.content["kopairs"]:
        producer = str(challenge.content["producer"])[:40]
        raise UserError(f"the challenge pins another KoPairs than this version has; use {producer}")
    return found


def is_finite(scores: Mapping[str, Any]) -> bool:
    """Whether the scores can be ranked."""
    return math.isfinite(scores["mean"]) and math.isfinite(scores["kopairs"]["value"])


def write_model(
    challenge: Challenge, checkpoint: Path, model: ModelConfig, context: int, folder: Path
) -> None:
    """A Hugging Face folder of weights, with the challenge's tokenizer and nothing of the entrant's."""
    from safetensors.torch import save_file

    from onnuri.hf.config import hf_config
    from onnuri.tokenizer.huggingface import load_tokenizer, tokenizer_config

    tokens = challenge.token_manifest()
    source = challenge.tokens / "tokenizer"
    vocab_size, separator = int(tokens.counts["vocab_size"]), int(tokens.counts["separator"])
    tensors = read_weights(checkpoint, model, vocab_size)
    with os_errors(folder / "model.safetensors"):
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for path in source.iterdir():
        shutil.copyfile(path, folder / path.name)
    end = load_tokenizer(source).id_to_token(separator)
    described = tokenizer_config(source) | {"bos_token": end, "eos_token": end, "model_max_length": context}
    manifest.write_json(folder / "tokenizer_config.json", described)
    exported = replace(model, vocab_size=vocab_size)
    manifest.write_json(
        folder / "config.json", hf_config(exported, context, separator, separator, "float32")
    )


def read_weights(checkpoint: Path, model: ModelConfig, vocab_size: int) -> dict[str, Any]:
    """Weights of a checkpoint by their Hugging Face names; of embeddings the first `vocab_size` rows.

    Raises UserError if the checkpoint lacks some.
    """
    import torch

    from onnuri.checkpoint.shard_file import TensorSlice
    from onnuri.checkpoint.store import load
    from onnuri.checkpoint.weights import tensor_name
    from onnuri.hf.weights import hf_weights

    table = spec_of(model).by_name(model)
    flat = {name: torch.empty(each.numel) for name, each in table.items()}
    load(checkpoint, {tensor_name(name): TensorSlice(values, 0) for name, values in flat.items()})
    found: dict[str, Any] = {}
    for name, each in table.items():
        rows = vocab_size if each.kind == "embedding" else each.shape[0]
        for hf_name, part in hf_weights(model, name, flat[name].view(each.shape)[:rows]):
            found[hf_name] = part.contiguous()
    return found


def table(scores: Mapping[str, Any]) -> str:
    """Scores for people."""
    names = {"ko": "Korean, bits per byte", "en": "English, bits per byte", "kopairs": "KoPairs, accuracy"}
    rows = [
        f"{title:<26}{scores[name]['value']:.4f}  [{scores[name]['low']:.4f}, {scores[name]['high']:.4f}]"
        for name, title in names.items()
    ]
    return "\n".join([*rows, f"{'mean of Korean and English':<26} {scores['mean']:.4f}  (the ranking)"])
