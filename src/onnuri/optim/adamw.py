"""AdamW whose weight decay can be cautious (arXiv 2510.12402).

Decay that pulls against an update only slows it. Cautious decay leaves alone the weights that their update
makes larger; the mask is worked out from the weights before and after the step, so torch's fused kernel
stays as it is, for a copy of one group's weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class CautiousAdamW(torch.optim.AdamW):
    """AdamW; in groups with `cautious` true, weight decay is masked."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step."""
        self.adamw_step(self.param_groups)

    def adamw_step(self, groups: Iterable[dict[str, Any]]) -> None:
        """Take a step of some of the groups."""
        every = self.param_groups
        for group in groups:
            self.param_groups = [group]
            decay = group["weight_decay"] if group["cautious"] else 0.0
            if not decay:
                super().step()
                continue
            before = [weight.clone() for weight in group["params"]]
            group["weight_decay"] = 0.0
            super().step()
            group["weight_decay"] = decay
            for weight, old in zip(group["params"], before, strict=True):
                decay_where_smaller(weight, old, weight - old, group["lr"] * decay)
        self.param_groups = every


def decay_where_smaller(
    weight: torch.Tensor, before: torch.Tensor, change: torch.Tensor, decay: float
) -> None:
    """Take `decay` times `before` from `weight` where `change` takes `before` nearer to zero, in place."""
    weight.sub_(torch.where(before * change < 0, before, 0.0), alpha=decay)
