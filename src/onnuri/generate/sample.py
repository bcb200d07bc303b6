"""Sampling from a Hugging Face model, token by token, with a key/value cache."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from onnuri.errors import UserError
from onnuri.export.load import check_model_folder, first_token, load_model
from onnuri.generate.config import GenerateConfig
from onnuri.tokenizer.huggingface import num_ids
from onnuri.tokenizer.stream import Utf8Stream

GREEDY_BELOW = 1e-4
"""Temperatures that would only overflow the logits."""


def generate(config: GenerateConfig) -> int:
    """Print each prompt and its continuation while it is written. Returns the exit status.

    Of a file of prompts those that are too long are reported first and left out; the status is then 1.
    """
    check_model_folder(Path(config.model))
    prompts = read_prompts(config)
    model, tokenizer = load_model(config.model)
    backend, fitting = tokenizer.backend_tokenizer, []
    first = first_token(tokenizer, config.model)
    for line, prompt in prompts:
        tokens = [first, *tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]]
        try:
            check_length(model, tokens)
        except UserError as error:
            if not config.prompts:
                raise
            print(f"error: {config.prompts}, line {line}: {error}", file=sys.stderr, flush=True)
            continue
        fitting.append((prompt, tokens))
    for prompt, tokens in fitting:
        stream = Utf8Stream(backend)
        print(prompt, end="", flush=True)
        for token in continuation(model, tokens, tokenizer.eos_token_id, config, num_ids(backend)):
            print(stream.push(token), end="", flush=True)
        print(stream.finish(), end="\n\n" if len(prompts) > 1 else "\n", flush=True)
    return 0 if len(fitting) == len(prompts) else 1


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
