"""Sampling from a Hugging Face model, token by token, with a key/value cache."""

from __future__ import annotations

from collections.abc import Container, Iterator
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
        self.stops = stop_tokens(self.model, self.tokenizer)

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt, after the token that begins a document.

        Raises UserError if it is too long, no text, or has a token that the model does not know.
        """
        check_text(text)
        tokens = [self.first, *self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
        check_length(self.model, tokens)
        if max(tokens) >= (rows := self.model.config.vocab_size):
            raise UserError(
                f"the prompt has the token {max(tokens)}, the model only {rows:,}: it and its tokenizer "
                "do not belong together"
            )
        return tokens

    def stream(self, tokens: list[int], config: GenerateConfig) -> Iterator[str]:
        """Pieces of the continuation of a prompt, never half a character."""
        stream = Utf8Stream(self.backend)
        for token in continuation(self.model, tokens, self.stops, config, self.num_ids):
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


def stop_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end a text: of the tokenizer and of generation_config.json; chat models have several."""
    described = getattr(model.generation_config, "eos_token_id", None)
    named = described if isinstance(described, list) else [described]
    return {int(token) for token in (tokenizer.eos_token_id, *named) if token is not None}


def check_text(prompt: object) -> None:
    """Raise UserError for a prompt that is no string, or holds half a surrogate pair."""
    if not isinstance(prompt, str):
        raise UserError(f"the prompt must be a text, it is of the type {type(prompt).__name__}")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UserError("the prompt has half a surrogate pair, which UTF-8 cannot hold") from None


def check_length(model: Any, tokens: list[int]) -> None:
    """Raise UserError if a prompt fills the context of the model."""
    context = model.config.max_position_embeddings
    if len(tokens) >= context:
        raise UserError(f"the prompt has {len(tokens)} tokens, the model reads at most {context - 1}")


@torch.inference_mode()
def continuation(
    model: Any,
    tokens: list[int],
    stops: Container[int],
    config: GenerateConfig,
    known_ids: int | None = None,
) -> Iterator[int]:
    """Token ids after `tokens`, up to one of `stops` (not given out), max_tokens or the end of the context.

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
        if token in stops:
            return
        yield token
        inputs = torch.tensor([[token]], device=model.device)


def choose(logits: torch.Tensor, config: GenerateConfig, generator: torch.Generator) -> int:
    """One token id from logits [V]: temperature, then top-k, then top-p (Holtzman et al., 1904.09751)."""
    if config.temperature < GREEDY_BELOW:
        return int(logits.argmax())
    scaled = logits / config.temperature
    if 0 < config.top_k < len(scaled):
        ranked, order = scaled.topk(config.top_k)
    else:
        ranked, order = scaled.sort(descending=True)
    probabilities = ranked.softmax(-1)
    if config.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities * (before < config.top_p)
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
