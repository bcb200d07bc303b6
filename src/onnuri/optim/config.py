"""Options of the optimizer, of the learning rate and of the weight average."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice

OF_MUON = {"momentum_warmup_steps": 0, "normuon": False, "per_head": False, "update_scale": "rms"}
"""Options that nothing but Muon has a use for, as AdamW has them."""


@dataclass
class OptimConfig:
    """Muon for the matrices of the blocks, or AdamW (Loshchilov and Hutter, arXiv 1711.05101) for all."""

    name: str = "muon"
    """muon: orthogonalised momentum for the matrices of the blocks, AdamW for the rest; or adamw. Choose
    with `optim=`, which sets rates that suit each."""
    lr: float = 0.01
    """Peak learning rate of the matrices of the blocks; the other rates are multiples of it. For Muon, the
    best one is the same at widths 128 to 768: 0.004 with steps of 1,024 tokens. With 2,048, 0.01 is best
    at width 128."""
    embedding_lr_ratio: float = 0.6
    """Rate of the embedding to `lr`; a matrix shared with the output counts as the embedding."""
    output_lr_ratio: float = 0.6
    """Rate of an output matrix of its own to `lr`."""
    norm_lr_ratio: float = 0.6
    """Rate of the norm scales to `lr`."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.95
    """Decay of the second moment; 0.95 forgets a bad gradient sooner than Adam's 0.999."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    momentum: float = 0.95
    """muon: decay of its momentum."""
    momentum_warmup_steps: int = 0
    """muon: steps over which `momentum` rises linearly from 0.85 (0: it does not)."""
    normuon: bool = True
    """muon: divide each row of an update by its running root mean square (NorMuon, arXiv 2510.05491), with
    decay `beta2`."""
    per_head: bool = True
    """muon: orthogonalise queries and keys head by head (Muon Split, arXiv 2602.15763)."""
    update_scale: str = "spectral"
    """muon: rms gives updates of AdamW's root mean square, 0.2 (arXiv 2502.16982), so `lr` is in AdamW's
    units; spectral gives them the spectral norm sqrt(max(1, rows / columns)), so `lr` is in Jordan's."""
    weight_decay: float = 0.1
    """Decoupled weight decay of the matrices of the blocks."""
    embedding_weight_decay: float | None = None
    """Of the embedding; null: as `weight_decay`."""
    output_weight_decay: float | None = None
    """Of an output matrix of its own; null: as `weight_decay`."""
    norm_weight_decay: float = 0.0
    """Of the norm scales."""
    cautious_decay: bool = False
    """Decay only weights that the update makes smaller too (arXiv 2510.12402)."""
    decay_follows_lr: bool = False
    """Scale weight decay by the schedule once more: it falls with the square of the learning rate."""
    gradient_clipping: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""

    def __post_init__(self) -> None:
        check_choice("optim.name", self.name, ("adamw", "muon"))
        check_choice("optim.update_scale", self.update_scale, ("rms", "spectral"))
        for name, value in vars(self).items():
            if isinstance(value, int | float) and value < 0:
                raise UserError(f"optim.{name}={value:g} must be at least 0")
        if self.eps == 0:
            raise UserError("optim.eps must be above 0")
        chosen = [name for name, neutral in OF_MUON.items() if getattr(self, name) != neutral]
        if self.name != "muon" and chosen:
            raise UserError(
                f"optim.{chosen[0]} is an option of Muon, not of {self.name}; "
                f"optim={self.name} leaves it out"
            )
        if not all(0 <= decay < 1 for decay in (self.beta1, self.beta2, self.momentum)):
            raise UserError("needed: optim.beta1, beta2 and momentum at least 0 and below 1")


@dataclass
class ScheduleConfig:
    """The learning rate over steps."""

    name: str = "wsd"
    """wsd: warmup, stable, decay (arXiv 2405.18392); cosine; constant (after warmup)."""
    warmup_steps: int = -1
    """Steps of linear warmup from 0. -1: a tenth of train.steps, at most 100; a resumed run keeps its."""
    decay_fraction: float = 0.5
    """wsd: last share of the run in which the rate falls; 0: it does not."""
    decay_shape: str = "sqrt"
    """wsd: how it falls: sqrt is 1 - sqrt(progress), linear, cosine."""
    final_lr_ratio: float = 0.0
    """Rate at the last step as a share of the peak (wsd and cosine)."""

    def __post_init__(self) -> None:
        check_choice("schedule.name", self.name, ("wsd", "cosine", "constant"))
        check_choice("schedule.decay_shape", self.decay_shape, ("sqrt", "linear", "cosine"))
        if self.warmup_steps < -1 or not 0 <= self.decay_fraction <= 1 or not 0 <= self.final_lr_ratio <= 1:
            raise UserError(
                "needed: schedule.warmup_steps at least 0 (-1: by train.steps), decay_fraction and "
                "final_lr_ratio from 0 to 1"
            )


@dataclass
class AverageConfig:
    """An exponential moving average (EMA) of the weights, kept beside them; training does not read it."""

    ema_decay: float = 0.0
    """Share of the average that stays at each step, 0.999 for one over about 1,000 steps; 0: no average."""
    ema_start: int = 0
    """First step whose weights count."""

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"average.ema_decay={self.ema_decay} must be at least 0 and below 1")
        if self.ema_start < 0:
            raise UserError(f"average.ema_start={self.ema_start} must be at least 0")
