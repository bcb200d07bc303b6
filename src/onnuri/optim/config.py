"""Options of the optimizer and of the learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice


@dataclass
class OptimConfig:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101), or Muon for the matrices of the blocks."""

    name: str = "adamw"
    """adamw, or muon: orthogonalised momentum for the matrices of the blocks, AdamW for the rest."""
    lr: float = 3e-4
    """Peak learning rate."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.95
    """Decay of the second moment; 0.95 forgets a bad gradient sooner than Adam's 0.999."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    momentum: float = 0.95
    """muon: decay of its momentum."""
    weight_decay: float = 0.1
    """Decoupled weight decay on matrices; norm scales get none."""
    gradient_clipping: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""

    def __post_init__(self) -> None:
        check_choice("optim.name", self.name, ("adamw", "muon"))
        if self.lr < 0 or self.eps <= 0 or self.weight_decay < 0 or self.gradient_clipping < 0:
            raise UserError("needed: optim.lr, weight_decay, gradient_clipping at least 0, eps above 0")
        if not all(0 <= decay < 1 for decay in (self.beta1, self.beta2, self.momentum)):
            raise UserError("needed: optim.beta1, beta2 and momentum at least 0 and below 1")


@dataclass
class ScheduleConfig:
    """The learning rate over steps."""

    name: str = "wsd"
    """wsd: warmup, stable, decay (arXiv 2405.18392); cosine; constant (after warmup)."""
    warmup_steps: int = -1
    """Steps of linear warmup from 0. -1: a tenth of train.steps, at most 100; a resumed run keeps its."""
    decay_fraction: float = 0.2
    """wsd: last share of the run in which the rate falls, as 1 - sqrt(progress)."""
    final_lr_ratio: float = 0.0
    """Rate at the last step as a share of the peak (wsd and cosine)."""

    def __post_init__(self) -> None:
        check_choice("schedule.name", self.name, ("wsd", "cosine", "constant"))
        if self.warmup_steps < -1 or not 0 <= self.decay_fraction <= 1 or not 0 <= self.final_lr_ratio <= 1:
            raise UserError(
                "needed: schedule.warmup_steps at least 0 (-1: by train.steps), decay_fraction and "
                "final_lr_ratio from 0 to 1"
            )
