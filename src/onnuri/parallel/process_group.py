"""This process among the ranks: threads, allocator, device, and the process group."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from onnuri.base import process
from onnuri.base.allocator import keep_freed_memory
from onnuri.base.errors import UserError
from onnuri.config.start_time import agent_store
from onnuri.parallel.config import EngineConfig
from onnuri.parallel.cuda_setup import set_up_cuda
from onnuri.parallel.deepspeed import silence


def start_process_group(config: EngineConfig) -> torch.device:
    """Join the other ranks (NCCL on GPUs, gloo on CPUs) and return this rank's device.

    Run without torchrun, the process is a group of one. Raises UserError where the group that has formed is
    not the one that the environment describes.
    """
    own = process.from_environment()
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
        torch.set_num_threads(config.threads_per_rank or max(1, cores // own.local_world_size))
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
    silence("deepspeed.ops", "__compatible_ops__", {})
    backend, timeout = "nccl" if use_gpu else "gloo", timedelta(minutes=config.timeout_minutes)
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


def broadcast_from_rank_zero(value: Any) -> Any:
    """The value rank 0 has, on every rank."""
    holder = [value]
    dist.broadcast_object_list(holder, src=0)
    return holder[0]


def hardware_precision() -> str:
    """bf16 where the hardware multiplies it, fp32 elsewhere.

    On a CPU without AVX512-BF16 or AMX a bf16 matrix product ran 50 times slower than fp32 (LAB.md).
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
