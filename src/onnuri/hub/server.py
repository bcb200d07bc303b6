"""`onnuri hub data=DIR`: serves until a signal ends it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from onnuri.base.errors import optional_package
from onnuri.hub.config import HubConfig

log = logging.getLogger(__name__)
SWITCH_SECONDS = 0.0005
"""How long a thread may compute while another waits: a scan or an upload must not hold up short answers."""


def serve(config: HubConfig) -> None:
    """Serve. Raises UserError for what cannot be served."""
    with optional_package("hub", "onnuri hub"):
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

        from onnuri.hub.api.application import application
        from onnuri.hub.collect import Daily
        from onnuri.hub.hub import Hub
        from onnuri.web.server import LARGEST_HEADERS, address, listen, run

    class Protocol(HttpToolsProtocol):
        """Reads bodies fast; bounds what comes before a body, which its parser would keep in memory."""

        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            self.before_body = 0

        def data_received(self, data: bytes) -> None:
            if self.before_body >= 0:
                self.before_body += len(data)
                if self.before_body > LARGEST_HEADERS + len(data):
                    self.transport.close()
                    return
            super().data_received(data)

        def on_message_begin(self) -> None:
            self.before_body = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self.before_body = -1
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self.before_body = 0
            super().on_message_complete()

    sys.setswitchinterval(SWITCH_SECONDS)
    config.check_certificate()
    hub = Hub(config)
    listener = listen(config)

    def announce() -> None:
        hub.scanner.start()
        where = config.url or address(config, listener)
        log.info("hub of %s at %s", config.data, where)
        log.info("clients: HF_ENDPOINT=%s HF_TOKEN=TOKEN", where)

    daily = Daily(hub)
    try:
        run(application(hub), config, listener, announce, protocol=Protocol)
    finally:
        daily.stop()
