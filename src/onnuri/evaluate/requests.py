"""Negative log-likelihood of continuations, each after its context.

The texts are joined and tokenized together, as the model will meet them; the continuation is what follows
the tokens of the context alone (spaces at the context's end belong to the continuation). So does
lm-evaluation-harness (`TemplateLM._encode_pair`), and the numbers are the same. Requests that differ in
their last token only, as the letters of a question, share one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from onnuri.base.errors import UserError
from onnuri.evaluate.items import Request

Encode = Callable[[list[str]], list[list[int]]]
"""Texts to token ids without special tokens."""


class Row(NamedTuple):
    """A forward pass: its input, and the position from which successors are scored."""

    tokens: tuple[int, ...]
    first_scored: int


class Plan(NamedTuple):
    """Rows to run, and what each request takes of them."""

    rows: list[Row]
    last: list[list[int]]
    """For each row the tokens that may follow it."""
    uses: list[tuple[int, int]]
    """For each request its row and the index of its last token there."""
    sizes: list[int]
    """Tokens of each continuation."""
    cut: list[bool]
    """Whether the beginning of a request's context did not fit."""


def encoder(tokenizer: Any) -> Encode:
    """Encode with a Hugging Face tokenizer; marks of special tokens in a text are text."""

    def encode(texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = tokenizer(
            texts, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return found

    return encode


def plan(
    requests: Sequence[Request],
    encode: Encode,
    separator: int,
    context: int,
    begins: bool = False,
    names: Sequence[str] = (),
) -> Plan:
    """Tokenize requests and find the rows that answer them.

    `begins`: the separator stands before every text, as tokenizers that add a first token want it, not only
    where there is no context. A context that does not fit is cut on the left. Raises UserError for a
    continuation without tokens, or one longer than `context` tokens, with its name, if `names` are given.
    """
    moved = [_trailing_spaces_moved(request) for request in requests]
    whole = encode([before + after for before, after in moved])
    starts = dict.fromkeys(before for before, _ in moved if before)
    lengths = {"": 0} | {text: len(ids) for text, ids in zip(starts, encode(list(starts)), strict=True)}
    streams = (
        (
            ([] if before and not begins else [separator]) + ids,
            len(ids) - lengths[before],
            request.continuation,
        )
        for request, (before, _), ids in zip(requests, moved, whole, strict=True)
    )
    return rows_of(streams, context, names)


def rows_of(streams: Iterable[tuple[list[int], int, str]], context: int, names: Sequence[str] = ()) -> Plan:
    """The rows of requests that are tokens already: context and continuation, the tokens of the latter, its
    text. Raises UserError as `plan` does.
    """
    found: dict[Row, int] = {}
    last: list[dict[int, int]] = []
    uses, sizes, cut = [], [], []
    for number, (stream, size, text) in enumerate(streams):
        if not 0 < size <= context:
            reason = f"{size:,} tokens, the model reads {context:,}" if size > 0 else "no token of its own"
            where = f"item {names[number]}: " if names else ""
            raise UserError(f"{where}the continuation '{text[:60]}' has {reason}")
        cut.append(len(stream) > context + 1)
        kept = stream[-(context + 1) :]
        row = Row(tuple(kept[:-1]), len(kept) - 1 - size)
        index = found.setdefault(row, len(found))
        if index == len(last):
            last.append({})
        uses.append((index, last[index].setdefault(kept[-1], len(last[index]))))
        sizes.append(size)
    return Plan(list(found), [list(tokens) for tokens in last], uses, sizes, cut)


def _trailing_spaces_moved(request: Request) -> tuple[str, str]:
    before = request.context.rstrip()
    return before, request.context[len(before) :] + request.continuation


def batches(rows: Sequence[Row], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows that are run together: of like length, the longest first."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].tokens))
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // len(rows[order[start]].tokens))
        yield order[start : start + count]
        start += count


def nats_of(plan: Plan, answers: Iterable[Sequence[float]]) -> list[float]:
    """The likelihood of each request from those of the rows, in the order of `plan.rows`."""
    answers = list(answers)
    return [answers[row][index] for row, index in plan.uses]
