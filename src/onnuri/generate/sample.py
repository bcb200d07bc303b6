"""Texts from a Hugging Face folder, token by token."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import torch

from onnuri.base.errors import UserError
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.config import GenerateConfig, SamplingConfig
from onnuri.generate.int8 import with_int8_weights
from onnuri.generate.sampling import GREEDY_BELOW, Request
from onnuri.hf.folder import read_config_file, read_json
from onnuri.hf.load import (
    check_model_folder,
    first_token,
    load_auto_tokenizer,
    load_model,
    model_context,
)
from onnuri.hf.weights import load_decoder, stored_dtype
from onnuri.kernels import KernelConfig
from onnuri.kernels import choose as choose_kernels
from onnuri.tokenizer.huggingface import num_ids
from onnuri.tokenizer.stream import Utf8Stream

Weights = Literal["stored", "int8"]
"""What the weights are held in: the dtype of the folder, or matrices in int8."""
SLOTS = 8
"""Prompts of a file that are continued at a time."""


class Prompt(NamedTuple):
    """A text to continue, and the line of the file that it came from."""

    line: int
    text: str
    tokens: list[int]


class Generator:
    """A Hugging Face folder that continues texts.

    Folders of the types that we train (qwen3, llama) run in `BatchGenerator`; others in transformers, one
    text after another.

    Args:
        weights: what they are held in; int8 only in `BatchGenerator`.

    Raises UserError for a folder that is no model.
    """

    def __init__(self, folder: str, weights: Weights = "stored") -> None:
        check_model_folder(Path(folder))
        self.decoder = load_own(folder, weights)
        if self.decoder is None and weights != "stored":
            raise UserError(
                f"model={folder} cannot have weights={weights}: it is of a type that runs in transformers"
            )
        if self.decoder is None:
            self.model, self.tokenizer = load_model(folder)
            self.context, self.vocab_size = model_context(self.model.config), self.model.config.vocab_size
        else:
            self.tokenizer = load_auto_tokenizer(folder)
            self.context = model_context(SimpleNamespace(**read_config_file(Path(folder))))
            self.vocab_size = self.decoder.config.vocab_size
        self.backend = self.tokenizer.backend_tokenizer
        self.num_ids = num_ids(self.backend)
        self.first = first_token(self.tokenizer, folder)
        self.stops = stop_tokens(Path(folder), self.tokenizer)
        self._batch: BatchGenerator | None = None

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt, after the token that begins a document.

        Raises UserError if it is too long, no text, or has a token that the model does not know.
        """
        check_text(text)
        tokens = [self.first, *self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
        check_length(self.context, tokens)
        if max(tokens) >= self.vocab_size:
            raise UserError(
                f"the prompt has the token {max(tokens)}, the model only {self.vocab_size:,}: it and its "
                "tokenizer do not belong together"
            )
        return tokens

    def stream(self, tokens: list[int], config: SamplingConfig) -> Iterator[str]:
        """Pieces of the continuation of a prompt, never half a character."""
        return (piece for _, piece in self.stream_all([tokens], config))

    def stream_all(self, prompts: Sequence[list[int]], config: SamplingConfig) -> Iterator[tuple[int, str]]:
        """Pieces of the continuations of all prompts, with the prompt's number, in their order."""
        current, stream = 0, Utf8Stream(self.backend)
        for number, token in self.tokens(prompts, config):
            while number > current:
                yield current, stream.finish()
                current, stream = current + 1, Utf8Stream(self.backend)
            yield number, stream.push(token)
        for number in range(current, len(prompts)):
            yield number, stream.finish()
            stream = Utf8Stream(self.backend)

    def tokens(
        self,
        prompts: Sequence[list[int]],
        config: SamplingConfig,
        stops: frozenset[int] = frozenset(),
        slots: int = SLOTS,
    ) -> Iterator[tuple[int, int]]:
        """(number of the prompt, id) of all continuations, prompt by prompt; ids that end one are left out.

        Several prompts are continued at a time; what comes of later ones is held back.

        Args:
            stops: ids that end a text, beside those that the folder names.
            slots: prompts continued at a time.
        """
        stops |= self.stops
        if self.decoder is None:
            for number, prompt in enumerate(prompts):
                found = continuation(self.model, prompt, stops, config, self.num_ids)
                yield from ((number, token) for token in found)
            return
        if not prompts:
            return
        longest = max(map(len, prompts)) + config.max_tokens
        batch = self._batcher(min(slots, len(prompts)), min(self.context, longest))
        held: dict[int, list[int]] = {number: [] for number in range(len(prompts))}
        ended: set[int] = set()
        for event in batch.stream(request_of(prompt, config, stops) for prompt in prompts):
            if event.ended:
                ended.add(event.request)
            if event.ended != "stop":
                held[event.request].append(event.token)
            while held:
                number = next(iter(held))
                yield from ((number, token) for token in held[number])
                held[number] = []
                if number not in ended:
                    break
                del held[number]

    def _batcher(self, slots: int, context: int) -> BatchGenerator:
        """The one of the last call, which knows what was read, or where that is too small a larger one."""
        batch = self._batch
        if batch is None or batch.active or batch.slots < slots or batch.context < context:
            room = context if batch is None else min(self.context, 2 * context)
            batch = self._batch = BatchGenerator(self.decoder, slots, room, self.num_ids)
        return batch


def request_of(prompt: list[int], config: SamplingConfig, stops: frozenset[int]) -> Request:
    """A prompt with the options of a command."""
    limits = (config.max_tokens, config.temperature, config.top_k, config.top_p)
    return Request(prompt, *limits, seed=config.seed, stops=stops)


def load_own(folder: str, weights: Weights = "stored") -> Any:
    """The folder as a model of ours, in the dtype that it is stored in, on a GPU where there is one.

    None for what ours do not compute, and for damaged folders: transformers reads them, or says why not.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        dtype = stored_dtype(Path(folder))
        decoder = load_decoder(folder, choose_kernels(KernelConfig(), device, dtype))
    except UserError:
        return None
    decoder = decoder.to(device, dtype).eval()
    return with_int8_weights(decoder) if weights == "int8" else decoder


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


def stop_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """Ids that end a text: of the tokenizer and of generation_config.json; chat models have several."""
    file = folder / "generation_config.json"
    described = (read_json(file) if file.is_file() else read_config_file(folder)).get("eos_token_id")
    named = described if isinstance(described, list) else [described]
    return frozenset(int(token) for token in (tokenizer.eos_token_id, *named) if token is not None)


def check_text(prompt: object) -> None:
    """Raise UserError for a prompt that is no string, or holds half a surrogate pair."""
    if not isinstance(prompt, str):
        raise UserError(f"the prompt must be a text, it is of the type {type(prompt).__name__}")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UserError("the prompt has half a surrogate pair, which UTF-8 cannot hold") from None


def check_length(context: int, tokens: list[int]) -> None:
    """Raise UserError if a prompt fills the context of the model."""
    if len(tokens) >= context:
        raise UserError(f"the prompt has {len(tokens)} tokens, the model reads at most {context - 1}")


@torch.inference_mode()
def continuation(
    model: Any,
    tokens: list[int],
    stops: Container[int],
    config: SamplingConfig,
    known_ids: int | None = None,
) -> Iterator[int]:
    """What a model of transformers writes after `tokens`: up to one of `stops` (left out), `max_tokens` or
    the end of its context.

    Ids from `known_ids` on, which the tokenizer does not know (rows of a padded embedding), never come.
    Raises UserError if the prompt alone fills the context.
    """
    check_length(context := model_context(model.config), tokens)
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


def choose(logits: torch.Tensor, config: SamplingConfig, generator: torch.Generator) -> int:
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
