"""Published training runs: tokens per second of one GPU, and where the figure is from.

llm-foundry: scripts/train/benchmarking/README.md of mosaicml/llm-foundry at 061f2c7 (MPT: bf16, FSDP full
sharding, four times wide feed-forward layers of two matrices, vocabulary 50,368 tied): rows of 1B to 70B,
sequences of 2,048 to 8,192 on H100, A100 80 GB and A100 40 GB, without near copies of others. torchtitan:
benchmarks/llama3_h100_202412_torchtitan.md at 31a17bf (Llama 3.1 8B, FSDP, torch.compile, bf16; H100 with
500 W; its selective recomputing stands as every second block).
"""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """One published figure."""

    source: str
    model: str
    cluster: str
    gpus: int
    sequence_length: int
    micro_batch_size: int
    activation_checkpointing: int
    tokens_per_second: float
    """Of one GPU."""


FOUNDRY, TITAN = "llm-foundry", "torchtitan"
RUNS = [
    Run(FOUNDRY, "70b", "h100", 64, 2048, 8, 1, 1039),
    Run(FOUNDRY, "70b", "h100", 32, 2048, 2, 1, 882),
    Run(FOUNDRY, "30b", "h100", 8, 8192, 1, 1, 1384),
    Run(FOUNDRY, "30b", "h100", 8, 4096, 1, 1, 1802),
    Run(FOUNDRY, "30b", "h100", 32, 2048, 14, 1, 2308),
    Run(FOUNDRY, "30b", "h100", 8, 2048, 3, 1, 2002),
    Run(FOUNDRY, "13b", "h100", 8, 4096, 10, 1, 4717),
    Run(FOUNDRY, "13b", "h100", 64, 2048, 2, 0, 4800),
    Run(FOUNDRY, "13b", "h100", 8, 2048, 2, 0, 4792),
    Run(FOUNDRY, "7b", "h100", 8, 8192, 8, 1, 6935),
    Run(FOUNDRY, "7b", "h100", 8, 4096, 16, 1, 8611),
    Run(FOUNDRY, "7b", "h100", 8, 2048, 6, 0, 10643),
    Run(FOUNDRY, "3b", "h100", 8, 8192, 3, 0, 16578),
    Run(FOUNDRY, "3b", "h100", 8, 4096, 5, 0, 20964),
    Run(FOUNDRY, "3b", "h100", 64, 2048, 6, 0, 22525),
    Run(FOUNDRY, "1b", "h100", 8, 8192, 3, 0, 29157),
    Run(FOUNDRY, "1b", "h100", 8, 4096, 7, 0, 38535),
    Run(FOUNDRY, "1b", "h100", 64, 2048, 20, 0, 44402),
    Run(FOUNDRY, "1b", "h100", 8, 2048, 14, 0, 45455),
    Run(TITAN, "llama-8b", "h100", 8, 8192, 2, 2, 6667),
    Run(TITAN, "llama-8b", "h100", 128, 8192, 2, 2, 6514),
    Run(FOUNDRY, "70b", "a100-80", 64, 2048, 8, 1, 410),
    Run(FOUNDRY, "70b", "a100-80", 32, 2048, 2, 1, 373),
    Run(FOUNDRY, "30b", "a100-80", 8, 8192, 1, 1, 574),
    Run(FOUNDRY, "30b", "a100-80", 8, 4096, 1, 1, 814),
    Run(FOUNDRY, "30b", "a100-80", 8, 2048, 3, 1, 916),
    Run(FOUNDRY, "13b", "a100-80", 8, 8192, 5, 1, 1795),
    Run(FOUNDRY, "13b", "a100-80", 8, 4096, 10, 1, 2060),
    Run(FOUNDRY, "13b", "a100-80", 8, 2048, 2, 0, 2262),
    Run(FOUNDRY, "7b", "a100-80", 8, 8192, 8, 1, 3206),
    Run(FOUNDRY, "7b", "a100-80", 8, 4096, 16, 1, 3684),
    Run(FOUNDRY, "7b", "a100-80", 8, 2048, 6, 0, 4641),
    Run(FOUNDRY, "3b", "a100-80", 8, 8192, 3, 0, 7695),
    Run(FOUNDRY, "3b", "a100-80", 8, 4096, 5, 0, 9457),
    Run(FOUNDRY, "3b", "a100-80", 8, 2048, 10, 0, 10811),
    Run(FOUNDRY, "1b", "a100-80", 8, 8192, 3, 0, 13814),
    Run(FOUNDRY, "1b", "a100-80", 8, 4096, 7, 0, 17807),
    Run(FOUNDRY, "1b", "a100-80", 8, 2048, 14, 0, 20513),
    Run(FOUNDRY, "70b", "a100-40", 128, 2048, 4, 1, 376),
    Run(FOUNDRY, "70b", "a100-40", 64, 2048, 2, 1, 276),
    Run(FOUNDRY, "30b", "a100-40", 128, 2048, 6, 1, 865),
    Run(FOUNDRY, "30b", "a100-40", 32, 2048, 4, 1, 857),
    Run(FOUNDRY, "13b", "a100-40", 8, 8192, 1, 1, 1407),
    Run(FOUNDRY, "13b", "a100-40", 8, 4096, 2, 1, 1603),
    Run(FOUNDRY, "13b", "a100-40", 128, 2048, 16, 1, 1972),
    Run(FOUNDRY, "13b", "a100-40", 8, 2048, 4, 1, 1668),
    Run(FOUNDRY, "7b", "a100-40", 8, 8192, 3, 1, 2887),
    Run(FOUNDRY, "7b", "a100-40", 8, 4096, 6, 1, 3366),
    Run(FOUNDRY, "7b", "a100-40", 128, 2048, 18, 1, 3623),
    Run(FOUNDRY, "3b", "a100-40", 8, 8192, 1, 0, 7149),
    Run(FOUNDRY, "3b", "a100-40", 8, 4096, 2, 0, 8777),
]
TOO_FAST = {
    ("30b", "h100", 8, 8192),
    ("30b", "a100-80", 8, 8192),
    ("70b", "a100-40", 64, 2048),
    ("13b", "a100-40", 8, 8192),
}
"""Runs that the plan takes for 15 to 40 % faster than they were: one or two sequences a GPU beside states
that fill much of its memory. Others of the same models and GPUs are met."""
SHAPES = {  # layers, width, heads; of llm-foundry's scripts/train/yamls/pretrain
    "1b": (24, 2048, 16),
    "3b": (32, 2560, 20),
    "7b": (32, 4096, 32),
    "13b": (40, 5120, 40),
    "30b": (48, 7168, 56),
    "70b": (80, 8192, 64),
}


def words(run: Run) -> list[str]:
    """The run as options of scripts/plan.py.

    MPT's feed-forward layer, 2 x 4 E x E, has the numbers of a SwiGLU of inner width 8/3 E.
    """
    if run.model == "llama-8b":
        shape = ["model=8b", "model.vocab_size=128256", "model.qk_norm=false"]
    else:
        layers, width, heads = SHAPES[run.model]
        shape = [
            "model.vocab_size=50368",
            f"model.num_layers={layers}",
            f"model.hidden_size={width}",
            f"model.num_heads={heads}",
            f"model.num_kv_heads={heads}",
            f"model.head_dim={width // heads}",
            f"model.intermediate_size={8 * width // 3}",
            "model.qk_norm=false",
            "model.loss_chunk_size=0",
        ]
    return [
        *shape,
        "optim=adamw",
        f"cluster={run.cluster}",
        f"cluster.gpus={run.gpus}",
        f"data.sequence_length={run.sequence_length}",
        f"engine.micro_batch_size={run.micro_batch_size}",
        f"train.global_batch_size={run.micro_batch_size * run.gpus}",
        f"engine.activation_checkpointing={run.activation_checkpointing}",
    ]
