"""/v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from onnuri.serve.api import tools as tools_
from onnuri.serve.api.fields import SAMPLING, Check, Refused, boolean, check, fields, integer, text
from onnuri.serve.api.messages import messages
from onnuri.serve.api.output_format import OutputFormat, response_format, structured_outputs
from onnuri.serve.api.sampling import generator_requests, usage
from onnuri.serve.engine import Engine
from onnuri.serve.errors import dump, invalid
from onnuri.serve.models import ServedModel
from onnuri.serve.text import Delta
from onnuri.serve.work import Deltas, Tally, Work

MOST_CHOICES, MOST_ALTERNATIVES = 16, 20


def stream_options(name: str, value: Any) -> dict[str, Any]:
    """Of a stream."""
    refused = {"include_obfuscation": ((False,), "nothing is padded")}
    return fields(name, value, {"include_usage": boolean}, refused)


KNOWN: dict[str, Check] = {
    **SAMPLING,
    "model": text,
    "messages": messages,
    "max_tokens": integer(1, 1 << 31),
    "max_completion_tokens": integer(1, 1 << 31),
    "n": integer(1, MOST_CHOICES),
    "logprobs": boolean,
    "top_logprobs": integer(0, MOST_ALTERNATIVES),
    "stream": boolean,
    "stream_options": stream_options,
    "tools": tools_.tools,
    "tool_choice": tools_.tool_choice,
    "parallel_tool_calls": boolean,
    "response_format": response_format,
    "structured_outputs": structured_outputs,
}
NOT_STORED = "nothing is stored"
REFUSED: Refused = {
    "audio": ((), "text only"),
    "modalities": ((["text"],), "text only"),
    "function_call": (("none",), "use tool_choice"),
    "functions": (([],), "use tools"),
    "metadata": (({},), NOT_STORED),
    "store": ((False,), NOT_STORED),
    "prediction": ((), "no text is predicted"),
    "reasoning_effort": (("none",), "the model does not reason apart from its answer"),
    "verbosity": (("medium",), "answers are as long as they are"),
    "service_tier": (("auto", "default"), "there is one tier"),
    "web_search_options": ((), "nothing is searched"),
    "moderation": ((), "nothing is moderated"),
    "prompt_cache_key": ((), "prefixes are reused by their tokens"),
    "prompt_cache_retention": ((), "prefixes are reused by their tokens"),
    "prompt_cache_options": ((), "prefixes are reused by their tokens"),
    "safety_identifier": ((), "keys identify users"),
    "user": ((), "keys identify users"),
}


def plan(body: dict[str, Any], request_id: str, engine_of: Callable[[str], Engine]) -> Work:
    """What a request asks for. Raises ApiError."""
    found = check(body, KNOWN, REFUSED)
    for name in ("model", "messages"):
        if name not in found:
            raise invalid(name, "missing")
    if "top_logprobs" in found and not found.get("logprobs"):
        raise invalid("top_logprobs", "needs logprobs=true")
    if "max_tokens" in found and "max_completion_tokens" in found:
        raise invalid("max_completion_tokens", "give it or max_tokens, not both")
    if "stream_options" in found and not found.get("stream"):
        raise invalid("stream_options", "needs stream=true")
    engine = engine_of(found["model"])
    known, form, param = calls_and_form(found, found.get("response_format"), "response_format")
    ids = engine.model.conversation(found["messages"], [tool.shown for tool in known])
    requests = generator_requests(
        engine.model,
        [ids],
        found,
        found.get("max_completion_tokens", found.get("max_tokens")),
        form,
        param,
        found.get("top_logprobs", 0),
    )
    include_usage = bool(found.get("stream_options", {}).get("include_usage"))
    answer = ChatAnswer(
        engine.model,
        request_id,
        len(requests),
        [tool.name for tool in known],
        bool(found.get("logprobs")),
        include_usage,
    )
    said = [(each["role"], each["content"]) for each in found["messages"]]
    return Work(engine, requests, found.get("stop", ()), answer, found.get("stream", False), len(ids), said)


def calls_and_form(
    found: dict[str, Any], form: OutputFormat | None, param: str
) -> tuple[list[tools_.Tool], OutputFormat | None, str]:
    """The tools to show, what the text must follow, and which field asked for it."""
    known: list[tools_.Tool] = found.get("tools", [])
    choice = found.get("tool_choice", tools_.Choice())
    tools_.check_choice(choice, known)
    if "structured_outputs" in found:
        if form or known:
            raise invalid("structured_outputs", "goes with neither response_format nor tools")
        form, param = found["structured_outputs"], "structured_outputs"
    if choice.kind == "none" or not known:
        return [], form, param
    schema = form.value if form else None
    lark = tools_.grammar(known, choice, found.get("parallel_tool_calls", True), schema)
    return known, OutputFormat("lark", lark), "tools"


class ChatAnswer:
    """Choices with a message each."""

    def __init__(
        self,
        model: ServedModel,
        request_id: str,
        choices: int,
        names: list[str],
        logprobs: bool,
        include_usage: bool,
    ) -> None:
        self.model, self.choices, self.logprobs = model, choices, logprobs
        self.include_usage = include_usage
        self.readers = [tools_.CallReader(names) if names else None for _ in range(choices)]
        self.counts = [0] * choices
        self.request_id = request_id
        self.head = {"id": f"chatcmpl-{request_id}", "created": int(time.time()), "model": model.name}

    def _pieces(self, index: int, delta: Delta) -> list[str | tools_.Call]:
        """Text and calls that are certain now."""
        reader = self.readers[index]
        if reader is None:
            return [delta.text] if delta.text else []
        found = reader.push(delta.text)
        if delta.ended and (rest := reader.finish()):
            found.append(rest)
        return found

    def _call(self, index: int, call: tools_.Call) -> dict[str, Any]:
        number, self.counts[index] = self.counts[index], self.counts[index] + 1
        return {
            "id": f"call_{self.request_id}_{index}_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }

    def _finish_reason(self, index: int, ended: str) -> str:
        return "tool_calls" if ended == "stop" and self.counts[index] else ended

    def _logprob(self, token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": self.model.token_text(token),
            "logprob": logprob,
            "bytes": list(self.model.token_bytes(token)),
        }

    def _logprobs(self, delta: Delta) -> dict[str, Any]:
        event = delta.event
        one = self._logprob(event.token, event.logprob)
        return {**one, "top_logprobs": [self._logprob(token, logprob) for token, logprob in event.top]}

    async def whole(self, deltas: Deltas, tally: Tally) -> dict[str, Any]:
        """A chat completion."""
        texts = [""] * self.choices
        calls: list[list[dict[str, Any]]] = [[] for _ in texts]
        logprobs: list[list[dict[str, Any]]] = [[] for _ in texts]
        ended = [""] * self.choices
        async for index, delta in deltas:
            tally.add(index, delta)
            for piece in self._pieces(index, delta):
                if isinstance(piece, tools_.Call):
                    calls[index].append(self._call(index, piece))
                else:
                    texts[index] += piece
            if self.logprobs:
                logprobs[index].append(self._logprobs(delta))
            ended[index] = delta.ended or ended[index]
        choices = []
        for index, content in enumerate(texts):
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
            if calls[index]:
                message |= {"content": content or None, "tool_calls": calls[index]}
            shown = {"content": logprobs[index], "refusal": None} if self.logprobs else None
            reason = self._finish_reason(index, ended[index])
            choices.append({"index": index, "message": message, "logprobs": shown, "finish_reason": reason})
        counted = usage(tally.prompt_tokens, tally.completion_tokens, tally.cached_tokens)
        return {**self.head, "object": "chat.completion", "choices": choices, "usage": counted}

    def _chunk(self, index: int, delta: dict[str, Any], **more: Any) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return self._event([choice])

    def _event(self, choices: list[Any], counted: dict[str, Any] | None = None) -> bytes:
        content = {**self.head, "object": "chat.completion.chunk", "choices": choices}
        if self.include_usage:
            content["usage"] = counted
        return b"data: " + dump(content) + b"\n\n"

    async def events(self, deltas: Deltas, tally: Tally) -> AsyncIterator[bytes]:
        """Chunks: the role, what is written, the reason of the end, usage if asked for."""
        for index in range(self.choices):
            yield self._chunk(index, {"role": "assistant", "content": "", "refusal": None})
        async for index, delta in deltas:
            tally.add(index, delta)
            pieces = self._pieces(index, delta)
            more: dict[str, Any] = {}
            if self.logprobs:
                more = {"logprobs": {"content": [self._logprobs(delta)], "refusal": None}}
                pieces = pieces or [""]
            for piece in pieces:
                if isinstance(piece, tools_.Call):
                    call = {"index": self.counts[index], **self._call(index, piece)}
                    yield self._chunk(index, {"tool_calls": [call]}, **more)
                else:
                    yield self._chunk(index, {"content": piece}, **more)
                more = {}
            if delta.ended:
                yield self._chunk(index, {}, finish_reason=self._finish_reason(index, delta.ended))
        if self.include_usage:
            counted = usage(tally.prompt_tokens, tally.completion_tokens, tally.cached_tokens)
            yield self._event([], counted)
        yield b"data: [DONE]\n\n"
