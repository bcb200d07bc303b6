"""Choice of the next tokens of a batch: temperature, top-k, top-p, min-p, and a number drawn for each.

The drawn number is a hash of the request's seed and the token's position, so that a request gets the same
text alone, in any batch and in any order; only the rounding of its logits may differ. The token is the one
at which the cumulated probability, in the order of the ids, passes the number: unlike the order by
probability it does not change when two likely tokens differ by rounding.

Shapes: N rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from onnuri.base.errors import UserError

GREEDY_BELOW = 1e-4
"""Temperatures that would only overflow the logits take the likeliest token."""
LIKELIEST = 512
"""Tokens among which top-p looks first; only where they do not suffice are all of them sorted."""


class Request(NamedTuple):
    """A text to continue."""

    ids: Sequence[int]
    max_tokens: int
    """Most tokens to write; the end of the context ends a text too."""
    temperature: float = 1.0
    """Below 1 sharper, above 1 wilder; 0 always takes the likeliest token."""
    top_k: int = 0
    """Sample among this many likeliest tokens (and those as likely as the last of them); 0: no limit."""
    top_p: float = 1.0
    """Then among the likeliest tokens that hold this share of the probability (arXiv 1904.09751)."""
    min_p: float = 0.0
    """Then among those with at least this share of the likeliest one's probability (arXiv 2407.01082)."""
    seed: int = 0
    """The same seed writes the same text after the same ids."""
    stops: frozenset[int] = frozenset()
    """Ids that end the text."""


class Sampled(NamedTuple):
    """Chosen tokens, each a list of N."""

    tokens: list[int]
    logprobs: list[float]
    """Under the model: of all of its rows, at temperature 1, as the training loss has them."""
    sampling_logprobs: list[float]
    """Under what was sampled from; 0 for the likeliest token at temperature 0."""


class Sampler:
    """The options of a batch of requests, as tensors on the device of the logits."""

    def __init__(self, requests: Sequence[Request], known_ids: int, device: torch.device | str) -> None:
        def column(values: Iterable[float], dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor([*values], dtype=dtype, device=device)[:, None]

        self.known_ids = known_ids
        self.seeds = [request.seed for request in requests]
        self.greedy = column((r.temperature < GREEDY_BELOW for r in requests), torch.bool)
        self.all_greedy = all(request.temperature < GREEDY_BELOW for request in requests)
        self.temperature = column((max(r.temperature, GREEDY_BELOW) for r in requests), torch.float32)
        ks = [min(request.top_k or known_ids, known_ids) for request in requests]
        self.largest_k = max((k for k in ks if k < known_ids), default=0)
        self.top_k = column(ks, torch.int64)
        self.top_p = column((request.top_p for request in requests), torch.float32)
        self.any_top_p = any(request.top_p < 1 for request in requests)
        self.log_min_p = column(
            (math.log(r.min_p) if r.min_p else -math.inf for r in requests), torch.float32
        )
        self.any_min_p = any(request.min_p > 0 for request in requests)

    def sample(self, logits: torch.Tensor, positions: Sequence[int]) -> Sampled:
        """A token for each row of `logits` [N, V], of any float dtype.

        Args:
            positions: of the chosen tokens in their texts; with the seed they decide what is drawn.
        """
        logits = logits.float()
        known = logits[:, : self.known_ids]
        tokens = known.argmax(-1, keepdim=True)
        sampled = torch.zeros(tokens.shape, device=logits.device)
        if not self.all_greedy:
            scaled = self._truncate(known / self.temperature)
            probabilities = scaled.softmax(-1)
            cumulated = probabilities.cumsum(-1, dtype=torch.float64)
            drawn = torch.from_numpy(uniforms(self.seeds, positions))[:, None].to(logits.device)
            found = torch.searchsorted(cumulated, drawn * cumulated[:, -1:], right=True)
            tokens = torch.where(self.greedy, tokens, found.clamp_(max=self.known_ids - 1))
            sampled = torch.where(self.greedy, sampled, probabilities.gather(-1, tokens).log())
        plain = logits.gather(-1, tokens) - logits.logsumexp(-1, keepdim=True)
        floats = torch.cat([plain, sampled]).tolist()
        values = [value for (value,) in floats]
        return Sampled(tokens[:, 0].tolist(), values[: len(tokens)], values[len(tokens) :])

    def _truncate(self, scaled: torch.Tensor) -> torch.Tensor:
        """Logits [N, V] with -inf for the tokens that top-k, top-p and min-p leave out, in this order."""
        if self.largest_k:
            ranked = scaled.topk(self.largest_k).values
            last = ranked.gather(-1, self.top_k.clamp(max=self.largest_k) - 1)
            last = last.masked_fill(self.top_k > self.largest_k, -math.inf)
            scaled = scaled.masked_fill(scaled < last, -math.inf)
        if self.any_top_p:
            scaled = scaled.masked_fill(scaled < self._nucleus(scaled), -math.inf)
        if self.any_min_p:
            scaled = scaled.masked_fill(scaled < scaled.amax(-1, keepdim=True) + self.log_min_p, -math.inf)
        return scaled

    def _nucleus(self, scaled: torch.Tensor) -> torch.Tensor:
        """The least logit [N, 1] in the nucleus of each row."""
        total = scaled.logsumexp(-1, keepdim=True)
        size = min(LIKELIEST, scaled.shape[-1])
        while True:
            ranked = scaled.topk(size).values
            probabilities = (ranked - total).exp()
            before = probabilities.cumsum(-1) - probabilities
            inside = before < self.top_p
            if size == scaled.shape[-1] or not bool((inside[:, -1:] & (self.top_p < 1)).any()):
                break
            size = scaled.shape[-1]
        last = ranked.masked_fill(~inside, math.inf).amin(-1, keepdim=True)
        return last.masked_fill(self.top_p >= 1, -math.inf)


def uniforms(seeds: Sequence[int], positions: Sequence[int]) -> np.ndarray:
    """A number in [0, 1) for each pair of seed and position: float64 [N].

    Two rounds of SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), the position between them.
    """
    keys = np.array([seed % (1 << 64) for seed in seeds], dtype=np.uint64)
    steps = np.array(positions, dtype=np.uint64)
    bits = _mix(_mix(keys + GOLDEN) + (steps + np.uint64(1)) * GOLDEN)
    return (bits >> np.uint64(11)) * 2.0**-53


GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def check_request(request: Request, context: int, vocab_size: int) -> None:
    """Raise UserError for a request that cannot be continued."""
    if not request.ids:
        raise UserError("the prompt is empty: it needs at least the token that begins a text")
    if len(request.ids) >= context:
        raise UserError(f"the prompt has {len(request.ids)} tokens, the model reads at most {context - 1}")
    if min(request.ids) < 0 or max(request.ids) >= vocab_size:
        raise UserError(f"the prompt has an id beyond the {vocab_size:,} of the model")
    if not (0 <= request.temperature < math.inf and 0 < request.top_p <= 1 and 0 <= request.min_p <= 1):
        raise UserError("needed: temperature >= 0, 0 < top_p <= 1, 0 <= min_p <= 1")
    if request.top_k < 0 or request.max_tokens < 1:
        raise UserError("needed: top_k >= 0, max_tokens >= 1")
