"""A step of the model over the tokens of some texts, with their keys and values in the cache.

On CPUs all blocks of the decoder run in one C++ call, in which no token depends on what else is in the
step; elsewhere, and for shapes that it does not take, in PyTorch's operations.

Where weights are sharded (ZeRO-3), `gather` streams them layer by layer; a rank with nothing left to do
enters the same contexts in the same order, and computes nothing.

Shapes: T tokens of a step, M texts that get a token, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from onnuri.generate.blocks import BLOCK, blocks_of
from onnuri.generate.cache import KeyValueCache
from onnuri.generate.int8 import product, rows, scales_of
from onnuri.generate.sampling import PromptLogprob, score_prompt
from onnuri.generate.scheduler import Segment, Text
from onnuri.kernels.native.decode import Decode, usable
from onnuri.kernels.rope import rope_tables
from onnuri.model.config import ModelConfig
from onnuri.model.lora import LoraLinear

Gather = Callable[[nn.Module], AbstractContextManager[object]]
SCORED = 64
"""Tokens of a prompt whose logits are there at a time."""


class _Span(NamedTuple):
    """Tokens `start` to `stop` of a step, equally many of each of some texts."""

    start: int
    stop: int
    tables: torch.Tensor
    """int64 [texts, blocks]."""
    positions: torch.Tensor
    """int64 [texts, tokens]."""


class _Step(NamedTuple):
    """The tokens of a step."""

    tokens: torch.Tensor
    """int64 [1, T]."""
    slots: torch.Tensor
    """int64 [T]: rows of the table of blocks."""
    positions: torch.Tensor
    """int64 [T]."""
    segments: Sequence[Segment]
    starts: list[int]
    """Where in T each segment begins, and T."""
    longest: int
    """Tokens of the longest text."""
    wanted: list[int]
    """Where in T the M tokens are that another one follows."""
    spans: list[_Span]
    """Of all T, where PyTorch computes: all texts with one token, then text by text."""


class Forward:
    """A model and its cache.

    Args:
        blocks: of the cache.
        slots: most texts in a step.
        context: most tokens of a text.
        known_ids: see `BatchGenerator`, as `gather`.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: int,
        slots: int,
        context: int,
        known_ids: int,
        gather: Gather | None,
    ) -> None:
        self.model = cast(Any, model)
        self.config: ModelConfig = self.model.config
        self.known_ids, self.gather = known_ids, gather
        self.dtype: torch.dtype = self.model.norm.weight.dtype
        self.device: torch.device = self.model.embedding.weight.device
        self.cache = KeyValueCache(self.config, blocks, self.dtype, self.device)
        size, theta = self.config.head_dim, self.config.rope_theta
        self.cosine, self.sine = rope_tables(context, size, theta, self.device)
        self.tables = torch.zeros(slots, blocks_of(context), dtype=torch.int64, device=self.device)
        self._owners: list[Text | None] = [None] * slots
        self.decode = self._native()
        self._weights = [self._weights_of(number) for number in range(self.config.num_layers)]

    def _native(self) -> Decode | None:
        config, one = self.config, {each.dtype for each in self.model.parameters()} == {self.dtype}
        aligned = (config.hidden_size, config.head_dim, config.intermediate_size)
        adapted = any(isinstance(each, LoraLinear) for each in self.model.modules())
        if adapted or not one or not usable(aligned, self.dtype, self.device):
            return None
        heads = (config.num_heads, config.num_kv_heads, config.head_dim)
        return Decode((config.hidden_size, *heads, config.intermediate_size), config.rms_norm_eps)

    def _weights_of(self, number: int) -> list[torch.Tensor | None]:
        """Of a block and its cache, as `Decode.blocks` takes them."""
        block = self.model.blocks[number]
        attention, ffn = block.attention, block.ffn
        norms = [getattr(norm, "weight", None) for norm in (attention.query_norm, attention.key_norm)]

        def matrix(module: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
            return module.weight, scales_of(module)

        first = [block.attention_norm.weight, *matrix(attention.qkv), *norms, *matrix(attention.output)]
        last = [block.ffn_norm.weight, *matrix(ffn.gate_up), *matrix(ffn.down)]
        return [*first, *last, self.cache.keys[number], self.cache.values[number]]

    def _gathered(self, module: nn.Module) -> AbstractContextManager[object]:
        return nullcontext() if self.gather is None else self.gather(module)

    def run(self, segments: Sequence[Segment]) -> torch.Tensor | None:
        """Logits [M, V] of the next tokens, of the segments that are the last of their texts; None without.

        The scores of prompts that ask for them grow. `gather` is entered outside of inference mode, in
        which it would make tensors that training cannot use.
        """
        model, hidden = self.model, None
        step = self._step(segments) if segments else None
        with self._gathered(model.embedding):
            if step is not None:
                hidden = self._embed(step)
        if self.gather is not None or self.decode is None:
            for number, block in enumerate(model.blocks):
                with self._gathered(block):
                    if step is not None:
                        hidden = self._block(number, block, hidden, step)
        elif step is not None:
            self._in_one_call(hidden, [each for one in self._weights for each in one], step)
        output = model.embedding if self.config.tie_embeddings else model.head
        with self._gathered(model.norm), self._gathered(output):
            return None if step is None else self._logits(hidden, output, step)

    @torch.inference_mode()
    def _step(self, segments: Sequence[Segment]) -> _Step:
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        starts, wanted = [0], []
        for segment in segments:
            text, start, size = segment
            if self._owners[text.slot] is not text:
                self._owners[text.slot] = text
                self.tables[text.slot, : len(text.blocks)] = torch.tensor(text.blocks)
            tokens += segment.ids
            slots += [text.slot] * size
            positions += range(start, start + size)
            starts.append(len(tokens))
            if segment.last and text.last > start + size:
                wanted.append(len(tokens) - 1)
        table = torch.tensor([tokens, slots, positions]).to(self.device)
        spans = self._spans(segments, starts, table[2]) if self.decode is None else []
        longest = max(positions) + 1
        return _Step(table[:1], table[1], table[2], segments, starts, longest, wanted, spans)

    def _spans(
        self, segments: Sequence[Segment], starts: list[int], positions: torch.Tensor
    ) -> list[_Span]:
        single = next((n for n, each in enumerate(segments) if each.size > 1), len(segments))
        parts = [(0, single)] if single else []
        spans = []
        for first, end in parts + [(n, n + 1) for n in range(single, len(segments))]:
            some, start, stop = segments[first:end], starts[first], starts[end]
            held = blocks_of(max(each.start + each.size for each in some))
            tables = self.tables[[each.text.slot for each in some], :held]
            spans.append(_Span(start, stop, tables, positions[start:stop].view(len(some), -1)))
        return spans

    @torch.inference_mode()
    def _embed(self, step: _Step) -> torch.Tensor:
        embedding = self.model.embedding
        return rows(embedding.weight, scales_of(embedding), step.tokens, self.dtype)

    @torch.inference_mode()
    def _in_one_call(self, hidden: Any, weights: list[torch.Tensor | None], step: _Step) -> None:
        assert self.decode is not None
        where = (step.slots, step.positions, self.tables)
        self.decode.blocks(hidden[0], weights, *where, step.longest, self.cosine, self.sine)

    @torch.inference_mode()
    def _block(self, number: int, block: Any, hidden: Any, step: _Step) -> torch.Tensor:
        """What `Block.forward` does, over the cache; hooks and compiled code of the block are not used."""
        if self.decode is not None:
            self._in_one_call(hidden, self._weights[number], step)
            return cast(torch.Tensor, hidden)
        cosine, sine = self.cosine[step.positions], self.sine[step.positions]
        query, key, value = block.attention.project(block.attention_norm(hidden), cosine, sine)
        blocks = self.tables[step.slots, step.positions // BLOCK]
        self.cache.store(number, blocks, step.positions % BLOCK, key[0], value[0])
        attended = torch.cat([self._attend(number, query[0], span) for span in step.spans])
        normed, hidden = block.ffn_norm(block.attention.output(attended.flatten(1)[None]), hidden)
        result: torch.Tensor = hidden + block.ffn(normed)
        return result

    def _attend(self, number: int, query: torch.Tensor, span: _Span) -> torch.Tensor:
        """Attention of a span of `query` [T, H, D]."""
        own = query[span.start : span.stop].view(len(span.tables), -1, *query.shape[1:])
        return self.cache.attend(number, own, span.tables, span.positions).flatten(0, 1)

    @torch.inference_mode()
    def _logits(self, hidden: Any, output: Any, step: _Step) -> torch.Tensor | None:
        for (text, start, size), first in zip(step.segments, step.starts, strict=False):
            if text.request.prompt_logprobs and text.reading:
                text.scores += [] if start else [PromptLogprob(None)]
                targets = text.request.ids[start + 1 : start + size + 1]
                for at in range(0, len(targets), SCORED):
                    some = targets[at : at + SCORED]
                    logits = self._products(hidden[0, first + at : first + at + len(some)], output)
                    text.scores += score_prompt(logits, some, self.known_ids, text.request.top_logprobs)
        if not step.wanted:
            return None
        all_wanted = len(step.wanted) == hidden.shape[1]
        return self._products(hidden[0] if all_wanted else hidden[0, step.wanted], output)

    def _products(self, hidden: torch.Tensor, output: Any) -> torch.Tensor:
        norm, weight, scales = self.model.norm, output.weight, scales_of(output)
        if self.decode is not None:
            return self.decode.logits(hidden, norm.weight, weight, scales)
        return product(norm.kernels.rms_norm(hidden, norm.weight, norm.eps), weight, scales)
