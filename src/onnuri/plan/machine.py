"""A plan's options settled: what is left to the hardware or the data in a config is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.kernels.config import ROW_OPERATIONS, KernelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import spec_of
from onnuri.plan.activations import Kept
from onnuri.plan.config import ClusterConfig, PlanConfig, PlanModelConfig
from onnuri.plan.gathering import block_parameters
from onnuri.train.run_plan import choose_micro_batch_size
from onnuri.train.warm_start import PADDED_TO, open_warm_start, shaped


@dataclass
class Setting:
    """Everything that memory and time depend on."""

    model: PlanModelConfig
    cluster: ClusterConfig
    sequence_length: int
    attention_length: int
    """Tokens that attention reaches at most; below `sequence_length` in early stages of a length ramp."""
    micro_batch_size: int
    accumulation: int
    """Micro-batches of a rank in one step."""
    global_batch_size: int
    first_batch_size: int
    """Of a batch ramp; no more ranks than that can train."""
    stage: int
    width: int
    """Bytes of a number that the model computes in: 2 (bf16) or 4 (fp32)."""
    compiled: bool
    """Whether blocks are."""
    kept: Kept
    activation_checkpointing: int
    offload: str
    bucket_size: int
    hpz: int
    optimizer: str
    average: bool
    """Whether an average of the weights is kept."""
    loss: str
    """The implementation of linear_cross_entropy."""
    lora: LoraConfig

    @property
    def ranks(self) -> int:
        """One for each device."""
        return self.cluster.gpus

    @property
    def tokens(self) -> int:
        """Of one micro-batch."""
        return self.micro_batch_size * self.sequence_length

    @property
    def num_parameters(self) -> int:
        """Parameters of the model."""
        return self.model.num_parameters()

    @property
    def num_trained(self) -> int:
        """Parameters that the optimizer takes: the adapters, or the model's."""
        return self.lora.num_parameters(self.model) if self.lora.rank else self.num_parameters

    @property
    def num_held(self) -> int:
        """Parameters in memory: the model's, and adapters."""
        return self.num_parameters + (self.num_trained if self.lora.rank else 0)

    @property
    def embedding(self) -> int:
        """Elements of the embedding where it has a gradient, and of the output matrix."""
        return 0 if self.lora.rank else self.model.vocab_size * self.model.hidden_size

    @property
    def matrices(self) -> int:
        """Elements of the matrices of the blocks, which Muon takes."""
        model = self.model
        table = spec_of(model).parameters(model)
        norms = sum(each.numel for each in table if each.in_block and each.kind == "norm")
        return model.num_layers * (sum(block_parameters(model)) - norms)

    @property
    def largest_partition(self) -> int:
        """ZeRO-2: elements of the parameters that a rank holds at least a part of; the rank with most."""
        model, embedding = self.model, self.embedding
        if self.lora.rank:
            return -(-self.num_trained // self.ranks)
        sizes = [
            embedding,
            *(n for n in block_parameters(model) * model.num_layers if n > model.hidden_size),
        ]
        sizes += [] if model.tie_embeddings else [embedding]
        share = -(-sum(sizes) // self.ranks)
        held, start = [0] * self.ranks, 0
        for size in sizes:
            for rank in range(start // share, (start + size - 1) // share + 1):
                held[rank] += size
            start += size
        return max(held)


def settle(config: PlanConfig) -> Setting:
    """Decide what a config leaves open, as scripts/pretrain.py would on those machines.

    Raises UserError where the batch or hpZ do not fit the number of ranks.
    """
    if config.train.init_from:
        config.model = cast(PlanModelConfig, shaped(config.model, open_warm_start(config.train.init_from)))
    engine, model, cluster = config.engine, config.model, config.cluster
    if model.vocab_size == 0:
        model.vocab_size = -(-_tokenizer_size(config) // PADDED_TO) * PADDED_TO
    if cluster.gpus % engine.hpz_partition_size:
        raise UserError(
            f"engine.hpz_partition_size={engine.hpz_partition_size} does not divide {cluster.gpus} ranks"
        )
    precision = engine.precision if engine.precision != "auto" else ("bf16" if cluster.gpu else "fp32")
    micro_batch_size = choose_micro_batch_size(config, cluster.gpus)
    compiled = engine.compile == "on" or (engine.compile == "auto" and cluster.gpu)
    return Setting(
        model=model,
        cluster=cluster,
        sequence_length=config.data.sequence_length,
        attention_length=config.data.sequence_length,
        micro_batch_size=micro_batch_size,
        accumulation=-(-config.train.global_batch_size // (micro_batch_size * cluster.gpus)),
        global_batch_size=config.train.global_batch_size,
        first_batch_size=config.train.batches.at(0),
        stage=engine.stage,
        width=2 if precision == "bf16" else 4,
        compiled=compiled,
        kept=what_is_kept(compiled, cluster.gpu, config.kernels),
        activation_checkpointing=engine.activation_checkpointing,
        offload=engine.offload,
        bucket_size=engine.bucket_size,
        hpz=engine.hpz_partition_size,
        optimizer=config.optim.name,
        average=config.average.ema_decay > 0,
        loss=choose_loss(config.kernels.of("linear_cross_entropy"), cluster.gpu),
        lora=config.lora,
    )


def what_is_kept(compiled: bool, gpu: bool, kernels: KernelConfig) -> Kept:
    """For the backward pass (onnuri.train.compile). Triton's row operations keep their inputs alone."""
    if compiled:
        return "inputs" if gpu else "outputs"
    by_triton = gpu and all(kernels.of(operation) in ("auto", "triton") for operation in ROW_OPERATIONS)
    return "inputs" if by_triton else "all"


def choose_loss(asked: str, gpu: bool) -> str:
    """As onnuri.kernels.backends does."""
    if asked != "auto":
        return asked
    return "triton" if gpu else "native"


def has_shards(path: str) -> bool:
    """Whether a folder of token shards is there; a plan does without."""
    return bool(path) and (Path(path) / manifest.FILE_NAME).is_file()


def _tokenizer_size(config: PlanConfig) -> int:
    if has_shards(config.data.path):
        return int(manifest.read(config.data.path, "tokens").counts["vocab_size"])
    return config.vocab_size
