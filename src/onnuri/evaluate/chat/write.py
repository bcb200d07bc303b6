"""Greedy answers of a Hugging Face folder to questions, each the first turn of a conversation.

Conversations are rendered to ids (`onnuri.chat.format`), for a base model too. Weights keep the dtype that
they are stored in, as in `onnuri chat`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from onnuri.chat.format import render
from onnuri.generate.config import GenerateConfig
from onnuri.generate.sample import Generator
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.special import CONTROL_TOKENS, SEPARATOR, TURN_END

SLOTS = 16
"""Answers written at a time."""


class Answer(NamedTuple):
    """What a model wrote after a question."""

    text: str
    stopped: bool
    """Whether it ended by itself."""
    ids: Sequence[int] = ()
    """Its tokens, without the one that ended it."""
    controls: int = 0
    """Control tokens among them."""
    forged: int = 0
    """Control tokens that the text of the question became."""
    fits: bool = True
    """False: the question fills the context of the model, which was not asked."""


Write = Callable[[Sequence[str]], list[Answer]]
"""Answers to questions, in their order."""


class Writer:
    """A model that answers. Raises UserError for a folder that is no model, or knows no turns."""

    def __init__(self, folder: str, max_tokens: int) -> None:
        self.generator = Generator(folder)
        self.tokenizer = load_tokenizer(Path(folder))
        self.config = GenerateConfig(model=folder, max_tokens=max_tokens, temperature=0.0)
        known = {name: self.tokenizer.token_to_id(name) for name in CONTROL_TOKENS}
        self.controls = frozenset(known.values()) - {None}
        self.stops = frozenset({known[TURN_END], known[SEPARATOR]} - {None})

    def __call__(self, questions: Sequence[str]) -> list[Answer]:
        """Answers to all of them."""
        from tqdm import tqdm

        prompts, forged = [], []
        for question in questions:
            ids, spans = render(
                self.tokenizer, [{"role": "user", "content": question}], add_generation_prompt=True
            )
            prompts.append(ids)
            forged.append(self._controls(ids[spans[0].start : spans[0].end - 1]))
        fitting = [number for number, ids in enumerate(prompts) if len(ids) < self.generator.context]
        found: list[list[int]] = [[] for _ in prompts]
        with tqdm(total=len(prompts), desc="answers", disable=None, leave=False) as bar:
            for place, token in self.generator.tokens(
                [prompts[number] for number in fitting], self.config, self.stops, SLOTS
            ):
                found[fitting[place]].append(token)
                bar.update(place - bar.n)
        asked, answers = set(fitting), []
        for number, (prompt, ids) in enumerate(zip(prompts, found, strict=True)):
            # The token that ends an answer is left out: a whole one is shorter than what would fit.
            room = min(self.config.max_tokens, self.generator.context - len(prompt))
            text = self.tokenizer.decode(ids, skip_special_tokens=False)
            controls, fits = self._controls(ids), number in asked
            answers.append(Answer(text, fits and len(ids) < room, ids, controls, forged[number], fits))
        return answers

    def _controls(self, ids: Sequence[int]) -> int:
        return sum(token in self.controls for token in ids)
