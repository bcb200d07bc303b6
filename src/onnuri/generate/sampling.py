"""Choice of the next tokens of a batch: penalties, bias and constraints, then temperature, top-k, top-p and
min-p, and a number drawn for each.

The drawn number is a hash of the request's seed and the token's position, so that a request gets the same
text alone, in any batch and in any order; only the rounding of its logits may differ. The token is the one
at which the cumulated probability, in the order of the ids, passes the number: unlike the order by
probability it does not change when two likely tokens differ by rounding.

Shapes: N rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
import torch

from onnuri.base.errors import UserError

GREEDY_BELOW = 1e-4
"""Temperatures that would only overflow the logits take the likeliest token."""
LIKELIEST = 512
"""Tokens among which top-p looks first; only where they do not suffice are all of them sorted."""


Top = tuple[tuple[int, float], ...]
"""The likeliest tokens and their log-probabilities under the model, best first."""


class Constraint(Protocol):
    """A grammar that a text must follow: which tokens may come next, and whether it is complete."""

    def allowed(self) -> np.ndarray:
        """Mask of the next token: bool [V], or int32 [V / 32, rounded up] with token t as bit t % 32 of
        element t // 32, the lowest first. Tokens beyond its end are not allowed; at least one is."""
        ...

    def accept(self, token: int) -> bool:
        """Take the token that was chosen, each once. True: the text is complete and ends here."""
        ...


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
    presence_penalty: float = 0
    """Subtracted from the logit of every token that was written before (OpenAI)."""
    frequency_penalty: float = 0
    """Subtracted as many times as the token was written (OpenAI)."""
    repetition_penalty: float = 1
    """Divides positive logits of tokens in the prompt or written, multiplies negative ones
    (arXiv 1909.05858, as in transformers)."""
    bias: Mapping[int, float] = MappingProxyType({})
    """Added to logits, by id."""
    top_logprobs: int = 0
    """How many of the likeliest tokens each event lists."""
    prompt_logprobs: bool = False
    """List the log-probabilities of the prompt, and with them `top_logprobs` alternatives; it is then read
    whole. `max_tokens` may be 0."""
    constraint: Constraint | None = None
    """Tokens that it does not allow never come. One object serves one request."""


class PromptLogprob(NamedTuple):
    """A token of a prompt under the model."""

    logprob: float | None
    """At temperature 1; None for the first, before which there is nothing."""
    top: Top = ()
    """Alternatives to it."""


class Sampled(NamedTuple):
    """Chosen tokens, each a list of N."""

    tokens: list[int]
    logprobs: list[float]
    """Under the model: of all of its rows, at temperature 1, as the training loss has them."""
    sampling_logprobs: list[float]
    """Under what was sampled from; 0 for the likeliest token at temperature 0."""
    top: list[Top]


class Adjustment:
    """Bias, penalties and constraint of one request: what they change of its logits after what it wrote."""

    def __init__(self, request: Request, known_ids: int, device: torch.device | str) -> None:
        self.request = request
        self.offset = torch.zeros(known_ids, device=device)
        for token, value in request.bias.items():
            if token < known_ids:
                self.offset[token] = value
        self.written: set[int] = set()
        self.seen: torch.Tensor | None = None
        if request.repetition_penalty != 1:
            self.seen = torch.zeros(known_ids, dtype=torch.bool, device=device)
            self.seen[[token for token in {*request.ids} if token < known_ids]] = True

    def apply(self, logits: torch.Tensor) -> None:
        """Change `logits` [known ids] of the next token in place."""
        penalty = self.request.repetition_penalty
        if self.seen is not None:
            punished = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits.copy_(torch.where(self.seen, punished, logits))
        logits += self.offset
        if self.request.constraint is not None:
            mask = self.request.constraint.allowed()
            if mask.dtype != np.bool_:
                mask = np.unpackbits(mask.astype("<i4", copy=False).view(np.uint8), bitorder="little")
            allowed = torch.from_numpy(mask[: len(logits)].astype(np.bool_)).to(logits.device)
            logits[: len(allowed)].masked_fill_(~allowed, -math.inf)
            logits[len(allowed) :] = -math.inf

    def accept(self, token: int) -> bool:
        """Take a chosen token. True: the constraint has the text end."""
        self.offset[token] -= self.request.frequency_penalty
        if token not in self.written:
            self.offset[token] -= self.request.presence_penalty
            self.written.add(token)
        if self.seen is not None:
            self.seen[token] = True
        return self.request.constraint is not None and self.request.constraint.accept(token)


