"""A conversation with a model: its history, cut to the context, and answers as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.chat.format import render
from onnuri.generate.config import ChatConfig
from onnuri.generate.sample import Generator, check_text
from onnuri.tokenizer.huggingface import load_tokenizer, tokenizer_config
from onnuri.tokenizer.special import SEPARATOR, TURN_END, TURN_START
from onnuri.tokenizer.stream import Utf8Stream

ROOM = 4
"""An answer finds at least this part of the context free, or max_tokens."""


class Conversation:
    """Turns so far, and the model that takes every other one.

    Raises UserError for a folder that is no model, or none that knows conversations.
    """

    def __init__(self, config: ChatConfig) -> None:
        check_text(config.system)
        folder = Path(config.model)
        self.config = config
        self.generator = Generator(config.model)
        self.tokenizer = load_tokenizer(folder)
        template = (folder / "chat_template.jinja").is_file() or tokenizer_config(folder).get(
            "chat_template"
        )
        if not template:
            raise UserError(
                f"model={folder} has no chat template: it is a base model, with which onnuri generate "
                "continues a text"
            )
        names = (TURN_START, TURN_END)
        ids = [self.tokenizer.token_to_id(name) for name in names]
        if None in ids or max(ids) >= self.generator.vocab_size:
            raise UserError(f"model={folder} has no tokens {' and '.join(names)}: onnuri chat needs ChatML")
        self.stops = frozenset({ids[1], self.tokenizer.token_to_id(SEPARATOR)} - {None})
        self.base = ids[1] not in self.generator.stops
        """Whether the folder does not say that turns end a text: then it is a base model."""
        self.messages: list[dict[str, str]] = []
        self.reset()

    def reset(self) -> None:
        """Forget all but the system message."""
        system = self.config.system
        self.messages = [{"role": "system", "content": system}] if system else []

    def say(self, text: str) -> int:
        """Add a user's turn; how many of the oldest turns were forgotten, so that all fits the context.

        Raises UserError, and leaves the turn out, if it alone is too long.
        """
        check_text(text)
        messages = [*self.messages, {"role": "user", "content": text}]
        first = 1 if self.config.system else 0
        room = max(1, min(self.config.max_tokens, self.generator.context // ROOM))
        left_out = 0
        while (tokens := len(self._ids(messages))) + room > self.generator.context:
            later = [n for n in range(first + 1, len(messages)) if messages[n]["role"] == "user"]
            if not later:
                raise UserError(
                    f"the message makes {tokens} tokens, the model reads at most "
                    f"{self.generator.context - room} beside an answer"
                )
            left_out += later[0] - first
            del messages[first : later[0]]
        self.messages = messages
        return left_out

    def answer(self) -> Iterator[str]:
        """Pieces of the model's turn, never half a character. Left early, what came of it is its turn."""
        stream = Utf8Stream(self.generator.backend)
        turn = {"role": "assistant", "content": ""}
        self.messages.append(turn)
        prompt = self._ids(self.messages[:-1])
        for _, token in self.generator.tokens([prompt], self.config, self.stops):
            piece = stream.push(token)
            turn["content"] += piece
            yield piece
        turn["content"] += (rest := stream.finish())
        yield rest

    def _ids(self, messages: list[dict[str, str]]) -> list[int]:
        return render(self.tokenizer, messages, add_generation_prompt=True).ids
