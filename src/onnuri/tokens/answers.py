"""Rows of prompts and the answers that are learnt from, with what is known of each answer.

The answers to a prompt may share it: they lie one after the other behind it, each a branch of the document
that sees the prompt and itself (Prefix Grouper, arXiv 2506.05433), so that the prompt is computed once. A
branch begins with the prompt's last token, from which the first token of its answer is predicted.

B rows, S sequence length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnuri.tokens.batch import IGNORE_INDEX, Batch
from onnuri.tokens.best_fit import best_fit


class Answer(NamedTuple):
    """An answer that a model wrote."""

    ids: np.ndarray
    """int64: its tokens."""
    logprobs: np.ndarray
    """float32, as `ids`: of each under the weights that wrote it."""
    advantage: float


class Answered(NamedTuple):
    """A prompt and answers to it: one document."""

    prompt: Sequence[int]
    answers: Sequence[Answer]

    @property
    def num_tokens(self) -> int:
        """Positions in a row: the last token of each answer has none."""
        return len(self.prompt) - 1 + self.num_targets

    @property
    def num_targets(self) -> int:
        """Tokens of the answers."""
        return sum(len(each.ids) for each in self.answers)


class AnswerBatch(NamedTuple):
    """Rows of one micro-batch."""

    batch: Batch
    advantages: np.ndarray
    """float32 [B, S], at the positions that predict a token of an answer."""
    logprobs: np.ndarray
    """float32 [B, S]: recorded while generating."""


def share_prompt(group: Answered, most: int, most_tokens: int) -> list[Answered]:
    """The answers of a group as documents of at most `most` of them and `most_tokens` tokens."""
    documents: list[list[Answer]] = []
    room = 0
    for answer in group.answers:
        if not documents or len(answer.ids) > room or len(documents[-1]) == most:
            documents.append([])
            room = most_tokens - (len(group.prompt) - 1)
        documents[-1].append(answer)
        room -= len(answer.ids)
    return [Answered(group.prompt, each) for each in documents]


def fewest_rows(groups: Sequence[Answered], most: int, length: int) -> list[list[Answered]]:
    """Groups in rows of `length` tokens: the fewest that `most` answers to a prompt make, or half as many,
    or a quarter, down to one. Large documents leave more of the rows empty, which is computed too."""
    found: list[list[Answered]] | None = None
    while most:
        rows = answer_rows([each for group in groups for each in share_prompt(group, most, length)], length)
        if found is None or len(rows) < len(found):
            found = rows
        most //= 2
    return found or []


def answer_rows(documents: Sequence[Answered], length: int) -> list[list[Answered]]:
    """Documents in rows of `length` tokens, as few as can be."""
    sizes = np.array([each.num_tokens for each in documents], dtype=np.int64)
    numbers = best_fit(sizes, length)
    rows: list[list[Answered]] = [[] for _ in range(int(numbers.max()) + 1 if len(numbers) else 0)]
    for number, document in zip(numbers.tolist(), documents, strict=True):
        rows[number].append(document)
    return rows


def answer_batch(rows: Sequence[Sequence[Answered]], size: int, length: int, separator: int) -> AnswerBatch:
    """Rows as a batch of `size` rows of `length` tokens; what is left over is filled with separators."""
    shape = (size, length)
    tokens, targets = np.full(shape, separator), np.full(shape, IGNORE_INDEX)
    advantages, logprobs = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    begins, branches = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    begins[:, 0] = True
    for row, documents in enumerate(rows):
        at = 0
        for prompt, answers in documents:
            begins[row, at] = True
            beginning = len(prompt) - 1
            tokens[row, at : at + beginning] = prompt[:-1]
            at += beginning
            for ids, recorded, advantage in answers:
                branches[row, at] = len(answers) > 1
                answer = slice(at, at + len(ids))
                tokens[row, answer] = [prompt[-1], *ids[:-1]]
                targets[row, answer] = ids
                advantages[row, answer], logprobs[row, answer] = advantage, recorded
                at += len(ids)
        if at < length:
            begins[row, at] = True
    cu_seqlens = np.append(np.flatnonzero(begins), begins.size).astype(np.int32)
    batch = Batch(tokens, targets, cu_seqlens, np.flatnonzero(branches))
    return AnswerBatch(batch, advantages, logprobs)
