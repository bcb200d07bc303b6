"""`onnuri serve`: models are read, then the port is opened. SIGTERM lets answers end, SIGHUP reads models
anew."""

from __future__ import annotations

import logging

from onnuri.base.errors import optional_package
from onnuri.serve.config import ServeConfig
from onnuri.serve.models import ServedModel
from onnuri.serve.service import Service

log = logging.getLogger(__name__)


def serve(config: ServeConfig) -> None:
    """Serve until a signal ends it. Raises UserError for what cannot be served."""
    with optional_package("serve", "onnuri serve"):
        from onnuri.serve.application import application
        from onnuri.web.server import address, listen, run

    config.check_certificate()
    models = {name: ServedModel(name, folder, config.context) for name, folder in config.folders().items()}
    service = Service(config, models)
    listener = listen(config)

    def announce() -> None:
        names = ", ".join(
            f"{name} ({'chat' if model.chat else 'base: completions only'}, {model.context:,} tokens)"
            for name, model in models.items()
        )
        log.info("serving %s", names or f"what vLLM at {config.url} has")
        log.info("chat page and API at %s", address(config, listener))

    run(application(service), config, listener, announce, reload=lambda: service.spawn(service.reload()))
