"""The process, the model and the optimizer, handed to DeepSpeed."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import socket
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from onnuri.base import process as ranks
from onnuri.base.errors import UserError
from onnuri.checkpoint.zero_state import prime_optimizer
from onnuri.config.start_time import agent_store
from onnuri.kernels import use
from onnuri.model.decoder import Block, Decoder, hidden_matrices, initialise
from onnuri.optim.muon import Muon
from onnuri.parallel.cuda_setup import set_up_cuda
from onnuri.parallel.step_gate import unknown
from onnuri.parallel.zero_config import deepspeed_config
from onnuri.parallel.zero_layout import fragments, inner_optimizer
from onnuri.train.compile import compile_model
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import RunPlan

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep freed tensors instead of giving them back to the kernel.

    Page faults on freshly mapped memory doubled the time of a CPU training step (LAB.md). No effect
    where the C library has no mallopt.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(M_TOP_PAD, 256 << 20)


def start_process_group(config: PretrainConfig, local_world_size: int) -> torch.device:
    """Join the other ranks (NCCL on GPUs, gloo on CPUs) and return this rank's device.

    Run without torchrun, the process is a group of one. Raises UserError where the group that has formed is
    not the one that the environment describes.
    """
    own = ranks.from_environment()
    if not own.launched:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    use_gpu = torch.cuda.is_available()
    if use_gpu:
        set_up_cuda()
        device = torch.device("cuda", own.local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
        os.environ["DS_ACCELERATOR"] = "cpu"
        keep_freed_memory()
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(config.engine.threads_per_rank or max(1, cores // local_world_size))
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="deepspeed")
    # DeepSpeed's barriers; the device of this rank is set above.
    warnings.filterwarnings("ignore", message=r"barrier\(\): using the device under current context")
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # An inference-only collective that DeepSpeed would compile at start-up: it is never used here, and
    # a process killed during that build leaves a lock on which the next start waits for ever. No table of
    # operators is set rather than an entry of it: its first reading probes all of them with compilers.
    _set("deepspeed.ops", "__compatible_ops__", {})
    backend, timeout = "nccl" if use_gpu else "gloo", timedelta(minutes=config.engine.timeout_minutes)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        # torchrun keeps this store between restarts, and torch 2.13 would find the addresses of ranks in it
        # that are gone.
        attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-{own.world_size}"
        store = dist.PrefixStore(f"onnuri/attempt-{attempt}", agent_store())
        store.set_timeout(timeout)
        # Bound to its device as DeepSpeed would bind it.
        bound: dict[str, Any] = {"device_id": device} if use_gpu and own.world_size > 1 else {}
        dist.init_process_group(
            backend, store=store, rank=own.rank, world_size=own.world_size, timeout=timeout, **bound
        )
    deepspeed.init_distributed(backend, timeout=timeout, verbose=False)
    joined = (dist.get_rank(), dist.get_world_size())
    if joined != (own.rank, own.world_size):
        raise UserError(
            f"this is rank {joined[0]} of {joined[1]}, and the environment says rank {own.rank} of "
            f"{own.world_size}: start with torchrun"
        )
    return device


def _set(module: str, name: str, value: Any) -> None:
    """Set what is only a convenience: a DeepSpeed without such a module is as good."""
    with suppress(ImportError):
        vars(importlib.import_module(module))[name] = value


def hardware_precision() -> str:
    """bf16 where the hardware multiplies it, fp32 elsewhere.

    On a CPU without AVX512-BF16 or AMX a bf16 matrix product ran 50 times slower than fp32 (LAB.md).
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def build_engine(plan: RunPlan) -> Any:
    """Model under zero.Init, explicit initial weights, optimizer, and the DeepSpeed engine around them."""
    import deepspeed

    # It prints ten lines at the start.
    _set("deepspeed.runtime.bf16_optimizer", "see_memory_usage", lambda *_, **__: None)
    config, settings = plan.config, deepspeed_config(plan, torch.cuda.is_available())
    check_hardware(plan)
    dtype = torch.bfloat16 if config.engine.precision == "bf16" else torch.float32
    compiled = config.engine.compile == "on"
    use(config.kernels, "cuda" if torch.cuda.is_available() else "cpu", dtype, compiled)
    sharded = config.engine.stage == 3
    with deepspeed.zero.Init(config_dict_or_path=settings) if sharded else nullcontext():
        model = Decoder(config.model)
    model.recompute_every = config.engine.recompute_every

    def gather(parameter: nn.Parameter) -> AbstractContextManager[object]:
        if not sharded:
            return nullcontext()
        return deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)

    initial_weights = initialise(model, config.train.seed, gather)
    if sharded:
        deepspeed.utils.set_z3_leaf_modules(model, [Block])
    if compiled:
        compile_model(model)
    optimizer = build_optimizer(model, config)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings)
    if sharded:
        # After every step DeepSpeed would gather the parameters that it keeps whole, a message for each,
        # and wait for the device. The next forward pass gathers them with the rest of their block.
        engine.optimizer.persistent_parameters = []
    try:
        prime_optimizer(engine)
    except (AttributeError, KeyError) as error:
        raise unknown(f"its optimizer is laid out in another way ({error})") from error
    if isinstance(optimizer, Muon):
        optimizer.bind(fragments(engine), hidden_matrices(config.model), engine.device, dtype)
    engine.initial_weights_sha256 = initial_weights
    return engine


def build_optimizer(model: Decoder, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW or Muon over groups of parameters, told apart by name: under zero.Init all look alike."""
    optim = config.optim
    matrices = hidden_matrices(config.model) if optim.name == "muon" else {}
    named = dict(model.named_parameters())
    norms = [name for name in named if name.endswith("norm.weight")]
    others = [name for name in named if name not in matrices and name not in norms]
    groups: list[dict[str, Any]] = [
        {"params": [named[name] for name in others]},
        {"params": [named[name] for name in norms], "weight_decay": 0.0},
    ]
    if matrices:
        groups.append(
            {"params": [named[name] for name in matrices], "muon": True, "momentum": optim.momentum}
        )
    return (Muon if matrices else torch.optim.AdamW)(
        groups,
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        fused=True,
    )


def check_hardware(plan: RunPlan) -> None:
    """Raise UserError for options that these ranks cannot run."""
    engine = plan.config.engine
    if (engine.quantized_weights or engine.quantized_gradients) and not torch.cuda.is_available():
        raise UserError(
            "engine.quantized_weights and quantized_gradients need GPUs: their kernels are CUDA"
        )
    if plan.world_size % engine.hpz_partition_size:
        raise UserError(
            f"engine.hpz_partition_size={engine.hpz_partition_size} does not divide {plan.world_size} ranks"
        )


def describe_optimizer(engine: Any) -> str:
    """Which optimizer takes how many of the parameters."""
    counts: dict[str, list[int]] = {}
    for fragment in fragments(engine):
        counts.setdefault("muon" if fragment.group.get("muon") else "adamw", []).append(
            fragment.parameter_numel
        )
    parts = [f"{name} {len(sizes)} parameters, {sum(sizes):,} numbers" for name, sizes in counts.items()]
    inner = inner_optimizer(engine)
    if isinstance(inner, Muon):
        parts.append(f"{len(inner.matrices)} matrices orthogonalised a step")
    return "optimizer: " + "; ".join(parts)


def broadcast_from_rank_zero(value: Any) -> Any:
    """The value rank 0 has, on every rank."""
    holder = [value]
    dist.broadcast_object_list(holder, src=0)
    return holder[0]
