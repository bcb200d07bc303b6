"""/v1/responses: text and function calls, streamed or whole."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from onnuri.serve.api import tools as tools_
from onnuri.serve.api.chat import calls_and_form
from onnuri.serve.api.fields import check
from onnuri.serve.api.responses_input import KNOWN, REFUSED
from onnuri.serve.api.sampling import generator_requests
from onnuri.serve.engine import Engine
from onnuri.serve.errors import dump, invalid
from onnuri.serve.models import ServedModel
from onnuri.serve.work import Deltas, Tally, Work


def plan(body: dict[str, Any], request_id: str, engine_of: Callable[[str], Engine]) -> Work:
    """What a request asks for. Raises ApiError."""
    found = check(body, KNOWN, REFUSED)
    for name in ("model", "input"):
        if name not in found:
            raise invalid(name, "missing")
    engine = engine_of(found["model"])
    known, form, param = calls_and_form(found, found.get("text"), "text")
    conversation = found["input"]
    if "instructions" in found:
        conversation = [{"role": "system", "content": found["instructions"]}, *conversation]
    ids = engine.model.conversation(conversation, [tool.shown for tool in known])
    limit = found.get("max_output_tokens")
    requests = generator_requests(engine.model, [ids], found, limit, form, param)
    answer = ResponseAnswer(engine.model, request_id, [tool.name for tool in known], body)
    said = [(each["role"], each["content"]) for each in conversation]
    return Work(engine, requests, (), answer, found.get("stream", False), len(ids), said)


class ResponseAnswer:
    """One response: a message, calls, or a message and calls."""

    def __init__(self, model: ServedModel, request_id: str, names: list[str], body: dict[str, Any]) -> None:
        self.id = request_id
        self.reader = tools_.CallReader(names)
        self.output: list[dict[str, Any]] = []
        self.ended = ""
        self.sequence = 0
        self.response: dict[str, Any] = {
            "id": f"resp_{request_id}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": {},
            "model": model.name,
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": body.get("temperature", model.defaults["temperature"]),
            "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", model.defaults["top_p"]),
            "truncation": "disabled",
            "usage": None,
        }

    async def whole(self, deltas: Deltas, tally: Tally) -> dict[str, Any]:
        """The response."""
        async for _ in self.events(deltas, tally):
            pass
        return self.response

    async def events(self, deltas: Deltas, tally: Tally) -> AsyncIterator[bytes]:
        """The events of a response, each with a number."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)
        async for index, delta in deltas:
            tally.add(index, delta)
            self.ended = delta.ended or self.ended
            pieces = self.reader.push(delta.text)
            if delta.ended and (rest := self.reader.finish()):
                pieces.append(rest)
            for piece in pieces:
                for event in self._call(piece) if isinstance(piece, tools_.Call) else self._text(piece):
                    yield event
        if not self.output:
            for event in self._text(""):
                yield event
        for event in self._close_message():
            yield event
        yield self._finish(tally)

    def _event(self, kind: str, **content: Any) -> bytes:
        number, self.sequence = self.sequence, self.sequence + 1
        body = dump({"type": kind, "sequence_number": number, **content})
        return f"event: {kind}\ndata: ".encode() + body + b"\n\n"

    def _text(self, piece: str) -> Iterator[bytes]:
        """Text belongs to the message at the end of the output, which begins with it."""
        if not self.output or self.output[-1]["type"] != "message":
            item: dict[str, Any] = {
                "id": f"msg_{self.id}_{len(self.output)}",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
            self.output.append(item)
            yield self._event("response.output_item.added", output_index=len(self.output) - 1, item=item)
            part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
            yield self._event("response.content_part.added", **self._where(), part=part)
            item["content"] = [part]
        if piece:
            self.output[-1]["content"][0]["text"] += piece
            yield self._event("response.output_text.delta", **self._where(), delta=piece, logprobs=[])

    def _where(self) -> dict[str, Any]:
        return {"item_id": self.output[-1]["id"], "output_index": len(self.output) - 1, "content_index": 0}

    def _close_message(self) -> Iterator[bytes]:
        if not self.output or self.output[-1]["type"] != "message":
            return
        item = self.output[-1]
        (part,) = item["content"]
        yield self._event("response.output_text.done", **self._where(), text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **self._where(), part=part)
        item["status"] = "incomplete" if self.ended == "length" else "completed"
        yield self._event("response.output_item.done", output_index=len(self.output) - 1, item=item)

    def _call(self, call: tools_.Call) -> Iterator[bytes]:
        yield from self._close_message()
        number = len(self.output)
        item = {
            "id": f"fc_{self.id}_{number}",
            "type": "function_call",
            "call_id": f"call_{self.id}_{number}",
            "name": call.name,
            "arguments": "",
            "status": "in_progress",
        }
        self.output.append(item)
        where = {"item_id": item["id"], "output_index": number}
        yield self._event("response.output_item.added", output_index=number, item=item)
        yield self._event("response.function_call_arguments.delta", **where, delta=call.arguments)
        item |= {"arguments": call.arguments, "status": "completed"}
        done = {**where, "name": call.name, "arguments": call.arguments}
        yield self._event("response.function_call_arguments.done", **done)
        yield self._event("response.output_item.done", output_index=number, item=item)

    def _finish(self, tally: Tally) -> bytes:
        cut = self.ended == "length"
        self.response |= {
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": self.output,
            "usage": {
                "input_tokens": tally.prompt_tokens,
                "input_tokens_details": {"cached_tokens": tally.cached_tokens},
                "output_tokens": tally.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tally.prompt_tokens + tally.completion_tokens,
            },
        }
        return self._event(f"response.{self.response['status']}", response=self.response)
