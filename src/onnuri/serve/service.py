"""What the routes share: engines by name, keys, metrics, audit and log; how a request goes through them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, nearest
from onnuri.generate.blocks import BLOCK, blocks_of
from onnuri.run.daily_chain import Audit
from onnuri.serve.api.fields import parse
from onnuri.serve.config import ServeConfig
from onnuri.serve.engine import Engine, Worker
from onnuri.serve.errors import ApiError
from onnuri.serve.exchange import Exchange
from onnuri.serve.keys import Key, KeyRing, make_state
from onnuri.serve.masked_log import MaskedLog
from onnuri.serve.metrics import Labels, Metrics
from onnuri.serve.models import ServedModel
from onnuri.serve.record import Record
from onnuri.serve.text import Delta, deltas
from onnuri.serve.upstream import Upstream
from onnuri.serve.work import Deltas, Plan, Tally

log = logging.getLogger(__name__)
MADE_BY_AI = {"x-ai-generated": "true"}
"""Of every answer that a model wrote."""
HOUSEKEEPING_SECONDS = 1.0


class Service:
    """A server's state. Made before the event loop runs; `open` starts the engines in it."""

    def __init__(self, config: ServeConfig, models: dict[str, ServedModel]) -> None:
        self.config, self.models = config, models
        self.engines: dict[str, Engine] = {}
        self.upstream: Upstream | None = None
        if config.backend == "vllm":
            self.upstream = Upstream(config.url, config.slots + config.queue)
        for model in models.values():
            least = blocks_of(model.context) * BLOCK
            if 0 < config.cache_tokens < least:
                raise UserError(
                    f"cache_tokens={config.cache_tokens} must be at least {least:,}, for one text of "
                    f"{model.name}; or give a smaller context="
                )
        state = Path(config.state) if config.state else None
        if state:
            make_state(state)
        self.keys = KeyRing(state, config.requests_per_minute)
        if config.public and not self.keys.needed and not config.allow_no_keys:
            raise UserError(
                f"host={config.host} can be reached from other machines and there is no key: make one with "
                "onnuri serve keys create state=DIR name=NAME and give state=DIR, or say allow_no_keys=true"
            )
        self.audit = Audit(state) if state else None
        self.log = MaskedLog(state, config.log_days) if state and config.log == "masked" else None
        self.metrics = Metrics()
        self.worker = Worker()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Start the engines; to be called in the event loop."""
        for name, model in self.models.items():
            self.engines[name] = self._engine(model)
        self.spawn(self._housekeeping())

    def _engine(self, model: ServedModel) -> Engine:
        config = self.config
        loop = asyncio.get_running_loop()
        return Engine(model, config.slots, config.queue, config.cache_tokens, loop, self.worker)

    def spawn(self, work: Any) -> None:
        """Run in the background."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _housekeeping(self) -> None:
        deleted = 0.0
        while True:
            with contextlib.suppress(OSError):
                if self.log and time.time() - deleted > 3600:
                    deleted = time.time()
                    await asyncio.to_thread(self.log.delete_old, deleted)
                if self.audit:
                    await asyncio.to_thread(self.audit.sync)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def reload(self) -> None:
        """Read every model folder anew. Texts in progress end with the weights that they began with; a
        folder that cannot be read leaves its model as it is."""
        for name, model in self.models.items():
            try:
                fresh = await asyncio.to_thread(ServedModel, name, model.folder, self.config.context)
                engine = self._engine(fresh)
            except Exception as error:
                log.error("model %s stays as it is: %s", name, error)
                continue
            old, self.engines[name] = self.engines[name], engine
            self.models = {**self.models, name: fresh}
            old.close()
            log.info("model %s was read anew", name)

    async def close(self) -> None:
        """End the engines, and put what was written on disk."""
        for task in [*self._tasks]:
            task.cancel()
        for engine in self.engines.values():
            engine.close()
        for engine in self.engines.values():
            await asyncio.to_thread(engine.join)
        await asyncio.to_thread(self.worker.close)
        if self.audit:
            self.audit.close()

    def model_of(self, name: str) -> ServedModel:
        """A model by its name; "" if there is only one. Raises ApiError."""
        if not name and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name not in self.models:
            shown = name[:64]
            raise ApiError(
                404,
                f"no model has the name {shown!r}{nearest(shown, self.models)}; /v1/models lists them",
                "model",
                "model_not_found",
            )
        return self.models[name]

    def engine_of(self, name: str) -> Engine:
        """Raises ApiError."""
        return self.engines[self.model_of(name).name]

    def metrics_text(self) -> str:
        """For Prometheus."""
        gauges: list[tuple[str, Labels, float]] = []
        for name, engine in self.engines.items():
            gauges.append(("onnuri_texts", (("model", name),), engine.load))
            gauges.append(("onnuri_model_failures_total", (("model", name),), engine.failures))
        return self.metrics.text(gauges)

    async def write(self, exchange: Exchange, route: str, plan: Plan, key: Key | None) -> None:
        """Answer a request for texts. Raises ApiError, ClientLeft."""
        config = self.config
        body = parse(await exchange.body(config.max_body_bytes, config.body_seconds))
        await exchange.while_connected(
            self._write(exchange, route, plan, key, body), config.request_seconds
        )

    async def _write(
        self, exchange: Exchange, route: str, plan: Plan, key: Key | None, body: dict[str, Any]
    ) -> None:
        work = await asyncio.to_thread(plan, body, exchange.id, self.engine_of)
        while work.engine.closing:  # its model was read anew meanwhile
            work = await asyncio.to_thread(plan, body, exchange.id, self.engine_of)
        with work.engine.start(work.requests) as running:
            name, texts = work.engine.model.name, len(work.requests)
            tally = Tally(work.prompt_tokens, texts=[""] * texts)
            record = Record(self, exchange, key, name, work.said, tally)
            record.open(route)
            try:
                found = self._timed(deltas(running, work.requests, work.marks), exchange, record)
                if work.stream:
                    events = work.answer.events(found, record.tally)
                    await exchange.stream(events, self.config.heartbeat_seconds, MADE_BY_AI)
                    await exchange.send(b"")
                else:
                    content = await work.answer.whole(found, record.tally)
                    await exchange.answer(200, content, MADE_BY_AI)
            finally:
                record.close(complete=False)

    async def _timed(
        self, found: Deltas, exchange: Exchange, record: Record
    ) -> AsyncIterator[tuple[int, Delta]]:
        """The same; the record is closed after the last one, before the end of the answer is sent."""
        last, model = exchange.began, record.facts["model"]
        name = "onnuri_first_token_seconds"
        async for each in found:
            now = time.monotonic()
            self.metrics.observe(name, now - last, model=model)
            last, name = now, "onnuri_token_seconds"
            yield each
        record.close(complete=True)

    def finish(self, record: Record, complete: bool) -> None:
        """Count, audit and log a request whose texts have ended."""
        tally = record.tally
        counted = {
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "seconds": round(time.monotonic() - record.exchange.began, 3),
            "complete": complete,
        }
        self._count(record.facts["model"], record.key, tally)
        self.note("answer", {**record.facts, **counted})
        if self.log:
            logged = {name: record.facts[name] for name in ("key", "model")}
            said, texts = record.said, tally.texts
            self.spawn(self._log(record.exchange.id, logged, said, texts))

    async def _log(self, request_id: str, *facts: Any) -> None:
        assert self.log is not None
        try:
            await asyncio.to_thread(self.log.write, request_id, *facts)
        except OSError as error:
            log.error("request %s is not in the log of texts: %s", request_id, error)

    def _count(self, model: str, key: Key | None, tally: Tally) -> None:
        counts = {
            "prompt": tally.prompt_tokens,
            "cached": tally.cached_tokens,
            "completion": tally.completion_tokens,
        }
        for kind, number in counts.items():
            name = key.name if key else ""
            self.metrics.count("onnuri_tokens_total", number, model=model, key=name, kind=kind)

    def note(self, event: str, facts: dict[str, Any]) -> None:
        """Add to the audit. Raises ApiError if it cannot be written."""
        if self.audit is None:
            return
        try:
            self.audit.add(event, facts)
        except (OSError, UserError) as error:
            log.error("the audit cannot be written: %s", error)
            raise ApiError(503, "the audit cannot be written", None, "audit_failed", 60) from None
