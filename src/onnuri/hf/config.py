"""`config.json` of a Hugging Face folder and the options of our model, in both directions by the spec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.hf.folder import CONFIG, read_config_file
from onnuri.model.config import ModelConfig
from onnuri.model.spec import ARCHITECTURES, HuggingFaceType, load_spec, spec_of

LARGEST = 1 << 53
"""Of a number in config.json: larger ones are not all exact in JSON."""


def hf_config(
    config: ModelConfig, context_length: int, separator: int, pad: int, dtype: str
) -> dict[str, Any]:
    """The `config.json` of an export, readable by transformers 4.51 and later, and 5.

    Raises UserError for an architecture that has no Hugging Face twin.
    """
    twin = spec_of(config).hf_type(config)
    return {
        "architectures": [twin.class_name],
        "model_type": twin.model_type,
        **{theirs: getattr(config, ours) for ours, theirs in twin.keys.items()},
        **twin.constants,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "max_position_embeddings": context_length,
        "attention_dropout": 0.0,
        "use_cache": True,
        "bos_token_id": separator,
        "eos_token_id": separator,
        "pad_token_id": pad,
        "torch_dtype": dtype,
    }


def read_config(folder: Path) -> ModelConfig:
    """The options of the model in a Hugging Face folder.

    Raises UserError, with the reason, for what our models do not compute.
    """
    values = {name: value for name, value in read_config_file(folder).items() if value is not None}
    architecture, twin = _find_type(values, folder)
    if reason := _unsupported(values, twin):
        raise UserError(f"model={folder} cannot be imported: {reason}")
    values |= _rope(values, folder)
    options = _options(values, twin, folder)
    try:
        return ModelConfig(**options, **twin.options, architecture=architecture)
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from None


def _find_type(values: Mapping[str, Any], folder: Path) -> tuple[str, HuggingFaceType]:
    """Our architecture for a `model_type`, and what it is to Hugging Face."""
    known: dict[str, tuple[str, HuggingFaceType]] = {}
    for name in ARCHITECTURES:
        known |= {twin.model_type: (name, twin) for twin in load_spec(name).hf_types}
    asked = values.get("model_type")
    if not isinstance(asked, str) or asked not in known:
        shown = str(asked)[:60]
        raise UserError(
            f"model={folder} is of the type '{shown}', which cannot be imported; known: {', '.join(known)}"
        )
    return known[asked]


def _unsupported(values: Mapping[str, Any], twin: HuggingFaceType) -> str:
    """Why a model of a known type is none of ours, or nothing."""
    if "quantization_config" in values:
        return "its weights are quantised (quantization_config)"
    if "auto_map" in values:
        return "it brings code of its own (auto_map)"
    layers = values.get("layer_types", [])
    whole = isinstance(layers, list) and all(layer == "full_attention" for layer in layers)
    if values.get("use_sliding_window") or not whole:
        return "it has sliding windows (use_sliding_window, layer_types)"
    for name, value in twin.constants.items():
        if values.get(name, value) != value:
            return f"{name}={str(values[name])[:60]} is not supported, only {value}"
    return ""


def _rope(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The base of rotary positions, where transformers 4 has it and where 5 has it."""
    thetas = [values["rope_theta"]] if "rope_theta" in values else []
    for name in ("rope_scaling", "rope_parameters"):
        described = values.get(name, {})
        if not isinstance(described, dict):
            raise UserError(f"{folder / CONFIG} is damaged: {name} is no table")
        kind = described.get("rope_type", described.get("type", "default"))
        if kind != "default" or described.get("partial_rotary_factor", 1) != 1:
            raise UserError(
                f"model={folder} cannot be imported: its rotary positions are scaled ({name}: "
                f"{str(kind)[:60]})"
            )
        thetas += [described["rope_theta"]] if "rope_theta" in described else []
    if any(theta != thetas[0] for theta in thetas):
        raise UserError(f"{folder / CONFIG} has two values of rope_theta")
    if values.get("partial_rotary_factor", 1) != 1:
        raise UserError(f"model={folder} cannot be imported: only a part of each head is rotated")
    return {"rope_theta": thetas[0]} if thetas else {}


def _options(values: Mapping[str, Any], twin: HuggingFaceType, folder: Path) -> dict[str, Any]:
    """Options of a ModelConfig, each of the type that it must have."""
    present, defaults = {}, vars(ModelConfig())
    for ours, theirs in twin.keys.items():
        if theirs in values:
            value, kind = values[theirs], type(defaults[ours])
            fits = type(value) is kind or (kind is float and type(value) is int)
            if not fits or not abs(value) < LARGEST:
                raise UserError(
                    f"{folder / CONFIG}: {theirs} is {str(value)[:60]}, no such value is possible"
                )
            present[theirs] = kind(value)
    try:
        complete = {**twin.defaults(present), **present}
        return {ours: complete[theirs] for ours, theirs in twin.keys.items()}
    except KeyError as error:
        raise UserError(f"{folder / CONFIG} is damaged: it lacks {error}") from None
