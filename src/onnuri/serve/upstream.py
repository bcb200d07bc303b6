"""backend=vllm: the same front before an unmodified vLLM. Requests are checked, counted and passed on as
they came; answers are passed back as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from onnuri.base.errors import UserError
from onnuri.serve.api import chat, completions, responses_input
from onnuri.serve.api.fields import Check, Refused, check, parse
from onnuri.serve.api.tokenize import DETOKENIZE, TOKENIZE
from onnuri.serve.errors import ApiError, dump, invalid
from onnuri.serve.exchange import Exchange
from onnuri.serve.keys import Key
from onnuri.serve.record import Record
from onnuri.serve.work import Tally
from onnuri.tokenizer.special import CONTROL_TOKENS

if TYPE_CHECKING:
    from onnuri.serve.service import Service

FIELDS: dict[str, tuple[dict[str, Check], Refused]] = {
    "/v1/chat/completions": (chat.KNOWN, chat.REFUSED),
    "/v1/completions": (completions.KNOWN, completions.REFUSED),
    "/v1/responses": (responses_input.KNOWN, responses_input.REFUSED),
    "/tokenize": (TOKENIZE, {}),
    "/detokenize": (DETOKENIZE, {}),
}
MADE_BY_AI = {"x-ai-generated": "true"}


class Upstream:
    """The vLLM server at an address, with at most `most` requests at a time."""

    def __init__(self, url: str, most: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"url={url} must begin with http:// or https://")
        limits = httpx.Limits(max_connections=most)
        self.client = httpx.AsyncClient(base_url=url, timeout=None, limits=limits, trust_env=False)
        self.most, self.load = most, 0

    async def models(self) -> list[dict[str, Any]]:
        """As vLLM lists them. Raises ApiError if it cannot be reached."""
        try:
            answer = await self.client.get("/v1/models", timeout=10)
            listed = answer.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            raise ApiError(502, "vLLM cannot be reached", None, "upstream_failed") from None
        return [dict(each) for each in listed if isinstance(each, dict)]

    async def convert(self, exchange: Exchange, service: Service, route: str) -> None:
        """Pass on what writes no text."""
        body = await self._body(exchange, service, route)
        answer = await self._send(self.client.build_request("POST", route, json=body))
        await answer.aread()
        await exchange.answer(200, answer.content, {"content-type": "application/json; charset=utf-8"})

    async def write(self, exchange: Exchange, service: Service, route: str, key: Key | None) -> None:
        """Pass on a request for texts. Raises ApiError, ClientLeft."""
        body = await self._body(exchange, service, route)
        if self.load >= self.most:
            raise ApiError(503, f"{self.load} requests are in progress; try later", None, "overloaded", 2.0)
        self.load += 1
        try:
            work = self._write(exchange, service, route, key, body)
            await exchange.while_connected(work, service.config.request_seconds)
        finally:
            self.load -= 1

    async def _body(self, exchange: Exchange, service: Service, route: str) -> dict[str, Any]:
        config = service.config
        body = parse(await exchange.body(config.max_body_bytes, config.body_seconds))
        check(body, *FIELDS[route])
        if route in ("/v1/chat/completions", "/v1/responses"):
            # vLLM renders a conversation as one text, in which these would become tokens.
            found = dump(body).decode()
            for name in CONTROL_TOKENS:
                if name in found:
                    raise invalid(
                        "messages", f"the text {name} is refused before vLLM, as it is a control token"
                    )
        return body

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body yet to be read. Raises ApiError for any status but 200."""
        try:
            answer = await self.client.send(request, stream=True)
            if answer.status_code == 200:
                return answer
            content = await answer.aread()
        except httpx.HTTPError:
            raise ApiError(502, "vLLM cannot be reached", None, "upstream_failed") from None
        error: Any = {}
        with suppress(ValueError, AttributeError):
            error = json.loads(content).get("error", {})
        status = answer.status_code if 400 <= answer.status_code < 500 else 502
        message = error.get("message") if isinstance(error, dict) else None
        param = error.get("param") if isinstance(error, dict) else None
        raise ApiError(
            status, str(message or f"vLLM answered {answer.status_code}")[:1000], param, "upstream"
        )

    async def _write(
        self, exchange: Exchange, service: Service, route: str, key: Key | None, body: dict[str, Any]
    ) -> None:
        said = [*_texts(body.get("messages", body.get("input", body.get("prompt"))))]
        tally = Tally(texts=[])
        record = Record(service, exchange, key, str(body.get("model"))[:64], said, tally)
        streamed = body.get("stream") is True
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        if streamed and route != "/v1/responses":
            body = {**body, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}
        answer = await self._send(self.client.build_request("POST", route, json=body))
        try:
            record.open(route)
            if streamed:
                events = self._events(answer, record, asked or route == "/v1/responses")
                await exchange.stream(events, service.config.heartbeat_seconds, MADE_BY_AI)
                await exchange.send(b"")
            else:
                content = json.loads(await answer.aread())
                _count(content, tally)
                record.close(complete=True)
                await exchange.answer(200, content, MADE_BY_AI)
        except (httpx.HTTPError, ValueError):
            raise ApiError(502, "the answer of vLLM broke off", None, "upstream_failed") from None
        finally:
            record.close(complete=False)
            await answer.aclose()

    async def _events(self, answer: httpx.Response, record: Record, usage: bool) -> AsyncIterator[bytes]:
        """Events as they come; the one with the usage alone is left out unless the client asked for it."""
        lines: list[str] = []
        async for line in answer.aiter_lines():
            if line:
                lines.append(line)
                continue
            event, lines = lines, []
            data = "".join(each[5:].strip() for each in event if each.startswith("data:"))
            if data == "[DONE]":
                record.close(complete=True)
            elif data:
                content = json.loads(data)
                alone = _count(content, record.tally)
                if alone and not usage:
                    continue
                if str(content.get("type", "")) in ("response.completed", "response.incomplete"):
                    record.close(complete=True)
            yield "".join(f"{each}\n" for each in event).encode() + b"\n"


def _count(content: dict[str, Any], tally: Tally) -> bool:
    """Add usage and texts of an answer, or of an event; whether it holds nothing but usage."""
    inner = content.get("response", content)
    usage = inner.get("usage") or {}
    if usage:
        tally.prompt_tokens = int(usage.get("prompt_tokens", usage.get("input_tokens", 0)))
        tally.completion_tokens = int(usage.get("completion_tokens", usage.get("output_tokens", 0)))
    for choice in content.get("choices", ()):
        index = int(choice.get("index", 0))
        piece = (
            choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
        )
        tally.texts += [""] * (index + 1 - len(tally.texts))
        tally.texts[index] += piece
    if content.get("output"):
        tally.texts += [text for _, text in _texts(content["output"])]
    elif content.get("type") == "response.output_text.done":
        tally.texts.append(content["text"])
    return bool(usage) and content.get("choices") == []


def _texts(value: Any, role: str = "prompt") -> Iterator[tuple[str, str]]:
    """(role, text) of every text in a conversation, however it is given."""
    if isinstance(value, str):
        yield role, value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, role)
    elif isinstance(value, dict):
        role = str(value.get("role", role))
        for name in ("content", "text", "output", "arguments", "function", "tool_calls"):
            yield from _texts(value.get(name), role)
