"""Texts of many requests at once from a model of ours, a step at a time.

A step runs every layer once, for all that there is to do: one token of each text in progress, and the whole
prompts of requests that take free slots (continuous batching: Yu et al., Orca, OSDI 2022). The weights are
those of the given module at that moment, so a training engine's can be used as they are. Texts in progress
occupy the first slots of the cache: when one ends, the last one moves into its slot.

Where weights are sharded (ZeRO-3), `gather` streams them layer by layer. All ranks must then take the same
number of steps, for which `any_active` is asked before each; a rank with nothing left to do enters the
same contexts in the same order, and computes nothing.

Shapes: N texts in progress, T tokens of a step, E hidden size, V vocabulary.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

from onnuri.base.errors import UserError
from onnuri.generate.cache import KeyValueCache
from onnuri.generate.sampling import (
    Adjustment,
    Request,
    Sampler,
    Top,
    adjustment,
    check_request,
)
from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.kernels.native.decode import MOST_ROWS, Decode, logits, usable
from onnuri.kernels.rope import rope_tables
from onnuri.model.config import ModelConfig

PROMPT_TOKENS = 8192
"""Tokens of prompts in one step, more only where one prompt has more."""
Ended = Literal["", "stop", "length"]


class Event(NamedTuple):
    """A token of a request."""

    request: int
    """Its number."""
    token: int
    logprob: float
    """Under the model at temperature 1, as in the training loss."""
    sampling_logprob: float
    """Under the distribution that it was sampled from."""
    ended: Ended
    """stop: the token is one of the request's stops, or its constraint is complete; length: it is the last
    that fits; else empty."""
    top: Top = ()
    """As many alternatives as the request asked for, under the model."""


class Completion(NamedTuple):
    """What a request became. Ids include the stop that ended it, as a model learns to write it."""

    ids: list[int]
    logprobs: list[float]
    sampling_logprobs: list[float]
    ended: Ended


@dataclass
class _Text:
    """A request in progress."""

    number: int
    request: Request
    length: int
    """Tokens so far, the prompt's included."""
    last: int
    """Length at which it ends."""
    adjustment: Adjustment | None
    token: int = 0
    """The newest; its keys and values are not in the cache yet."""


class _Batch(NamedTuple):
    """The tokens of a step: first one of each of N texts, then prompts."""

    tokens: torch.Tensor
    """int64 [1, T]."""
    slots: torch.Tensor
    """int64 [T]."""
    positions: torch.Tensor
    """int64 [T]."""
    decoding: int
    """N."""
    longest: int
    """Positions of the longest of the N texts."""
    seen: torch.Tensor | None
    """See `KeyValueCache.attend`."""
    prompts: AttentionMask | None
    """Of the tokens behind the first N."""
    decode: Decode | None
    """Runs a block in one call; None: PyTorch's operations do."""
    last: torch.Tensor | None
    """int64: where in T the last token of each text is; None: all are."""


def _weights(block: Any) -> list[torch.Tensor | None]:
    """Of a block, as `Decode.block` takes them."""
    attention, ffn = block.attention, block.ffn
    norms = [getattr(norm, "weight", None) for norm in (attention.query_norm, attention.key_norm)]
    first = [block.attention_norm.weight, attention.qkv.weight, *norms, attention.output.weight]
    return [*first, block.ffn_norm.weight, ffn.gate_up.weight, ffn.down.weight]


