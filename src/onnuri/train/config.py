"""Every option of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.config.paths import path_option
from onnuri.errors import UserError, check_choice, check_most
from onnuri.kernel_config import KernelConfig
from onnuri.model.config import ModelConfig
from onnuri.tokens.config import DataConfig


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


@dataclass
class TrainConfig:
    """Length and rhythm of the run."""

    steps: int = 1000
    """Optimizer steps in all. Raising it lets a finished run go on."""
    global_batch_size: int = 32
    """Sequences in one optimizer step, over all ranks and micro-batches."""
    seed: int = 0
    """Seed of the initial weights."""
    validate_every: int = 100
    """Steps between validations (bits per byte by language on held-out documents); 0: only at the end."""
    validation_tokens: int = 65536
    """Held-out tokens read per language at each validation."""
    checkpoint_every: int = 100
    """Steps between checkpoints; 0: only at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept; 0 keeps all."""
    keep_every: int = 0
    """Checkpoints of steps that this divides are kept for good; 0: none."""
    ephemeral_every: int = 0
    """Steps between checkpoints that go when there is a newer one: little lost, little stored; 0: none."""
    ephemeral_minutes: float = 0.0
    """Minutes after the last checkpoint at which an ephemeral one is written; 0: never by the clock."""

    def __post_init__(self) -> None:
        for name in ("steps", "global_batch_size", "validation_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name}={getattr(self, name)} must be at least 1")
        check_most("train.global_batch_size", self.global_batch_size, 1 << 26)
        check_most("train.steps", self.steps, 10**12)
        for name in (
            "validate_every",
            "checkpoint_every",
            "keep_checkpoints",
            "keep_every",
            "ephemeral_every",
            "ephemeral_minutes",
        ):
            if not getattr(self, name) >= 0:
                raise UserError(f"train.{name}={getattr(self, name)} must be at least 0")


@dataclass
class GuardConfig:
    """What keeps a bad step, or a stalled one, from spoiling the run."""

    max_skipped: int = 10
    """Steps with a gradient that is not finite are skipped; so many in a row end the run."""
    on_spike: str = "report"
    """What to do when loss or gradient norm jumps: report it, skip the step, or rollback to the last
    checkpoint and go on without the batches around it. Skipping alone seldom helps (marin issue 1368)."""
    spike_threshold: float = 10.0
    """How many robust deviations above the median of recent steps make a spike; 0 turns it off."""
    spike_window: int = 128
    """Recent steps that a step is compared with; the first half of them are never called spikes."""
    rollback_batches: int = 8
    """Batches left out by a rollback: the one with the spike and those before it."""
    stall_factor: float = 30.0
    """A step that takes so many times the median of recent ones ends the job, with all stacks written down;
    0: never."""
    stall_seconds: float = 300.0
    """But no step of fewer seconds."""
    straggler_every: int = 100
    """Steps between looks at how many seconds of its own work each rank takes; 0: none."""
    straggler_factor: float = 1.5
    """A rank that takes so many times the median of all ranks is named."""

    def __post_init__(self) -> None:
        check_choice("guard.on_spike", self.on_spike, ("report", "skip", "rollback"))
        for name in ("max_skipped", "spike_window", "rollback_batches"):
            if getattr(self, name) < 1:
                raise UserError(f"guard.{name}={getattr(self, name)} must be at least 1")
        for name in ("spike_threshold", "stall_factor", "stall_seconds", "straggler_every"):
            if not getattr(self, name) >= 0:
                raise UserError(f"guard.{name}={getattr(self, name)} must be at least 0")
        check_most("guard.stall_seconds", self.stall_seconds, 1_000_000_000)
        if not self.straggler_factor > 1:
            raise UserError(f"guard.straggler_factor={self.straggler_factor} must be above 1")


@dataclass
class EngineConfig:
    """How DeepSpeed spreads the work. Free to change between stop and resume, but for `precision`."""

    stage: int = 3
    """ZeRO stage: 0 nothing sharded, 1 optimizer state, 2 and gradients, 3 and parameters."""
    precision: str = "auto"
    """bf16 (fp32 master weights in the optimizer), fp32, or auto: bf16 where the hardware multiplies it."""
    compile: str = "auto"
    """torch.compile of blocks and loss: on, off, or auto: on GPUs, and on CPUs for runs of half an hour or
    more, as it takes a minute at the start."""
    micro_batch_size: int = 0
    """Sequences a rank holds at once. 0: the fastest with at most 16384 tokens: the largest that divides
    the rank's share of the batch, or one that leaves a few rows empty for fewer micro-batches."""
    threads_per_rank: int = 0
    """CPU threads of a rank. 0: cores of the machine / ranks on it."""
    timeout_minutes: float = 30.0
    """How long a rank waits for the others before the job fails."""
    bucket_size: int = 50_000_000
    """Numbers that ZeRO reduces or gathers in one message."""
    recompute_every: int = 0
    """Activation checkpointing: one of so many blocks keeps only its input and is run again in the backward
    pass. 1: all blocks, least memory; 0: none, fastest."""
    offload: str = "none"
    """What lives in the memory of the host (ZeRO-Offload): none; optimizer: its state, fp32 weights and the
    step; all: the sharded parameters too (stage 3)."""
    hpz_partition_size: int = 1
    """ZeRO++ hpZ, stage 3: a second copy of the parameters sharded over so many ranks, the ones of a node,
    so that the backward pass gathers within nodes. 1: off."""
    quantized_weights: bool = False
    """ZeRO++ qwZ, stage 3: parameters are gathered in 8 bits. Needs GPUs."""
    quantized_gradients: bool = False
    """ZeRO++ qgZ, stage 3: gradients are reduced in 4 bits within and 8 between nodes. Needs GPUs."""

    def __post_init__(self) -> None:
        check_choice("engine.precision", self.precision, ("auto", "bf16", "fp32"))
        check_choice("engine.compile", self.compile, ("auto", "on", "off"))
        check_choice("engine.offload", self.offload, ("none", "optimizer", "all"))
        for name in ("micro_batch_size", "threads_per_rank", "recompute_every"):
            if getattr(self, name) < 0:
                raise UserError(f"engine.{name}={getattr(self, name)} must be at least 0")
        check_most("engine.threads_per_rank", self.threads_per_rank, 4096)
        check_most("engine.bucket_size", self.bucket_size, 1 << 36)
        check_most("engine.timeout_minutes", self.timeout_minutes, 10_000_000)
        if self.bucket_size < 1 or self.timeout_minutes * 60 < 1:
            raise UserError("needed: engine.bucket_size above 0, engine.timeout_minutes at least a second")
        if self.stage not in (0, 1, 2, 3):
            raise UserError(f"engine.stage={self.stage} is not known; allowed: 0, 1, 2, 3")
        if self.hpz_partition_size < 1:
            raise UserError(f"engine.hpz_partition_size={self.hpz_partition_size} must be at least 1")
        zero_plus = self.hpz_partition_size > 1 or self.quantized_weights or self.quantized_gradients
        if self.stage != 3 and (zero_plus or self.offload == "all"):
            raise UserError(f"engine.stage={self.stage}: ZeRO++ and offload=all need engine.stage=3")
        if self.stage == 0 and self.offload != "none":
            raise UserError(f"engine.offload={self.offload} needs engine.stage 1, 2 or 3")


@dataclass
class TrackerConfig:
    """Where metrics go besides `metrics.jsonl` and the loss picture in the run directory."""

    name: str = "none"
    """none, tensorboard (files in RUN_DIR/tensorboard), or wandb."""
    project: str = "onnuri"
    """wandb: project name."""
    wandb_mode: str = "offline"
    """wandb: offline writes files in the run directory only; online sends them, and asks for a login."""

    def __post_init__(self) -> None:
        check_choice("tracker.name", self.name, ("none", "tensorboard", "wandb"))
        check_choice("tracker.wandb_mode", self.wandb_mode, ("offline", "online"))


@dataclass
class PretrainConfig:
    """A pretraining run."""

    run_dir: str = path_option("")
    """Folder of the run: config, metrics, checkpoints; started again on it, the run resumes. Empty:
    hydra.run.dir, which is runs/TIME; in a sweep (-m) a folder of hydra.sweep.dir, multirun/DATE/TIME/N."""
    tokenizer: str = path_option("")
    """Tokenizer folder to check against the shards; empty takes the one packed with them."""
    profile: bool = False
    """Trace three of the first steps: a trace, a table of operators and a picture of memory in
    RUN_DIR/profile."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    kernels: KernelConfig = field(default_factory=KernelConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
