"""Texts of many requests at once from a model of ours, a step at a time.

A step runs every layer once, for all that there is to do: one token of each text in progress, and parts
of the prompts of requests that take free slots (continuous batching: Yu et al., Orca, OSDI 2022). Keys and
values lie in blocks that texts with an equal beginning share. The weights are those of the given module at
that moment, so a training engine's can be used as they are.

Where weights are sharded (ZeRO-3), all ranks must take the same number of steps, for which `any_active` is
asked before each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from onnuri.base.errors import UserError
from onnuri.generate.blocks import BLOCK, Blocks, blocks_of
from onnuri.generate.events import NO_TOKEN, Completion, Ended, Event
from onnuri.generate.forward import Forward, Gather
from onnuri.generate.sampling import Request, Sampler, adjustment, check_request
from onnuri.generate.scheduler import Scheduler, Segment, Text

PROMPT_TOKENS = 512
"""Tokens of prompts in one step."""


class BatchGenerator:
    """Continues texts with a `Decoder`.

    Args:
        model: a `Decoder`, or a module with its parts. Its weights are read anew in each step; after they
            changed, call `clear_prefixes`.
        slots: most texts in progress at a time.
        context: most tokens of a text, its prompt included.
        known_ids: ids from here on never come: rows of the embedding that the tokenizer has no token for.
        gather: context in which the parameters of a module are there in full; entered around the embedding,
            each block, the last norm and the output matrix.
        any_active: whether any rank has something to do, from whether this one has. A collective call.
        cache_tokens: tokens whose keys and values there is room for; None: slots x context. A request waits
            until there is room for its prompt and `max_tokens`.
        prompt_tokens: most tokens of prompts in one step.
        reuse: whether the keys and values of equal beginnings are computed once.
    """

    def __init__(
        self,
        model: nn.Module,
        slots: int,
        context: int,
        known_ids: int | None = None,
        gather: Gather | None = None,
        any_active: Callable[[bool], bool] = bool,
        *,
        cache_tokens: int | None = None,
        prompt_tokens: int = PROMPT_TOKENS,
        reuse: bool = True,
    ) -> None:
        if slots < 1 or context < 2 or prompt_tokens < 1:
            found = f"found {slots}, {context} and {prompt_tokens}"
            raise UserError(f"needed: slots >= 1, context >= 2, prompt_tokens >= 1; {found}")
        least = blocks_of(context) * BLOCK
        if cache_tokens is not None and cache_tokens < least:
            raise UserError(
                f"cache_tokens={cache_tokens} must be at least {least}, for one text of {context}"
            )
        count = slots * blocks_of(context) if cache_tokens is None else cache_tokens // BLOCK
        self.slots, self.context, self.any_active = slots, context, any_active
        self.vocab_size: int = model.config.vocab_size  # type: ignore[union-attr, assignment]
        self.known_ids = min(known_ids or self.vocab_size, self.vocab_size)
        self.forward = Forward(model, count, slots, context, self.known_ids, gather)
        self.scheduler = Scheduler(slots, Blocks(count), prompt_tokens, reuse)
        self._submitted = 0
        self._sampled: list[Text] = []
        self._sampler: Sampler | None = None

    @property
    def active(self) -> bool:
        """Whether any request is waiting or in progress."""
        return bool(self.scheduler.waiting or self.scheduler.texts)

    def submit(self, request: Request) -> int:
        """Line up a request; its number, which counts all that this object was given.

        Raises UserError for one that cannot be continued.
        """
        check_request(request, self.context, self.vocab_size)
        last = min(len(request.ids) + request.max_tokens, self.context)
        change = adjustment(request, self.known_ids, self.forward.device)
        self.scheduler.waiting.append(Text(self._submitted, request, last, change))
        self._submitted += 1
        return self._submitted - 1

    def cancel(self, number: int) -> None:
        """Drop a request that has not ended, and free what it has; nothing if it has ended."""
        self.scheduler.cancel(number)

    def clear_prefixes(self) -> None:
        """Compute all prompts anew from here on: the weights have changed."""
        self.scheduler.forget()

    def stream(self, requests: Iterable[Request]) -> Iterator[Event]:
        """Tokens as they come, of requests numbered from 0. Those of an iterator left early are dropped.

        Raises UserError, before anything is computed, for a request that cannot be continued.
        """
        if self.active:
            raise RuntimeError("other requests are in progress; use submit and step for several callers")
        requests = list(requests)
        for number, request in enumerate(requests):
            try:
                check_request(request, self.context, self.vocab_size)
            except UserError as error:
                raise UserError(f"request {number}: {error}" if len(requests) > 1 else str(error)) from None
        return self._stream(requests)

    def _stream(self, requests: list[Request]) -> Iterator[Event]:
        first = self._submitted
        for request in requests:
            self.submit(request)
        try:
            while self.any_active(self.active):
                for event in self.step():
                    yield event._replace(request=event.request - first)
        finally:
            self.scheduler.clear()

    def generate(self, requests: Iterable[Request]) -> list[Completion]:
        """All of them, in their order. Raises as `stream` does."""
        requests = list(requests)
        found = [Completion([], [], [], "") for _ in requests]
        for event in self.stream(requests):
            each = found[event.request]
            if event.token != NO_TOKEN:
                each.ids.append(event.token)
                each.logprobs.append(event.logprob)
                each.sampling_logprobs.append(event.sampling_logprob)
            if event.ended:
                found[event.request] = each._replace(ended=event.ended)
        return found

    def step(self) -> list[Event]:
        """One more token of every text in progress whose prompt is read; waiting requests join first.

        Raises FloatingPointError if the model gives logits that are not finite.
        """
        segments = self.scheduler.step()
        logits = self.forward.run(segments)
        ready = [each.text for each in segments if each.last]
        events = [self._scored(text) for text in ready if text.request.max_tokens == 0]
        if logits is not None:
            events += self._choose(logits, [text for text in ready if text.request.max_tokens > 0])
        self._ended(segments, events)
        return events

    @torch.inference_mode()
    def _choose(self, logits: torch.Tensor, texts: list[Text]) -> list[Event]:
        if self._sampler is None or texts != self._sampled:
            requests, changes = [text.request for text in texts], [text.adjustment for text in texts]
            self._sampler = Sampler(requests, changes, self.known_ids, self.forward.device)
            self._sampled = texts
        found = self._sampler.sample(logits, [len(text.ids) for text in texts])
        events = []
        for text, token, logprob, sampling_logprob, top in zip(texts, *found, strict=True):
            if not (math.isfinite(logprob) and math.isfinite(sampling_logprob)):
                raise FloatingPointError(f"the model's logits are not finite after {len(text.ids)} tokens")
            first = text.reading
            text.ids.append(token)
            complete = text.adjustment is not None and text.adjustment.accept(token)
            stopped, full = complete or token in text.request.stops, len(text.ids) == text.last
            ended: Ended = "stop" if stopped else "length" if full else ""
            event = Event(text.number, token, logprob, sampling_logprob, ended, top)
            events.append(self._with_prompt(event, text) if first else event)
        return events

    def _scored(self, text: Text) -> Event:
        return self._with_prompt(Event(text.number, NO_TOKEN, 0.0, 0.0, "length"), text)

    @staticmethod
    def _with_prompt(event: Event, text: Text) -> Event:
        return event._replace(prompt=tuple(text.scores), cached=text.cached)

    def _ended(self, segments: list[Segment], events: list[Event]) -> None:
        self.scheduler.computed(segments)
        ended = {event.request for event in events if event.ended}
        self.scheduler.end([each.text for each in segments if each.text.number in ended])
