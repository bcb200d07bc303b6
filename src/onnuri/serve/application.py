"""The routes: who may call them, and what each does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from onnuri import __version__
from onnuri.serve.api import chat, completions, responses
from onnuri.serve.api.fields import parse
from onnuri.serve.api.tokenize import detokenize, tokenize
from onnuri.serve.errors import ApiError
from onnuri.serve.exchange import ClientLeft, Exchange, Receive, Scope, Send
from onnuri.serve.keys import Key
from onnuri.serve.page_files import NO_ROUTE, NOTICE, page_files, send_page
from onnuri.serve.service import Service

log = logging.getLogger(__name__)
Handler = Callable[[Exchange, Key | None], Awaitable[None]]
HEALTH = "/health"
LEFT = 499
"""Status in metrics of a request whose client left."""


class Endpoint:
    """A route: it checks where a request comes from, counts it, and turns errors into answers."""

    def __init__(self, service: Service, route: str, handler: Handler, open_to_all: bool = False) -> None:
        self.service, self.route, self.handler, self.open_to_all = service, route, handler, open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        exchange, key = Exchange(scope, receive, send), None
        status = 0
        try:
            if self.route != HEALTH:  # probes call a machine by its address
                self._check_origin(exchange)
            if not self.open_to_all:
                key = self.service.keys.admit(exchange.header("authorization"), time.monotonic())
            await self.handler(exchange, key)
        except ApiError as error:
            status = error.status
            await exchange.fail(error)
        except ClientLeft:
            status = LEFT
        except Exception as error:
            # Neither its message nor its traceback: they may quote a text.
            log.error("%s failed: %s at %s", self.route, type(error).__name__, _where(error))
            status = 500
            await exchange.fail(ApiError(500, "the server failed", None, "internal_error"))
        finally:
            seconds = time.monotonic() - exchange.began
            name = key.name if key else ""
            status = status or exchange.status or LEFT
            metrics = self.service.metrics
            metrics.count("onnuri_requests_total", route=self.route, status=str(status), key=name)
            metrics.observe("onnuri_request_seconds", seconds, route=self.route)

    def _check_origin(self, exchange: Exchange) -> None:
        """A web page elsewhere must not reach a server at home: neither by a name that it lets resolve to
        this machine, nor by a request across origins."""
        accepted = self.service.config.accepted_hosts
        host = exchange.header("host").lower()
        if accepted is not None and _name(host) not in accepted:
            raise ApiError(
                403,
                f"{_name(host)[:64]!r} is not one of the server's names; hosts=[NAME] at its start adds it",
            )
        origin = exchange.header("origin").lower().partition("://")[2]
        listed = {name.lower() for name in self.service.config.hosts}
        if exchange.header("origin") and origin != host and _name(origin) not in listed:
            raise ApiError(
                403,
                "requests of pages from elsewhere are refused; behind a proxy, start the server with "
                "hosts=[NAME], the name that browsers see",
            )


def _name(host: str) -> str:
    """A host without its port."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


def application(service: Service) -> Starlette:
    """The ASGI application."""
    config, files = service.config, page_files()

    def writing(route: str, plan: Any) -> Handler:
        async def run(exchange: Exchange, key: Key | None) -> None:
            if service.upstream:
                await service.upstream.write(exchange, service, route, key)
            else:
                await service.write(exchange, route, plan, key)

        return run

    def converting(route: str, convert: Any) -> Handler:
        async def run(exchange: Exchange, key: Key | None) -> None:
            if service.upstream:
                return await service.upstream.convert(exchange, service, route)
            body = parse(await exchange.body(config.max_body_bytes, config.body_seconds))
            await exchange.answer(200, await asyncio.to_thread(convert, body, service.model_of))

        return run

    def described(name: str) -> dict[str, Any]:
        model = service.models[name]
        return {
            "id": name,
            "object": "model",
            "created": model.created,
            "owned_by": "onnuri",
            "max_model_len": model.context,
        }

    async def models(exchange: Exchange, key: Key | None) -> None:
        found = await service.upstream.models() if service.upstream else [*map(described, service.models)]
        await exchange.answer(200, {"object": "list", "data": found})

    async def model(exchange: Exchange, key: Key | None) -> None:
        name = exchange.scope["path_params"]["model"]
        if service.upstream:
            listed = {each.get("id"): each for each in await service.upstream.models()}
            if name not in listed:
                raise ApiError(404, f"no model has the name {name[:64]!r}", "model", "model_not_found")
            return await exchange.answer(200, listed[name])
        found = service.model_of(name)
        await exchange.answer(200, described(found.name))

    async def health(exchange: Exchange, key: Key | None) -> None:
        await exchange.answer(200, {"status": "ok", "version": __version__})

    async def metrics(exchange: Exchange, key: Key | None) -> None:
        kind = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        await exchange.answer(200, service.metrics_text().encode(), kind)

    async def info(exchange: Exchange, key: Key | None) -> None:
        known = [
            {"id": name, "chat": model.chat, "context": model.context}
            for name, model in service.models.items()
        ]
        if service.upstream:
            listed = await service.upstream.models()
            known = [
                {"id": each.get("id"), "chat": True, "context": each.get("max_model_len")}
                for each in listed
            ]
        found = {
            "models": known,
            "key_needed": service.keys.needed,
            "notice": NOTICE,
            "mark": service.config.mark,
            "version": __version__,
        }
        await exchange.answer(200, found)

    async def page(exchange: Exchange, key: Key | None) -> None:
        await send_page(exchange, files)

    def route(path: str, method: str, handler: Handler, open_to_all: bool = False) -> Route:
        return Route(path, Endpoint(service, path, handler, open_to_all), methods=[method])

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            service.open()
        except Exception:  # uvicorn ends the process without a word
            log.exception("the server cannot start")
            raise
        yield
        await service.close()

    async def not_found(request: Any, error: Any) -> Any:
        from starlette.responses import Response

        from onnuri.serve.errors import dump

        allowed = dict(error.headers or {})
        message = {404: NO_ROUTE, 405: f"this address takes {allowed.get('Allow', 'another method')}"}
        found = ApiError(error.status_code, message.get(error.status_code, "refused"))
        return Response(dump(found.content()), error.status_code, allowed, "application/json")

    return Starlette(
        routes=[
            route("/v1/chat/completions", "POST", writing("/v1/chat/completions", chat.plan)),
            route("/v1/completions", "POST", writing("/v1/completions", completions.plan)),
            route("/v1/responses", "POST", writing("/v1/responses", responses.plan)),
            route("/v1/models", "GET", models),
            route("/v1/models/{model:path}", "GET", model),
            route("/tokenize", "POST", converting("/tokenize", tokenize)),
            route("/detokenize", "POST", converting("/detokenize", detokenize)),
            route("/metrics", "GET", metrics),
            route(HEALTH, "GET", health, open_to_all=True),
            route("/page/info", "GET", info, open_to_all=True),
            route("/{file}", "GET", page, open_to_all=True),
            route("/", "GET", page, open_to_all=True),
        ],
        exception_handlers={404: not_found, 405: not_found},
        lifespan=lifespan,
    )
