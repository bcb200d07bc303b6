"""A `BatchGenerator` of each model, the thread that runs them, and texts in progress as the event loop sees
them.

The event loop hands over requests and cancellations in a queue, which the thread empties between two steps:
a text whose client left ends within one step. The tokens of a step go back in one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from typing import NamedTuple

from onnuri.generate.batched import BatchGenerator
from onnuri.generate.events import Event
from onnuri.generate.sampling import Request
from onnuri.serve.errors import ApiError
from onnuri.serve.models import ServedModel, apart

log = logging.getLogger(__name__)
RETRY_SECONDS = 2.0


class _Text:
    """A text in progress; the thread alone reads and writes `number`."""

    def __init__(self, request: Request, index: int, events: asyncio.Queue[_Arrived]) -> None:
        self.request, self.index, self.events = request, index, events
        self.number: int | None = None
        self.cancelled = self.ended = False


class _Arrived(NamedTuple):
    position: int
    event: Event | None
    """None: the engine failed."""


class Running:
    """The texts of one request: (index, event) as they come. Closed, what has not ended is dropped."""

    def __init__(self, engine: Engine, requests: Sequence[Request]) -> None:
        self.engine, self.events = engine, asyncio.Queue[_Arrived]()
        self.texts = [_Text(request, index, self.events) for index, request in enumerate(requests)]
        engine.load += len(self.texts)
        for text in self.texts:
            engine.submit(text)

    def __aiter__(self) -> Running:
        return self

    async def __anext__(self) -> tuple[int, Event]:
        """Raises ApiError if the model fails."""
        while not all(text.ended for text in self.texts):
            index, event = await self.events.get()
            if event is None:
                raise ApiError(500, "the model failed", None, "model_failed")
            text = self.texts[index]
            if not text.ended:
                if event.ended:
                    self._end(text)
                return index, event
        raise StopAsyncIteration

    def stop(self, index: int) -> None:
        """End one text here and now."""
        text = self.texts[index]
        if not text.ended:
            self._end(text)
            text.cancelled = True
            self.engine.submit(text)

    def _end(self, text: _Text) -> None:
        text.ended = True
        self.engine.load -= 1

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        for index in range(len(self.texts)):
            self.stop(index)


class Worker:
    """The one thread that computes: a step of each model that has texts, in turn.

    With a thread for each model their helpers would outnumber the cores: see `apart`.
    """

    def __init__(self) -> None:
        self._commands: queue.SimpleQueue[tuple[Engine, _Text | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engines", daemon=True)
        self._thread.start()

    def put(self, engine: Engine, text: _Text | None) -> None:
        """What `engine` is to take up; None: that it closes."""
        self._commands.put((engine, text))

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._commands.put(None)
        self._thread.join()

    def _run(self) -> None:
        busy: list[Engine] = []
        while True:
            while not busy or not self._commands.empty():
                command = self._commands.get()
                if command is None:
                    return
                engine, text = command
                engine.take(text)
                if engine not in busy:
                    busy.append(engine)
            busy = [engine for engine in busy if engine.step()]


class Engine:
    """Runs the texts of one model. `take` and `step` are the worker's, all else is the event loop's.

    Args:
        slots: texts in progress at a time.
        waiting: most texts that wait for a slot.
        cache_tokens: tokens that the cache holds; 0: slots times the model's context.
    """

    def __init__(
        self,
        model: ServedModel,
        slots: int,
        waiting: int,
        cache_tokens: int,
        loop: asyncio.AbstractEventLoop,
        worker: Worker,
    ) -> None:
        self.model, self.most, self.loop, self.worker = model, slots + waiting, loop, worker
        sizes = slots, model.context, model.num_ids
        self.generator = apart(BatchGenerator, model.decoder, *sizes, cache_tokens=cache_tokens or None)
        self.load = 0
        """Texts in progress or waiting."""
        self.failures = 0
        self._texts: dict[int, _Text] = {}
        self.closing = self._no_more = False
        self._ended = threading.Event()

    def start(self, requests: Sequence[Request]) -> Running:
        """Line up some texts. Raises ApiError if too many wait already."""
        if self.load + len(requests) > self.most:
            raise ApiError(
                503,
                f"{self.load} texts are in progress or waiting; try later",
                None,
                "overloaded",
                RETRY_SECONDS,
            )
        return Running(self, requests)

    def submit(self, text: _Text) -> None:
        """Line up a text, or drop it if it is cancelled."""
        self.worker.put(self, text)

    def close(self) -> None:
        """Take no more texts."""
        self.closing = True
        self.worker.put(self, None)

    def join(self) -> None:
        """Wait until every text has ended, once closed."""
        self._ended.wait()

    def take(self, text: _Text | None) -> None:
        """Begin a text, or drop it if it is cancelled; None: none comes after this."""
        if text is None:
            self._no_more = True
        elif text.cancelled:
            if text.number is not None and self._texts.pop(text.number, None) is not None:
                self.generator.cancel(text.number)
        elif text.number is None:
            try:
                text.number = self.generator.submit(text.request)
                self._texts[text.number] = text
            except Exception as error:
                log.exception("a request was refused by the generator of %s: %s", self.model.name, error)
                self._deliver([(text, None)])

    def step(self) -> bool:
        """A token of each text. False if there is none left."""
        if self.generator.active:
            self._step()
        if not self.generator.active and self._no_more:
            self._ended.set()
        return self.generator.active

    def _step(self) -> None:
        try:
            events = self.generator.step()
        except Exception as error:
            log.exception("the generator of %s failed; its texts end: %s", self.model.name, error)
            self._fail()
            return
        self._deliver([(self._texts[event.request], event) for event in events])
        for event in events:
            if event.ended:
                del self._texts[event.request]

    def _fail(self) -> None:
        """Every text ends; nothing that the failed step left is used again."""
        self.failures += 1
        texts, self._texts = self._texts, {}
        for number in texts:
            self.generator.cancel(number)
        self._deliver([(text, None) for text in texts.values()])

    def _deliver(self, arrived: list[tuple[_Text, Event | None]]) -> None:
        with contextlib.suppress(RuntimeError):  # there is no event loop any more
            self.loop.call_soon_threadsafe(_arrive, arrived)


def _arrive(arrived: list[tuple[_Text, Event | None]]) -> None:
    for text, event in arrived:
        if not text.ended:
            text.events.put_nowait(_Arrived(text.index, event))