class BatchGenerator:
    """Continues texts with a `Decoder`.

    Args:
        model: a `Decoder`, or a module with its parts. Its weights are read anew in each step.
        slots: most texts in progress at a time.
        context: most tokens of a text, its prompt included.
        known_ids: ids from here on never come: rows of the embedding that the tokenizer has no token for.
        gather: context in which the parameters of a module are there in full; entered around the embedding,
            each block, the last norm and the output matrix.
        any_active: whether any rank has something to do, from whether this one has. A collective call.
    """

    def __init__(
        self,
        model: nn.Module,
        slots: int,
        context: int,
        known_ids: int | None = None,
        gather: Callable[[nn.Module], AbstractContextManager[object]] = lambda _: nullcontext(),
        any_active: Callable[[bool], bool] = bool,
    ) -> None:
        if slots < 1 or context < 2:
            raise UserError(f"needed: slots >= 1, context >= 2; found {slots} and {context}")
        self.model = cast(Any, model)
        self.config: ModelConfig = self.model.config
        self.slots, self.context = slots, context
        self.known_ids = min(known_ids or self.config.vocab_size, self.config.vocab_size)
        self.gather, self.any_active = gather, any_active
        weight: torch.Tensor = self.model.embedding.weight
        self.device: torch.device = weight.device
        self.cache = KeyValueCache(self.config, slots, context, weight.dtype, self.device)
        self.cosine, self.sine = rope_tables(
            context, self.config.head_dim, self.config.rope_theta, self.device
        )
        self._decode = self._in_one_call(weight.dtype)
        self._submitted = 0
        self._waiting: deque[_Text] = deque()
        self._texts: list[_Text] = []
        self._sampler: Sampler | None = None

    def _in_one_call(self, dtype: torch.dtype) -> Decode | None:
        config, one = self.config, {each.dtype for each in self.model.parameters()} == {dtype}
        aligned = (config.hidden_size, config.head_dim, config.intermediate_size)
        if not one or not usable(aligned, dtype, self.device):
            return None
        heads = (config.num_heads, config.num_kv_heads, config.head_dim)
        sizes = (config.hidden_size, *heads, config.intermediate_size)
        return Decode(sizes, self.context, config.rms_norm_eps)

    @property
    def active(self) -> bool:
        """Whether any request is waiting or in progress."""
        return bool(self._waiting or self._texts)

    def submit(self, request: Request) -> int:
        """Line up a request; its number, which counts all that this object was given.

        Raises UserError for one that cannot be continued.
        """
        check_request(request, self.context, self.config.vocab_size)
        length = len(request.ids)
        last = min(length + request.max_tokens, self.context)
        change = adjustment(request, self.known_ids, self.device)
        self._waiting.append(_Text(self._submitted, request, length, last, change))
        self._submitted += 1
        return self._submitted - 1

    def cancel(self, number: int) -> None:
        """Drop a request that has not ended; nothing if it has."""
        self._waiting = deque(text for text in self._waiting if text.number != number)
        self._remove([slot for slot, text in enumerate(self._texts) if text.number == number])

    def stream(self, requests: Iterable[Request]) -> Iterator[Event]:
        """Tokens as they come, of requests numbered from 0. Those of an iterator left early are dropped.

        Raises UserError, before anything is computed, for a request that cannot be continued.
        """
        if self.active:
            raise RuntimeError("other requests are in progress; use submit and step for several callers")
        requests = list(requests)
        for number, request in enumerate(requests):
            try:
                check_request(request, self.context, self.config.vocab_size)
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
            self._waiting.clear()
            self._texts.clear()
            self._sampler = None

    def generate(self, requests: Iterable[Request]) -> list[Completion]:
        """All of them, in their order. Raises as `stream` does."""
        requests = list(requests)
        found = [Completion([], [], [], "") for _ in requests]
        for event in self.stream(requests):
            number = event.request
            found[number].ids.append(event.token)
            found[number].logprobs.append(event.logprob)
            found[number].sampling_logprobs.append(event.sampling_logprob)
            if event.ended:
                found[number] = found[number]._replace(ended=event.ended)
        return found

    def step(self) -> list[Event]:
        """One more token of every text in progress, which waiting requests join first.

        Raises FloatingPointError if the model gives logits that are not finite.
        """
        decoding = len(self._texts)
        tokens = 0
        while self._waiting and len(self._texts) < self.slots:
            tokens += len(self._waiting[0].request.ids)
            if tokens > PROMPT_TOKENS and len(self._texts) > decoding:
                break
            self._texts.append(self._waiting.popleft())
            self._sampler = None
        logits = self._forward(self._batch(decoding) if self._texts else None)
        return [] if logits is None else self._choose(logits)

    @torch.inference_mode()
    def _batch(self, decoding: int) -> _Batch:
        texts, prompts = self._texts[:decoding], self._texts[decoding:]
        tokens = [text.token for text in texts]
        slots = [*range(decoding)]
        positions = [text.length - 1 for text in texts]
        ends = [*range(decoding)]
        for slot, text in enumerate(prompts, decoding):
            tokens += text.request.ids
            slots += [slot] * text.length
            positions += range(text.length)
            ends.append(len(tokens) - 1)
        table = torch.tensor([tokens, slots, positions]).to(self.device)
        longest = max(positions[:decoding], default=0) + 1
        seen = mask = last = None
        if min(positions[:decoding], default=0) + 1 < longest:
            seen = torch.arange(longest, device=self.device) <= table[2, :decoding, None]
            seen = seen[:, None, None]
        if prompts:
            boundaries = torch.tensor([0] + [end + 1 - decoding for end in ends[decoding:]])
            mask = attention_mask(1, len(tokens) - decoding, boundaries, device=self.device)
            last = torch.tensor(ends, device=self.device)
        few = not prompts and decoding <= MOST_ROWS
        decode = self._decode if few else None
        return _Batch(table[:1], table[1], table[2], decoding, longest, seen, mask, decode, last)

    def _forward(self, batch: _Batch | None) -> torch.Tensor | None:
        """Logits [N, V] of each text's next token. `gather` is entered outside of inference mode, in which
        it would make tensors that training cannot use."""
        model, hidden = self.model, None
        with self.gather(model.embedding):
            if batch is not None:
                hidden, cosine, sine = self._embed(batch)
        for number, block in enumerate(model.blocks):
            with self.gather(block):
                if batch is not None:
                    hidden = self._block(number, block, hidden, cosine, sine, batch)
        output = model.embedding if self.config.tie_embeddings else model.head
        with self.gather(model.norm), self.gather(output):
            return None if batch is None else self._logits(hidden, output.weight, batch)

    @torch.inference_mode()
    def _embed(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = F.embedding(batch.tokens, self.model.embedding.weight)
        return hidden, self.cosine[batch.positions], self.sine[batch.positions]

    @torch.inference_mode()
    def _block(
        self,
        number: int,
        block: Any,
        hidden: Any,
        cosine: torch.Tensor,
        sine: torch.Tensor,
        batch: _Batch,
    ) -> torch.Tensor:
        """What `Block.forward` does, over the cache; hooks and compiled code of the block are not used."""
        if batch.decode is not None:
            weights = [*_weights(block), self.cache.keys[number], self.cache.values[number]]
            tables = (self.cosine, self.sine)
            batch.decode.block(hidden[0], weights, batch.positions, batch.longest, *tables)
            return cast(torch.Tensor, hidden)
        query, key, value = block.attention.project(block.attention_norm(hidden), cosine, sine)
        self.cache.store(number, batch.slots, batch.positions, key[0], value[0])
        n, parts = batch.decoding, []
        if n:
            parts.append(self.cache.attend(number, query[0, :n], batch.longest, batch.seen))
        if batch.prompts is not None:
            attention = block.attention.kernels.attention
            parts.append(attention(query[:, n:], key[:, n:], value[:, n:], batch.prompts)[0])
        attended = parts[0] if len(parts) == 1 else torch.cat(parts)
        normed, hidden = block.ffn_norm(block.attention.output(attended.flatten(1)[None]), hidden)
        result: torch.Tensor = hidden + block.ffn(normed)
        return result

    @torch.inference_mode()
    def _logits(self, hidden: Any, weight: torch.Tensor, batch: _Batch) -> torch.Tensor:
        hidden = hidden[0] if batch.last is None else hidden[0, batch.last]
        norm = self.model.norm
        normed = norm.kernels.rms_norm(hidden, norm.weight, norm.eps)
        return F.linear(normed, weight) if batch.decode is None else logits(normed, weight)

    @torch.inference_mode()
    def _choose(self, logits: torch.Tensor) -> list[Event]:
        if self._sampler is None:
            requests = [text.request for text in self._texts]
            changes = [text.adjustment for text in self._texts]
            self._sampler = Sampler(requests, changes, self.known_ids, self.device)
        found = self._sampler.sample(logits, [text.length for text in self._texts])
        events = []
        for text, token, logprob, sampling_logprob, top in zip(self._texts, *found, strict=True):
            if not (math.isfinite(logprob) and math.isfinite(sampling_logprob)):
                raise FloatingPointError(f"the model's logits are not finite after {text.length} tokens")
            text.token, text.length = token, text.length + 1
            complete = text.adjustment is not None and text.adjustment.accept(token)
            stopped, full = complete or token in text.request.stops, text.length == text.last
            ended: Ended = "stop" if stopped else "length" if full else ""
            events.append(Event(text.number, token, logprob, sampling_logprob, ended, top))
        self._remove([slot for slot, event in enumerate(events) if event.ended])
        return events

    @torch.inference_mode()
    def _remove(self, ended: list[int]) -> None:
        """Free slots; the last texts move into them."""
        for slot in reversed(ended):
            text = self._texts.pop()
            if slot < len(self._texts):
                self._texts[slot] = text
                self.cache.move(len(self._texts), slot, text.length)
            self._sampler = None
