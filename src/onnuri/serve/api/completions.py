"""/v1/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from onnuri.serve.api.chat import MOST_CHOICES, stream_options
from onnuri.serve.api.chat import REFUSED as CHAT_REFUSED
from onnuri.serve.api.fields import (
    SAMPLING,
    Check,
    Refused,
    boolean,
    check,
    integer,
    sequence,
    text,
    token_ids,
)
from onnuri.serve.api.output_format import response_format, structured_outputs
from onnuri.serve.api.sampling import generator_requests, usage
from onnuri.serve.engine import Engine
from onnuri.serve.errors import dump, invalid
from onnuri.serve.models import ServedModel
from onnuri.serve.text import Delta
from onnuri.serve.work import Deltas, Tally, Work

MOST_PROMPTS, MOST_ALTERNATIVES, DEFAULT_TOKENS = 64, 20, 16


def prompts(name: str, value: Any) -> list[str | list[int]]:
    """A text, ids, or a list of either."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise invalid(name, "needed: a string, token ids, or a list of them")
    if isinstance(value[0], int):
        return [token_ids(name, value)]
    found: list[str | list[int]] = []
    for number, each in enumerate(sequence(name, value, MOST_PROMPTS)):
        inner = f"{name}[{number}]"
        found.append(each if isinstance(each, str) else token_ids(inner, sequence(inner, each, 1 << 24)))
        if each == []:
            raise invalid(inner, "needed: at least one token")
    return found


KNOWN: dict[str, Check] = {
    **SAMPLING,
    "model": text,
    "prompt": prompts,
    "max_tokens": integer(0, 1 << 31),
    "n": integer(1, MOST_CHOICES),
    "logprobs": integer(0, MOST_ALTERNATIVES),
    "echo": boolean,
    "stream": boolean,
    "stream_options": stream_options,
    "response_format": response_format,
    "structured_outputs": structured_outputs,
}
REFUSED: Refused = {
    "best_of": ((1,), "use n"),
    "suffix": (("",), "texts are only continued"),
    "user": CHAT_REFUSED["user"],
}


class Prompt(NamedTuple):
    """A text to continue."""

    ids: list[int]
    begun: int
    """Ids at its beginning that are not the client's: the token that begins a text."""


def plan(body: dict[str, Any], request_id: str, engine_of: Callable[[str], Engine]) -> Work:
    """What a request asks for. Raises ApiError."""
    found = check(body, KNOWN, REFUSED)
    for name in ("model", "prompt"):
        if name not in found:
            raise invalid(name, "missing")
    if "stream_options" in found and not found.get("stream"):
        raise invalid("stream_options", "needs stream=true")
    echo, max_tokens = found.get("echo", False), found.get("max_tokens", DEFAULT_TOKENS)
    if max_tokens == 0 and not echo:
        raise invalid("max_tokens", "0 needs echo=true: there would be no text")
    form, param = found.get("response_format"), "response_format"
    if "structured_outputs" in found:
        if form:
            raise invalid("structured_outputs", "does not go with response_format")
        form, param = found["structured_outputs"], "structured_outputs"
    engine = engine_of(found["model"])
    asked = []
    for prompt in found["prompt"]:
        if isinstance(prompt, str):
            asked.append(Prompt([engine.model.first, *engine.model.encode(prompt, "prompt")], 1))
        else:
            engine.model.check_ids(prompt, "prompt")
            asked.append(Prompt(prompt, 0))
    n, alternatives = found.get("n", 1), found.get("logprobs")
    if len(asked) * n > MOST_PROMPTS:
        raise invalid("n", f"needed: at most {MOST_PROMPTS} texts, prompts times n")
    # With max_tokens=0 the generator only reads, which it does for the log-probabilities.
    score = echo and (alternatives is not None or max_tokens == 0)
    requests = generator_requests(
        engine.model,
        [prompt.ids for prompt in asked],
        found,
        max_tokens,
        form,
        param,
        alternatives or 0,
        score,
    )
    include_usage = bool(found.get("stream_options", {}).get("include_usage"))
    choices = [prompt for prompt in asked for _ in range(n)]
    answer = CompletionAnswer(
        engine.model, request_id, choices, echo, alternatives is not None, include_usage
    )
    said = [("prompt", engine.model.decode(prompt.ids[prompt.begun :])) for prompt in asked]
    total = sum(len(prompt.ids) for prompt in asked)
    return Work(engine, requests, found.get("stop", ()), answer, found.get("stream", False), total, said)


