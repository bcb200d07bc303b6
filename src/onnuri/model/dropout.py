"""Dropout whose masks are a function of seed, step, row, position, site and channel: it has no state.

So a row has the same mask on any number of ranks, in any micro-batch, when the run resumes, and when a
block is run again in the backward pass. Every element's number is a hash of a counter (as in Philox, Salmon
et al., SC 2011; here a 32-bit finaliser whose constants come from hash-prospector). The hash is a dozen
elementwise passes over the hidden state: torch.compile makes one kernel of them; without it they cost
memory traffic.

Values are 32-bit integers in int64 tensors: factors are below 2**31, so that no product overflows.
B rows, S sequence length, E hidden size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import torch

BITS = 0xFFFFFFFF


class Dropout(NamedTuple):
    """Dropout of one micro-batch."""

    rate: float
    """Probability that an element becomes 0."""
    keys: torch.Tensor
    """int64 [B], below 2**32: `row_keys`; within a model [B, S]."""


def row_keys(seed: int, step: int, rows: Iterable[int]) -> torch.Tensor:
    """Keys of rows of a step, by their indices in the global batch: int64 [rows], below 2**32."""
    digests = (hashlib.blake2b(f"{seed}/{step}/{row}".encode(), digest_size=4).digest() for row in rows)
    return torch.tensor([int.from_bytes(each, "big") for each in digests], dtype=torch.int64)


def at_positions(dropout: Dropout, length: int) -> Dropout:
    """With a key for each of S positions of the rows."""
    positions = torch.arange(1, length + 1, device=dropout.keys.device)
    return dropout._replace(keys=_mix(dropout.keys[:, None] ^ _mix(positions)))


def at_layer(dropout: Dropout, number: int) -> Dropout:
    """With the keys of a layer; 0 is the embedding, n + 1 block n."""
    return dropout._replace(keys=_mix(dropout.keys ^ _hash_of(number)))


def drop(hidden: torch.Tensor, dropout: Dropout | None, site: int = 0) -> torch.Tensor:
    """`hidden` [B, S, E] with elements at `rate` set to 0 and the others scaled up, so that the mean stays.

    Args:
        dropout: of `at_layer`. None: `hidden` itself.
        site: index of this dropout within the layer.
    """
    if dropout is None:
        return hidden
    channels = _mix(torch.arange(1, hidden.shape[-1] + 1, device=hidden.device))
    keys = _mix(dropout.keys ^ _hash_of(site))
    limit = round(dropout.rate * (BITS + 1))
    dropped = _mix(keys[..., None] ^ channels) < limit
    return (hidden * (1 / (1 - limit / (BITS + 1)))).masked_fill(dropped, 0.0)


def _mix(values: torch.Tensor) -> torch.Tensor:
    values = ((values ^ (values >> 16)) * 0x21F0AAAD) & BITS
    values = ((values ^ (values >> 15)) * 0x735A2D97) & BITS
    return values ^ (values >> 15)


def _hash_of(number: int) -> int:
    """`_mix` of a small number + 1, in Python's own integers."""
    value = number + 1
    value = ((value ^ (value >> 16)) * 0x21F0AAAD) & BITS
    value = ((value ^ (value >> 15)) * 0x735A2D97) & BITS
    return value ^ (value >> 15)
