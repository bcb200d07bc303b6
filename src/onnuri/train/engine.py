"""Model, optimizer and DeepSpeed, put together for a run."""

from __future__ import annotations

from typing import Any

import torch

from onnuri.base.errors import UserError
from onnuri.checkpoint.zero_state import prime_optimizer
from onnuri.kernels import choose
from onnuri.model.initialise import initialise
from onnuri.model.lora import adapters, add_adapters
from onnuri.model.spec import spec_of
from onnuri.optim.groups import build_optimizer
from onnuri.optim.muon import Muon
from onnuri.parallel.deepspeed import gather_whole, gatherer, initialize, sharded_init
from onnuri.parallel.step_gate import unknown
from onnuri.parallel.zero_config import deepspeed_config
from onnuri.parallel.zero_layout import local_shards
from onnuri.train.compile import compile_blocks
from onnuri.train.run_plan import RunPlan
from onnuri.train.warm_start import fill


def build_engine(plan: RunPlan) -> Any:
    """The model with its initial weights, and DeepSpeed's engine around it and its optimizer.

    The engine has two attributes more: `initial_weights_sha256` and `kernels`.

    Raises UserError for options that these ranks cannot run, and a DeepSpeed that is not known.
    """
    config, gpu, spec = plan.config, torch.cuda.is_available(), spec_of(plan.config.model)
    check_hardware(plan)
    dtype = torch.bfloat16 if config.engine.precision == "bf16" else torch.float32
    compiled = config.engine.compile == "on"
    branched = config.objective == "grpo" and config.grpo.share_prompts
    kernels = choose(config.kernels, "cuda" if gpu else "cpu", dtype, compiled, branched)
    settings = deepspeed_config(
        config.engine,
        plan.ranks.world_size,
        plan.micro_batch_size,
        plan.accumulation,
        config.optim.gradient_clipping,
        gpu,
    )
    table = spec.by_name(config.model)
    with sharded_init(settings):
        model: Any = spec.build(config.model, kernels)
        add_adapters(model, table, config.lora)
    model.activation_checkpointing = config.engine.activation_checkpointing
    model.z_loss = config.train.z_loss
    if not plan.warm_start:
        initial_weights = initialise(model, config.train.seed, gatherer(settings))
    gather_whole(model, spec.block(), settings)
    if compiled:
        compile_blocks(model, spec.block())
    table = {**table, **adapters(table, config.lora)}
    optimizer = build_optimizer(dict(model.named_parameters()), table, config.optim)
    engine = initialize(model, optimizer, settings)
    try:
        prime_optimizer(engine)
    except (AttributeError, KeyError) as error:
        raise unknown(f"its optimizer is laid out in another way ({error})") from error
    if plan.warm_start:
        initial_weights = fill(engine, plan.warm_start, table, config.train.seed)
    if isinstance(optimizer, Muon):
        shapes = spec.matrices(config.model, config.optim.per_head)
        optimizer.bind(local_shards(engine), shapes, engine.device, dtype)
    engine.initial_weights_sha256, engine.kernels = initial_weights, kernels
    return engine


def check_hardware(plan: RunPlan) -> None:
    """Raise UserError for options that these ranks cannot run."""
    engine, world_size = plan.config.engine, plan.ranks.world_size
    if (engine.quantized_weights or engine.quantized_gradients) and not torch.cuda.is_available():
        raise UserError(
            "engine.quantized_weights and quantized_gradients need GPUs: their kernels are CUDA"
        )
    if world_size % engine.hpz_partition_size:
        raise UserError(
            f"engine.hpz_partition_size={engine.hpz_partition_size} does not divide {world_size} ranks"
        )