class CompletionAnswer:
    """Choices with a text each."""

    def __init__(
        self,
        model: ServedModel,
        request_id: str,
        prompts: list[Prompt],
        echo: bool,
        logprobs: bool,
        include_usage: bool,
    ) -> None:
        self.model, self.prompts, self.echo, self.logprobs = model, prompts, echo, logprobs
        self.include_usage = include_usage
        self.shown = [len(self._echoed(prompt)) if echo else 0 for prompt in prompts]
        """Characters of the text before the first new token."""
        self.begun = [False] * len(prompts)
        created = int(time.time())
        self.head = {
            "id": f"cmpl-{request_id}",
            "object": "text_completion",
            "created": created,
            "model": model.name,
        }

    def _echoed(self, prompt: Prompt) -> str:
        return self.model.decode(prompt.ids[prompt.begun :])

    def _read(self, index: int, delta: Delta) -> tuple[str, dict[str, list[Any]]]:
        """Text and log-probabilities that a token adds; the first one adds the prompt's, if echoed."""
        text, rows = delta.text, []
        if self.echo and not self.begun[index]:
            prompt = self.prompts[index]
            text = self._echoed(prompt) + text
            scores = [*zip(prompt.ids, delta.event.prompt, strict=False)][prompt.begun :]
            offsets = self.model.offsets(prompt.ids[prompt.begun :])
            for (token, score), offset in zip(scores, offsets, strict=False):
                rows.append((token, score.logprob, score.top, offset))
        self.begun[index] = True
        if delta.is_token:
            event = delta.event
            rows.append((event.token, event.logprob, event.top, self.shown[index] + delta.offset))
        name = self.model.token_text
        return text, {
            "tokens": [name(token) for token, _, _, _ in rows],
            "token_logprobs": [logprob for _, logprob, _, _ in rows],
            "top_logprobs": [
                None if logprob is None else {name(token): value for token, value in top}
                for _, logprob, top, _ in rows
            ],
            "text_offset": [at for _, _, _, at in rows],
        }

    async def whole(self, deltas: Deltas, tally: Tally) -> dict[str, Any]:
        """A completion."""
        choices: list[dict[str, Any]] = []
        for index in range(len(self.prompts)):
            choices.append({"index": index, "text": "", "logprobs": None, "finish_reason": None})
        async for index, delta in deltas:
            tally.add(index, delta)
            text, scores = self._read(index, delta)
            choice = choices[index]
            choice["text"] += text
            choice["finish_reason"] = delta.ended or None
            if self.logprobs:
                before = choice["logprobs"] or {name: [] for name in scores}
                choice["logprobs"] = {name: before[name] + scores[name] for name in scores}
        return {**self.head, "choices": choices, "usage": self._usage(tally)}

    def _usage(self, tally: Tally) -> dict[str, Any]:
        return usage(tally.prompt_tokens, tally.completion_tokens, tally.cached_tokens)

    async def events(self, deltas: Deltas, tally: Tally) -> AsyncIterator[bytes]:
        """Chunks, and usage if asked for."""
        async for index, delta in deltas:
            tally.add(index, delta)
            text, scores = self._read(index, delta)
            if text or self.logprobs or delta.ended:
                choice = {"index": index, "text": text, "logprobs": scores if self.logprobs else None}
                choice["finish_reason"] = delta.ended or None
                yield self._event([choice], None)
        if self.include_usage:
            yield self._event([], self._usage(tally))
        yield b"data: [DONE]\n\n"

    def _event(self, choices: list[Any], counted: dict[str, Any] | None) -> bytes:
        content = {**self.head, "choices": choices}
        if self.include_usage:
            content["usage"] = counted
        return b"data: " + dump(content) + b"\n\n"
