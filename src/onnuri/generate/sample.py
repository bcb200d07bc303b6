"""Sampling from a Hugging Face model, token by token, with a key/value cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from onnuri.base.errors import UserError
from onnuri.generate.config import GenerateConfig
from onnuri.hf.load import check_model_folder, first_token, load_model
from onnuri.tokenizer.huggingface import num_ids
from onnuri.tokenizer.stream import Utf8Stream

GREEDY_BELOW = 1e-4
"""Temperatures that would only overflow the logits."""


class Prompt(NamedTuple):
    """A text to continue, and the line of the file that it came from."""

    line: int
    text: str
    tokens: list[int]


class Generator:
    """A Hugging Face folder that continues texts.

    Raises UserError for a folder that is no model.
    """

    def __init__(self, folder: str) -> None:
        check_model_folder(Path(folder))
        self.model, self.tokenizer = load_model(folder)
        self.backend = self.tokenizer.backend_tokenizer
        self.num_ids = num_ids(self.backend)
        self.first = first_token(self.tokenizer, folder)

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt, after the token that begins a document. Raises UserError if it is too long."""
        tokens = [self.first, *self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
        check_length(self.model, tokens)
        return tokens

    def stream(self, tokens: list[int], config: GenerateConfig) -> Iterator[str]:
        """Pieces of the continuation of a prompt, never half a character."""
        stream = Utf8Stream(self.backend)
        eos = self.tokenizer.eos_token_id
        for token in continuation(self.model, tokens, eos, config, self.num_ids):
            yield stream.push(token)
        yield stream.finish()


def fitting(
    generator: Generator, prompts: list[tuple[int, str]], name: str
) -> tuple[list[Prompt], list[str]]:
    """The prompts of a file that fit the model's context, and a line on each other one."""
    found, problems = [], []
    for line, text in prompts:
        try:
            found.append(Prompt(line, text, generator.encode(text)))
        except UserError as error:
            problems.append(f"{name}, line {line}: {error}")
    return found, problems


def read_prompts(config: GenerateConfig) -> list[tuple[int, str]]:
    """The prompts asked for and their lines. Raises UserError if the file cannot be read."""
    if not config.prompts:
        return [(1, config.prompt)]
    try:
        lines = Path(config.prompts).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"prompts={config.prompts} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(
            f"prompts={config.prompts} is not UTF-8; convert it, for example with iconv -f CP949 -t UTF-8"
        ) from None
    return [(number, line) for number, line in enumerate(lines, 1) if line] or [(1, "")]


def check_length(model: Any, tokens: list[int]) -> None:
    """Raise UserError if a prompt fills the context of the model."""
    context = model.config.max_position_embeddings
    if len(tokens) >= context:
        raise UserError(f"the prompt has {len(tokens)} tokens, the model reads at most {context - 1}")


@torch.inference_mode()
def continuation(
    model: Any, tokens: list[int], eos: int, config: GenerateConfig, known_ids: int | None = None
) -> Iterator[int]:
    """Token ids after `tokens`, up to `eos` (not given out), max_tokens, or the end of the context.

    Ids from `known_ids` on, which the tokenizer does not know (rows of a padded embedding), never come.
    Raises UserError if the prompt alone fills the context.
    """
    check_length(model, tokens)
    context = model.config.max_position_embeddings
    generator = torch.Generator(model.device).manual_seed(config.seed)
    cache = None
    inputs = torch.tensor([tokens], device=model.device)
    for _ in range(min(config.max_tokens, context - len(tokens))):
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        token = choose(output.logits[0, -1, :known_ids].float(), config, generator)
        if token == eos:
            return
        yield token
        inputs = torch.tensor([[token]], device=model.device)


def choose(logits: torch.Tensor, config: GenerateConfig, generator: torch.Generator) -> int:
    """One token id from logits [V]: temperature, then top-k, then top-p (Holtzman et al., 1904.09751)."""
    if config.temperature < GREEDY_BELOW:
        return int(logits.argmax())
    ranked, order = (logits / config.temperature).sort(descending=True)
    if config.top_k:
        ranked = ranked[: config.top_k]
    probabilities = ranked.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities * (before < config.top_p)
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
