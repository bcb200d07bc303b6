"""`onnuri serve`: models are read, then the port is opened. SIGTERM lets answers end, SIGHUP reads models
anew.

h11 reads requests: unlike faster parsers it bounds what the headers of a request may hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from onnuri.base.errors import UserError, optional_package
from onnuri.serve.config import ServeConfig
from onnuri.serve.models import ServedModel
from onnuri.serve.service import Service

log = logging.getLogger(__name__)
LARGEST_HEADERS = 1 << 16
"""Bytes."""
MOST_CONNECTIONS = 1024


def serve(config: ServeConfig) -> None:
    """Serve until a signal ends it. Raises UserError for what cannot be served."""
    with optional_package("serve", "onnuri serve"):
        import uvicorn

        from onnuri.serve.application import application

    for path in filter(None, (config.tls_certificate, config.tls_key)):
        if not Path(path).is_file():
            raise UserError(f"{path} does not exist: tls_certificate= and tls_key= are PEM files")
        if not os.access(path, os.R_OK):
            raise UserError(f"{path} cannot be read by this user")
    if config.tls_key and b"ENCRYPTED" in Path(config.tls_key).read_bytes():
        raise UserError(
            f"tls_key={config.tls_key} needs a passphrase, which a server has nobody to ask for: "
            "openssl pkey -in KEY -out NEW writes the key without it"
        )
    models = {name: ServedModel(name, folder, config.context) for name, folder in config.folders().items()}
    service = Service(config, models)
    listener = _listen(config)
    settings = uvicorn.Config(
        application(service),
        http="h11",
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
            loop.add_signal_handler(signal.SIGHUP, lambda: service.spawn(service.reload()))
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            _announce(config, listener, models)

    try:
        settings.load()
    except (OSError, ValueError) as error:  # of ssl
        found = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UserError(
            f"tls_certificate={config.tls_certificate} and tls_key={config.tls_key} cannot be used: "
            f"{found}; needed: PEM files, a certificate with its chain and the key that belongs to it"
        ) from None
    Server(settings).run([listener])


def _listen(config: ServeConfig) -> socket.socket:
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


def _announce(config: ServeConfig, listener: socket.socket, models: dict[str, ServedModel]) -> None:
    host = f"[{config.host.strip('[]')}]" if ":" in config.host else config.host
    scheme = "https" if config.tls_certificate else "http"
    names = ", ".join(
        f"{name} ({'chat' if model.chat else 'base: completions only'}, {model.context:,} tokens)"
        for name, model in models.items()
    )
    log.info("serving %s", names or f"what vLLM at {config.url} has")
    log.info("chat page and API at %s://%s:%d", scheme, host, listener.getsockname()[1])
