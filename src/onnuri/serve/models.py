"""A model folder as the server has it: weights, tokenizer, and what ends its texts."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from onnuri.base.errors import UserError
from onnuri.chat.format import render
from onnuri.generate.sample import Generator, check_text
from onnuri.hf.folder import read_json
from onnuri.serve.api.fields import SAMPLING
from onnuri.serve.errors import ApiError, invalid
from onnuri.serve.grammar import Grammars
from onnuri.tokenizer.huggingface import load_tokenizer, token_bytes, tokenizer_config
from onnuri.tokenizer.special import SEPARATOR, TURN_END, TURN_START
from onnuri.tokenizer.stream import Utf8Stream

T = TypeVar("T")
DEFAULTS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Of a request, where neither it nor the folder's generation_config.json says more."""


def apart(work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """What `work` returns, done in a thread that ends with it.

    A thread that has computed keeps its helpers for life. Where all threads' helpers together outnumber the
    cores, OpenMP lets them sleep between operations instead of waiting for the next, and small models
    are half as fast: so what is read once is not read by a thread that stays.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *arguments, **options).result()


class ServedModel:
    """Raises UserError for a folder that Onnuri's generator does not run.

    Args:
        name: what requests call it.
        context: most tokens of a prompt and its text; 0: as many as the model reads.
    """

    def __init__(self, name: str, folder: str, context: int = 0) -> None:
        generator = apart(Generator, folder)
        if generator.decoder is None:
            raise UserError(
                f"model={folder} is of a type that Onnuri's generator does not run (it runs qwen3 and "
                "llama): serve it with vLLM, and onnuri serve backend=vllm before it"
            )
        self.name, self.folder, self.created = name, folder, int(time.time())
        self.decoder: Any = generator.decoder
        if context > generator.context:
            raise UserError(f"context={context} is above what model={folder} reads: {generator.context:,}")
        self.context = context or generator.context
        self.vocab_size, self.num_ids, self.first = generator.vocab_size, generator.num_ids, generator.first
        if self.context < 2:
            raise UserError(f"context={context} must be at least 2")
        self.tokenizer = load_tokenizer(folder)
        self.pieces = token_bytes(self.tokenizer)
        self.longest_piece = max(map(len, self.pieces), default=1)
        added = self.tokenizer.get_added_tokens_decoder()
        self.controls = {number: token.content for number, token in added.items() if token.special}
        self.chat = _knows_conversations(Path(folder), self.tokenizer, generator.stops)
        names = (SEPARATOR, TURN_END) if self.chat else (SEPARATOR,)
        ids = {self.tokenizer.token_to_id(each) for each in names} - {None}
        self.stops = frozenset(generator.stops | ids)
        self.defaults = _defaults(Path(folder))
        self.utf8 = Utf8Stream(self.tokenizer)
        pieces = self.pieces[: self.vocab_size]
        stops = sorted(self.stops) or [self.first]
        self.grammars = Grammars(pieces, self.controls, stops, self._encode)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode(self, text: str, param: str) -> list[int]:
        """Ids of a text, without the one that begins it. Raises ApiError for one that cannot fit."""
        self._check_size(len(text), param)
        check_text(text)
        ids = self._encode(text)
        self.check_ids(ids, param)
        return ids

    def conversation(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """Ids up to the beginning of the assistant's turn. Raises ApiError."""
        if not self.chat:
            raise invalid(
                "model",
                f"{self.name} is a base model, which continues texts (/v1/completions) and knows no "
                "conversations: it has no chat template, or its generation_config.json does not say that "
                f"{TURN_END} ends a text",
                "model_not_chat",
            )
        self._check_size(sum(len(each["content"]) for each in messages), "messages")
        try:
            ids = render(self.tokenizer, messages, tools, add_generation_prompt=True).ids
        except UserError as error:
            raise invalid("messages", str(error)) from None
        self.check_ids(ids, "messages")
        return ids

    def _check_size(self, characters: int, param: str) -> None:
        """Refuse, before it is encoded, what has more tokens than fit however long they are."""
        least = -(-characters // self.longest_piece)
        if least > self.context:
            raise self._too_long(f"at least {least:,}", param)

    def check_ids(self, ids: list[int], param: str) -> None:
        """Raise ApiError for ids that the model does not have, or too many."""
        if ids and max(ids) >= self.vocab_size:
            raise invalid(param, f"the model has no token {max(ids)}, only {self.vocab_size:,}")
        if len(ids) > self.context:
            raise self._too_long(f"{len(ids):,}", param)

    def _too_long(self, found: str, param: str) -> ApiError:
        return invalid(
            param,
            f"the prompt has {found} tokens, the context of {self.name} is {self.context:,}",
            "context_length_exceeded",
        )

    def token_text(self, token: int) -> str:
        """A token by itself: its text, `bytes:` and its bytes where they are no whole characters."""
        if token in self.controls:
            return self.controls[token]
        piece = self.token_bytes(token)
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)

    def token_bytes(self, token: int) -> bytes:
        """Of a token that is text; a control token has those of its name."""
        if token in self.controls:
            return self.controls[token].encode()
        return self.pieces[token] if token < len(self.pieces) else b""

    def offsets(self, ids: list[int]) -> list[int]:
        """Characters of the text of ids that are complete before each of them."""
        decoder, found, count = codecs.getincrementaldecoder("utf-8")("replace"), [], 0
        for token in ids:
            found.append(count)
            count += len(decoder.decode(self.token_bytes(token)))
        return found

    def decode(self, ids: list[int]) -> str:
        """The text of ids, control tokens by name."""
        return b"".join(map(self.token_bytes, ids)).decode(errors="replace")


def _defaults(folder: Path) -> dict[str, Any]:
    """How a text is sampled that says nothing else. Raises UserError for a damaged file."""
    path, found = folder / "generation_config.json", dict(DEFAULTS)
    given = read_json(path) if path.is_file() else {}
    for name in found:
        if given.get(name) is not None:
            try:
                found[name] = SAMPLING[name](name, given[name])
            except ApiError as error:
                raise UserError(f"{path}: {error.message}") from None
    return found


def _knows_conversations(folder: Path, tokenizer: Any, stops: frozenset[int]) -> bool:
    """A template alone tells nothing, base models come with one too: the folder says that <|im_end|> ends a
    text."""
    template = (folder / "chat_template.jinja").is_file() or tokenizer_config(folder).get("chat_template")
    start, end = (tokenizer.token_to_id(name) for name in (TURN_START, TURN_END))
    return bool(template) and start is not None and end in stops