def adjustment(request: Request, known_ids: int, device: torch.device | str) -> Adjustment | None:
    """What a request changes of its logits; None for nothing."""
    penalties = (request.presence_penalty, request.frequency_penalty, request.repetition_penalty)
    plain = penalties == (0, 0, 1) and not request.bias and request.constraint is None
    return None if plain else Adjustment(request, known_ids, device)


class Sampler:
    """The options of a batch of requests, as tensors on the device of the logits."""

    def __init__(
        self,
        requests: Sequence[Request],
        adjustments: Sequence[Adjustment | None],
        known_ids: int,
        device: torch.device | str,
    ) -> None:
        def column(values: Iterable[float], dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor([*values], dtype=dtype, device=device)[:, None]

        self.known_ids = known_ids
        self.adjustments = [(row, each) for row, each in enumerate(adjustments) if each is not None]
        self.tops = [min(request.top_logprobs, known_ids) for request in requests]
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
        if self.adjustments:
            known = known.clone()
            for row, each in self.adjustments:
                each.apply(known[row])
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
        total = logits.logsumexp(-1, keepdim=True)
        floats = torch.cat([logits.gather(-1, tokens) - total, sampled]).tolist()
        values = [value for (value,) in floats]
        top = likeliest(logits[:, : self.known_ids] - total, self.tops)
        return Sampled(tokens[:, 0].tolist(), values[: len(tokens)], values[len(tokens) :], top)

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


def likeliest(logprobs: torch.Tensor, counts: Sequence[int]) -> list[Top]:
    """The `counts` [N] likeliest tokens of each row of `logprobs` [N, V]."""
    if not any(counts):
        return [()] * len(counts)
    values, ids = logprobs.topk(max(counts))
    rows = zip(ids.tolist(), values.tolist(), counts, strict=True)
    return [tuple(zip(tokens[:count], found[:count], strict=True)) for tokens, found, count in rows]


def score_prompt(
    logits: torch.Tensor, targets: Sequence[int], known_ids: int, top: int
) -> list[PromptLogprob]:
    """Log-probabilities of `targets` [N], tokens of a prompt, from the `logits` [N, V] before each."""
    logprobs = logits.float().log_softmax(-1)
    own = logprobs.gather(-1, torch.tensor(targets, device=logits.device)[:, None])[:, 0].tolist()
    tops = likeliest(logprobs[:, :known_ids], [min(top, known_ids)] * len(own))
    return [*map(PromptLogprob, own, tops)]


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
    scored = request.prompt_logprobs and request.max_tokens == 0
    if len(request.ids) > context - (not scored):
        raise UserError(f"the prompt has {len(request.ids)} tokens, the model reads at most {context - 1}")
    if min(request.ids) < 0 or max(request.ids) >= vocab_size:
        raise UserError(f"the prompt has an id beyond the {vocab_size:,} of the model")
    if not (0 <= request.temperature < math.inf and 0 < request.top_p <= 1 and 0 <= request.min_p <= 1):
        raise UserError("needed: temperature >= 0, 0 < top_p <= 1, 0 <= min_p <= 1")
    if request.top_k < 0 or not (request.max_tokens >= 1 or scored):
        raise UserError("needed: top_k >= 0, max_tokens >= 1 (0 only with prompt_logprobs)")
    if not all(map(math.isfinite, (request.presence_penalty, request.frequency_penalty))):
        raise UserError("needed: presence_penalty and frequency_penalty that are finite")
    if not 0 < request.repetition_penalty < math.inf or request.top_logprobs < 0:
        raise UserError("needed: repetition_penalty > 0, top_logprobs >= 0")
    if any(not 0 <= token < vocab_size for token in request.bias):
        raise UserError(f"bias has an id beyond the {vocab_size:,} of the model")
    if not all(map(math.isfinite, request.bias.values())):
        raise UserError("needed: finite values of bias")
