"""Options of scripts/plan.py: those of scripts/pretrain.py, and the machines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.model.config import ModelConfig
from onnuri.tokens.config import DataConfig
from onnuri.train.config import PretrainConfig

CLUSTER_WORD = re.compile(r"cluster=(?P<name>[\w-]+?)x(?P<gpus>\d+)")


@dataclass
class ClusterConfig:
    """The machines. A file in configs/cluster has one kind of GPU; `cluster=h100x64` takes 64 of them."""

    name: str = "h100"
    """Kind of device."""
    gpus: int = 8
    """Devices, one rank on each."""
    gpus_per_node: int = 8
    """Devices in one machine."""
    memory_gib: float = 80.0
    """Memory of one device."""
    peak_tflops: float = 989.0
    """Dense matrix products in bf16 (CPUs: fp32), from the data sheet."""
    memory_bandwidth: float = 3350.0
    """GB/s of a device's own memory."""
    link_bandwidth: float = 450.0
    """GB/s from a device to the others of its node, one way."""
    network_bandwidth: float = 50.0
    """GB/s between nodes for each device, one way (400 Gb/s: 50)."""
    host_memory_gib: float = 2000.0
    """Memory of the host of a node."""
    efficiency: float = 0.695
    """Share of the peak that a matrix product of endless width reaches; the one number fitted to published
    runs of this kind of device (docs/planning.md)."""
    efficiency_alone: float = 0.0
    """The same for one device by itself, from this project's own runs (scripts/gpu_check.py); 0: not
    measured, `efficiency` stands in."""
    gpu: bool = True
    """False: ranks on CPUs, with gloo."""

    def __post_init__(self) -> None:
        for name in ("gpus", "gpus_per_node"):
            if getattr(self, name) < 1:
                raise UserError(f"cluster.{name}={getattr(self, name)} must be at least 1")
        positive = ("memory_gib", "peak_tflops", "memory_bandwidth", "link_bandwidth", "network_bandwidth")
        for name in (*positive, "host_memory_gib", "efficiency"):
            if not getattr(self, name) > 0:
                raise UserError(f"cluster.{name}={getattr(self, name)} must be above 0")
        if not self.efficiency_alone >= 0:
            raise UserError(f"cluster.efficiency_alone={self.efficiency_alone} must be at least 0")

    @property
    def nodes(self) -> int:
        """Machines."""
        return -(-self.gpus // self.gpus_per_node)

    @property
    def efficiency_word(self) -> str:
        """The option that says how fast these devices are."""
        return "efficiency_alone" if self.gpus == 1 and self.efficiency_alone else "efficiency"

    @property
    def efficiency_here(self) -> float:
        """The value of that option."""
        value: float = getattr(self, self.efficiency_word)
        return value


@dataclass
class PlanModelConfig(ModelConfig):
    """The model, or one with experts, which can be planned but not trained yet."""

    num_experts: int = 0
    """Planning only: feed-forward experts in each block; the model does not train them. 0: none."""
    experts_per_token: int = 0
    """Planning only: experts that a token goes through."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.experts_per_token <= self.num_experts or bool(self.num_experts) != bool(
            self.experts_per_token
        ):
            raise UserError(
                f"model.experts_per_token={self.experts_per_token} must be from 1 to "
                f"model.num_experts={self.num_experts}, or both 0"
            )

    @property
    def _spare_experts(self) -> int:
        """Parameters of a block in experts beyond one feed-forward layer, and in the router."""
        return (self.num_experts - 1) * 3 * self.hidden_size * self.intermediate_size + (
            self.num_experts * self.hidden_size
        )

    def num_parameters(self, include_embeddings: bool = True) -> int:
        """Trainable parameters, those of all experts."""
        spare = self.num_layers * self._spare_experts if self.num_experts else 0
        return super().num_parameters(include_embeddings) + spare

    def num_active_parameters(self) -> int:
        """Parameters that one token passes through."""
        idle = (self.num_experts - self.experts_per_token) * 3 * self.hidden_size * self.intermediate_size
        return self.num_parameters() - self.num_layers * idle

    def flops_per_token(self, sequence_length: int) -> int:
        """As for a plain model, with the experts that a token goes through."""
        idle = (self.num_experts - self.experts_per_token) * 3 * self.hidden_size * self.intermediate_size
        return super().flops_per_token(sequence_length) - 6 * self.num_layers * idle


@dataclass
class PlanDataConfig(DataConfig):
    """What is read; the folder need not exist."""

    path: str = path_option("")
    """Folder of token shards. Where it exists, its vocabulary counts."""


@dataclass
class PlanConfig(PretrainConfig):
    """A run that has not started."""

    model: PlanModelConfig = field(default_factory=PlanModelConfig)
    data: PlanDataConfig = field(default_factory=PlanDataConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    tokens: float = 0.0
    """Tokens to train on in all; 0: those of train.steps."""
    vocab_size: int = 128000
    """Entries of the tokenizer, where neither model.vocab_size nor data says."""

    def __post_init__(self) -> None:
        if not self.tokens >= 0:
            raise UserError(f"tokens={self.tokens} must be at least 0")
        if self.lora.rank and self.optim.name == "muon":
            raise UserError(f"lora.rank={self.lora.rank} goes with optim=adamw, not with muon")
        if self.vocab_size < 1:
            raise UserError(f"vocab_size={self.vocab_size} must be at least 1")


def spread(words: Sequence[str]) -> list[str]:
    """`cluster=h100x64` as the two words it stands for."""
    spread_out: list[str] = []
    for word in words:
        found = CLUSTER_WORD.fullmatch(word)
        spread_out += [f"cluster={found['name']}", f"cluster.gpus={found['gpus']}"] if found else [word]
    return spread_out
