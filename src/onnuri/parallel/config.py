"""Options of DeepSpeed and of the ranks."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice, check_most


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
    """Elements that ZeRO reduces or gathers in one message."""
    activation_checkpointing: int = 0
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
        for name in ("micro_batch_size", "threads_per_rank", "activation_checkpointing"):
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
