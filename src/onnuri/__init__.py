"""Onnuri: raw Korean and English text to a language model that anyone can load, check and share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnuri.api import evaluate_model, generate_text, open_tokens
    from onnuri.base.errors import UserError
    from onnuri.hf.load import load_model
    from onnuri.model.config import ModelConfig
    from onnuri.model.decoder import Decoder
    from onnuri.tokenizer.huggingface import load_tokenizer

__version__ = "0.1.0"

_HOMES = {
    "Decoder": "onnuri.model.decoder",
    "ModelConfig": "onnuri.model.config",
    "UserError": "onnuri.base.errors",
    "evaluate_model": "onnuri.api",
    "generate_text": "onnuri.api",
    "load_model": "onnuri.hf.load",
    "load_tokenizer": "onnuri.tokenizer.huggingface",
    "open_tokens": "onnuri.api",
}
"""Where each name comes from; it is imported when it is first asked for, and torch with it if needed."""

__all__ = [
    "Decoder",
    "ModelConfig",
    "UserError",
    "__version__",
    "evaluate_model",
    "generate_text",
    "load_model",
    "load_tokenizer",
    "open_tokens",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onnuri' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
