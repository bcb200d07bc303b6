"""An ASGI application at an address, until a signal ends it: SIGTERM and Ctrl-C let answers end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from onnuri.base.errors import UserError
from onnuri.web.config import WebConfig

LARGEST_HEADERS = 1 << 16
"""Bytes."""
MOST_CONNECTIONS = 1024


def listen(config: WebConfig) -> socket.socket:
    """A socket at the address. Raises UserError if there can be none."""
    host = config.host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms an answer.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        way_out = "; choose another with port=" if error.errno == errno.EADDRINUSE else ""
        raise UserError(f"{host}:{config.port}: {error.strerror or error}{way_out}") from None
    return listener


def address(config: WebConfig, listener: socket.socket) -> str:
    """The address as a browser takes it."""
    host = f"[{config.host.strip('[]')}]" if ":" in config.host else config.host
    scheme = "https" if config.tls_certificate else "http"
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def run(
    application: Any,
    config: WebConfig,
    listener: socket.socket,
    ready: Callable[[], None],
    protocol: Any = "h11",
    reload: Callable[[], None] | None = None,
) -> None:
    """Serve until a signal ends it.

    Args:
        ready: called when the port is open.
        protocol: what reads requests; h11 bounds what the headers of a request may hold.
        reload: called upon SIGHUP.
    """
    settings = uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=config.stop_seconds,
        ssl_certfile=config.tls_certificate or None,
        ssl_keyfile=config.tls_key or None,
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)

    class Server(uvicorn.Server):
        """Ends with status 0 after a signal."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            if reload:
                loop.add_signal_handler(signal.SIGHUP, reload)
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    try:
        settings.load()
    except (OSError, ValueError) as error:  # of ssl
        found = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UserError(
            f"tls_certificate={config.tls_certificate} and tls_key={config.tls_key} cannot be used: "
            f"{found}; needed: PEM files, a certificate with its chain and the key that belongs to it"
        ) from None
    Server(settings).run([listener])
