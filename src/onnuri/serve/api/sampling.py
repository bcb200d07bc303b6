"""The fields of a request as requests to the generator."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.generate.sampling import Request
from onnuri.serve.api.output_format import OutputFormat
from onnuri.serve.errors import invalid
from onnuri.serve.models import ServedModel

SEED_STRIDE = 1 << 32
"""Between the seeds of a request's choices, so that they are not those of the next seed's."""


def generator_requests(
    model: ServedModel,
    prompts: Sequence[list[int]],
    found: Mapping[str, Any],
    max_tokens: int | None,
    form: OutputFormat | None = None,
    param: str = "",
    top_logprobs: int = 0,
    prompt_logprobs: bool = False,
) -> list[Request]:
    """`n` texts for each prompt, prompt by prompt.

    Args:
        found: the checked fields.
        max_tokens: None: as many as fit.
        form: what the texts must follow, which `param` asked for.

    Raises ApiError where the prompt leaves no space, or asks for what the model does not have.
    """
    bias = found.get("logit_bias", {})
    if any(token >= model.vocab_size for token in bias):
        raise invalid("logit_bias", f"the model has {model.vocab_size:,} tokens")
    matcher = model.grammars.compile(form, param) if form else None
    found, seed = {**model.defaults, **found}, found.get("seed")
    seed = secrets.randbits(63) if seed is None else seed
    requests = []
    for ids in prompts:
        free = model.context - len(ids)
        if free < (1 if max_tokens is None else max_tokens):
            wanted = (
                f" and {max_tokens:,} are asked for" if max_tokens else ", which leaves none for a text"
            )
            raise invalid(
                "max_tokens",
                f"the prompt has {len(ids):,} of the {model.context:,} tokens of the context{wanted}",
                "context_length_exceeded",
            )
        for choice in range(found.get("n", 1)):
            requests.append(
                Request(
                    ids,
                    free if max_tokens is None else max_tokens,
                    temperature=found["temperature"],
                    top_k=max(0, found["top_k"]),
                    top_p=found["top_p"],
                    min_p=found["min_p"],
                    seed=seed + choice * SEED_STRIDE,
                    stops=model.stops,
                    presence_penalty=found.get("presence_penalty", 0.0),
                    frequency_penalty=found.get("frequency_penalty", 0.0),
                    repetition_penalty=found["repetition_penalty"],
                    bias=bias,
                    top_logprobs=top_logprobs,
                    prompt_logprobs=prompt_logprobs,
                    constraint=model.grammars.constraint(matcher) if matcher else None,
                )
            )
    return requests


def usage(prompt_tokens: int, completion_tokens: int, cached: int = 0) -> dict[str, Any]:
    """As chat and completions report it."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
