"""Options of scripts/generate.py and scripts/chat.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option


class SamplingConfig(Protocol):
    """What both commands have."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int


@dataclass
class GenerateConfig:
    """Which model, from which beginning."""

    model: str = path_option()
    """Hugging Face model folder, or ORG/NAME of a hub."""
    hub: str = ""
    """Address of the hub that has model=ORG/NAME; empty: HF_ENDPOINT. Never the public hub."""
    prompt: str = ""
    """Text to continue; empty starts a new document."""
    prompts: str = path_option("")
    """File with one prompt a line, instead of `prompt`."""
    max_tokens: int = 128
    """Most tokens to write; the model's context length ends the text too."""
    temperature: float = 0.8
    """Below 1 sharper, above 1 wilder; 0 always takes the likeliest token."""
    top_p: float = 0.95
    """Sample among the likeliest tokens that hold this share of the probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0: no limit."""
    seed: int = 0
    """The same seed writes the same text."""

    def __post_init__(self) -> None:
        _check(self)
        if self.prompt and self.prompts:
            raise UserError("give prompt= or prompts=, not both")


@dataclass
class ChatConfig:
    """Which model, and how it answers."""

    model: str = path_option()
    """Hugging Face model folder of a chat model, whose turns are ChatML; or ORG/NAME of a hub."""
    hub: str = ""
    """Address of the hub that has model=ORG/NAME; empty: HF_ENDPOINT. Never the public hub."""
    system: str = ""
    """System message at the head of the conversation; empty: none."""
    max_tokens: int = 512
    """Most tokens of an answer."""
    temperature: float = 0.7
    """Below 1 sharper, above 1 wilder; 0 always takes the likeliest token."""
    top_p: float = 0.95
    """Sample among the likeliest tokens that hold this share of the probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0: no limit."""
    seed: int = 0
    """The same seed gives the same answers to the same conversation."""

    def __post_init__(self) -> None:
        _check(self)


def _check(config: SamplingConfig) -> None:
    fits = 0 <= config.temperature < math.inf and 0 < config.top_p <= 1  # false for NaN too
    if not fits or config.top_k < 0 or config.max_tokens < 1:
        raise UserError("needed: temperature >= 0, 0 < top_p <= 1, top_k >= 0, max_tokens >= 1")
