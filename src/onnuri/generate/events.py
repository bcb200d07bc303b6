"""What a generator gives out."""

from __future__ import annotations

from typing import Literal, NamedTuple

from onnuri.generate.sampling import PromptLogprob, Top

Ended = Literal["", "stop", "length"]
NO_TOKEN = -1
"""Of the one event of a request that scores its prompt and writes nothing (max_tokens=0)."""


class Event(NamedTuple):
    """A token of a request."""

    request: int
    """Its number."""
    token: int
    """Its id, or NO_TOKEN."""
    logprob: float
    """Under the model at temperature 1, as in the training loss."""
    sampling_logprob: float
    """Under the distribution that it was sampled from."""
    ended: Ended
    """stop: the token is one of the request's stops, or its constraint is complete; length: it is the last
    that fits; else empty."""
    top: Top = ()
    """As many alternatives as the request asked for, under the model."""
    prompt: tuple[PromptLogprob, ...] = ()
    """On the first event, where the request asked for them: one for each token of the prompt."""
    cached: int = 0
    """On the first event: tokens of the prompt whose keys and values were there already."""


class Completion(NamedTuple):
    """What a request became. Ids include the stop that ended it, as a model learns to write it."""

    ids: list[int]
    logprobs: list[float]
    sampling_logprobs: list[float]
    ended: Ended
