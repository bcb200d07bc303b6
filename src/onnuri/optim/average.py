"""An exponential moving average of the weights, on the fp32 values that each rank holds.

It is laid out like the master tensors of DeepSpeed, whatever the ZeRO stage: 4 bytes an element, where the
masters are, and no message between ranks. The average begins as the first counted weights and then takes

    average += (1 - d) (weights - average),   d = min(decay, (1 + n) / (10 + n)),

where n counts the weights in it. This is the rule of `tf.train.ExponentialMovingAverage(num_updates=n)`:
until d reaches `decay` it averages about the last tenth of the steps. The initial weights are never in it.
A sum divided by 1 - decay^n, as in Adam (arXiv 1412.6980), has no bias either, but until 1 / (1 - decay)
steps have gone by it gives the first weights of a run nearly as much as the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from onnuri.optim.config import AverageConfig
from onnuri.parallel.zero_layout import local_shards, refresh_copies

KIND = "ema"
"""Of the average's tensors in a checkpoint: ema/PARAMETER."""
SWAPPED_AT_ONCE = 1 << 24
"""Elements held twice while weights and average change places."""


class WeightAverage:
    """The average of a run on one rank; without `ema_decay` it holds nothing and does nothing."""

    def __init__(self, engine: Any, config: AverageConfig) -> None:
        self.config = config
        masters = [shard.master for shard in local_shards(engine)] if config.ema_decay else []
        self.values = {master: torch.zeros_like(master.data) for master in masters}
        """By master tensor, an fp32 tensor that is laid out like it."""
        self.updates = 0
        """Weights in the average; 0: none yet."""
        self.first_step = 0
        """Step of the first of them."""

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Count the weights that an optimizer step has just made; those before `ema_start` do not count."""
        if not self.values or step < self.config.ema_start:
            return
        share = max(1 - self.config.ema_decay, 9 / (10 + self.updates))  # 1 - d
        if not self.updates:
            share, self.first_step = 1.0, step
        for master, average in self.values.items():
            average.lerp_(master, share)
        self.updates += 1

    def tensors(self) -> dict[str, Mapping[torch.Tensor, torch.Tensor]]:
        """What a checkpoint keeps of it, by kind and master; empty while there is none."""
        return {KIND: self.values} if self.updates else {}

    def state(self) -> dict[str, Any]:
        """What the manifest of a checkpoint keeps of it; empty while there is none."""
        if not self.updates:
            return {}
        facts = {"decay": self.config.ema_decay, "first_step": self.first_step, "updates": self.updates}
        return {"average": facts}

    def resume(self, saved: Mapping[str, Any] | None, step: int) -> str:
        """Take over the counts of the average that a checkpoint of `step` keeps; None: it keeps none.

        `tensors()` is then what to load, and empty where the average starts anew. Returns a line on what
        does not continue as it was, or "".
        """
        self.updates = self.first_step = 0
        config, begins = self.config, f"it begins with step {max(step + 1, self.config.ema_start)}"
        if saved is None:
            return f"the checkpoint has no average of the weights: {begins}" if self.values and step else ""
        span = f"the average of the weights since step {saved['first_step']}"
        if not self.values:
            return f"{span} ends after step {step}: average.ema_decay=0"
        if step < config.ema_start:
            return f"{span} is dropped: {begins} (average.ema_start)"
        self.updates, self.first_step = saved["updates"], saved["first_step"]
        if saved["decay"] != config.ema_decay:
            return f"{span} continues with average.ema_decay={config.ema_decay:g}, was {saved['decay']:g}"
        return ""

    @contextlib.contextmanager
    def as_weights(self, engine: Any) -> Iterator[None]:
        """The model computes with the average inside, and afterwards with the same bits as before.

        A collective call. After an exception the average stays where it is: refreshing copies would wait
        for ranks that have ended, and a run does not continue after one.
        """
        self._swap()
        refresh_copies(engine)
        yield
        self._swap()
        refresh_copies(engine)

    @torch.no_grad()
    def _swap(self) -> None:
        for master, average in self.values.items():
            parts = (each.view(-1).split(SWAPPED_AT_ONCE) for each in (master.data, average))
            for weights, averages in zip(*parts, strict=True):
                held = weights.clone()
                weights.copy_(averages)
                averages.copy_(held)
