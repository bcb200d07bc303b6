"""A thread that owns a `BatchGenerator`, and texts in progress as the event loop sees them.

The event loop hands over requests and cancellations in a queue, which the thread empties between two steps:
a text whose client left ends within one step. The tokens of a step go back in one call.
"""

from __future__ import annotations

import asyncio
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


class Engine:
    """Runs the texts of one model.

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
    ) -> None:
        self.model, self.most, self.loop = model, slots + waiting, loop
        sizes = slots, model.context, model.num_ids
        self.generator = apart(BatchGenerator, model.decoder, *sizes, cache_tokens=cache_tokens or None)
        self.load = 0
        """Texts in progress or waiting."""
        self.failures = 0
        self._commands: queue.SimpleQueue[_Text | None] = queue.SimpleQueue()
        self._texts: dict[int, _Text] = {}
        self.closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine {model.name}", daemon=True)
        self._thread.start()

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
        """From the event loop: line up a text, or drop it if it is cancelled."""
        self._commands.put(text)

    def close(self) -> None:
        """End the thread once every text has ended."""
        self.closing = True
        self._commands.put(None)

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._take_commands()
            if not self.generator.active:
                if self.closing and self._commands.empty():
                    return
                continue
            try:
                events = self.generator.step()
            except Exception as error:
                log.exception("the generator of %s failed; its texts end: %s", self.model.name, error)
                self._fail()
                continue
            if not self._deliver([(self._texts[event.request], event) for event in events]):
                return
            for event in events:
                if event.ended:
                    del self._texts[event.request]

    def _take_commands(self) -> None:
        """All that are there; waits for one if there is nothing else to do."""
        wait = not self.generator.active and not self.closing
        while wait or not self._commands.empty():
            text = self._commands.get()
            wait = False
            if text is None:
                continue
            if text.cancelled:
                if text.number is not None and self._texts.pop(text.number, None) is not None:
                    self.generator.cancel(text.number)
            elif text.number is None:
                try:
                    text.number = self.generator.submit(text.request)
                    self._texts[text.number] = text
                except Exception as error:
                    log.exception(
                        "a request was refused by the generator of %s: %s", self.model.name, error
                    )
                    self._deliver([(text, None)])

    def _fail(self) -> None:
        """Every text ends; nothing that the failed step left is used again."""
        self.failures += 1
        texts, self._texts = self._texts, {}
        for number in texts:
            self.generator.cancel(number)
        self._deliver([(text, None) for text in texts.values()])

    def _deliver(self, arrived: list[tuple[_Text, Event | None]]) -> bool:
        """False if there is no event loop any more."""
        try:
            self.loop.call_soon_threadsafe(_arrive, arrived)
        except RuntimeError:
            return False
        return True


def _arrive(arrived: list[tuple[_Text, Event | None]]) -> None:
    for text, event in arrived:
        if not text.ended:
            text.events.put_nowait(_Arrived(text.index, event))
