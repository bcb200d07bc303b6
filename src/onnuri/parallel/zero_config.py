"""DeepSpeed's own configuration of a run: what each ZeRO setting costs on GPUs, and what it is set to.

Read from DeepSpeed 0.19.8. CPUs, one GPU and several GPUs differ; none of the differences changes a loss.
"""

from __future__ import annotations

import sys
from typing import Any

from onnuri.parallel.config import EngineConfig

SMALL = 100_000
"""Elements of a parameter that each of several GPUs keeps whole from the first micro-batch of a step on:
the scales of norms. Otherwise each costs a kernel in every gather of its block."""


def deepspeed_config(
    engine: EngineConfig,
    world_size: int,
    micro_batch_size: int,
    accumulation: int,
    gradient_clipping: float,
    gpu: bool,
) -> dict[str, Any]:
    """DeepSpeed's configuration for ranks on GPUs or on CPUs."""
    bucket, alone = engine.bucket_size, gpu and world_size == 1
    zero: dict[str, Any] = {
        "stage": engine.stage,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
        # A side stream for messages. Stage 3 needs it on one GPU too: without it DeepSpeed makes the host
        # wait for the compute stream at every gather. At stages 1 and 2 it would only add a second bucket
        # there, and a wait for the device after each backward pass.
        "overlap_comm": gpu and (engine.stage == 3 or not alone),
        "contiguous_gradients": True,
    }
    if engine.stage == 3:
        # Whole on one GPU, unless parameters live on the host: there a gathered parameter is a view of its
        # only partition, so giving it up after every block and pass saves no memory.
        whole = alone and engine.offload != "all"
        zero |= {
            "stage3_prefetch_bucket_size": bucket,
            "stage3_max_live_parameters": 20 * bucket,
            "stage3_max_reuse_distance": 20 * bucket,
            "stage3_param_persistence_threshold": sys.maxsize if whole else SMALL if gpu else 0,
            # A Python function that holds no gathered weight. It cannot be compiled, and whole weights do
            # not need it.
            "memory_efficient_linear": engine.compile != "on" and not whole,
            # Off on one GPU: a bucket of gradients is averaged in place, with no second copy of it, and one
            # conversion to fp32 instead of one a parameter. Several ranks would send twice the bytes.
            "reduce_scatter": not alone or engine.quantized_gradients,
            "zero_hpz_partition_size": engine.hpz_partition_size,
            "zero_quantized_weights": engine.quantized_weights,
            "zero_quantized_gradients": engine.quantized_gradients,
        }
    pinned = {"device": "cpu", "pin_memory": gpu}
    if engine.offload != "none":
        zero["offload_optimizer"] = pinned
    if engine.offload == "all":
        zero["offload_param"] = pinned
    # Sums of micro-batch gradients are kept in fp32. The one case where DeepSpeed cannot: bf16, stage 0.
    sharded_or_bf16 = engine.stage > 0 or engine.precision == "bf16"
    accumulate_in_fp32 = engine.stage > 0 or engine.precision == "fp32"
    return {
        "train_micro_batch_size_per_gpu": micro_batch_size,
        "gradient_accumulation_steps": accumulation,
        # Plain torch (stage 0, fp32) is clipped behind the step gate, which sees the norm before.
        "gradient_clipping": gradient_clipping if sharded_or_bf16 else 0.0,
        # Stage 1: a gradient is added to its fp32 sum as soon as it is there, and freed. Otherwise all of
        # them stay in bf16 too (2 bytes a parameter), and every micro-batch zeroes them and adds to them.
        "bf16": {
            "enabled": engine.precision == "bf16",
            "immediate_grad_update": gpu,
            "check_grad_overflow": True,  # a norm that is not finite drops the step: the gate needs it
        },
        "data_types": {"grad_accum_dtype": "fp32" if accumulate_in_fp32 else "bf16"},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW is as good, and nothing is compiled
        "steps_per_print": 2**31,
        # It waits for the device twice in every micro-batch, and what it measures is logged nowhere.
        "timers": {"throughput": {"enabled": False}},
    }
