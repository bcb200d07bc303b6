"""The gate of a gated feed-forward layer (Shazeer, arXiv 2002.05202)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """See `operations.Swiglu`."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up
