"""The tracks: how much an entry may spend, in units that no machine changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Track:
    """What an entry may spend, and what its replay may ask of whoever verifies it."""

    name: str
    flops: int
    """Training FLOPs by `ModelConfig.flops_per_token`: of every step in the ledger, also of steps that a
    crash has lost."""
    unique_tokens: int
    """Different training tokens; reading them again is free, but for the FLOPs."""
    parameters: int
    """Of the model, embeddings included."""
    tokens_per_step: int
    """Of a global batch."""
    ranks: int
    checkpoints: int
    """Two checkpoints are at most steps / checkpoints apart (rounded up), so that a replay of the steps
    between two of them is short."""
    precision: str = "fp32"
    """Which `engine.precision` it takes: bf16 rounds so differently from machine to machine that steps
    cannot be checked on another one. Empty: any, to be replayed on the same processor and versions."""
    about: str = ""


CUSTOM = "custom"
TRACKS = {
    track.name: track
    for track in (
        Track(
            "ten_minutes",
            flops=10**14,
            unique_tokens=10**6,
            parameters=30 * 10**6,
            tokens_per_step=1 << 16,
            ranks=8,
            checkpoints=10,
            about="about 10 minutes on 2 CPU cores",
        ),
        Track(
            "one_hour",
            flops=6 * 10**14,
            unique_tokens=10**7,
            parameters=100 * 10**6,
            tokens_per_step=1 << 17,
            ranks=8,
            checkpoints=20,
            about="about 1 hour on 2 CPU cores",
        ),
        Track(
            "ten_minutes_h100",
            flops=2 * 10**17,
            unique_tokens=10**9,
            parameters=10**9,
            tokens_per_step=1 << 20,
            ranks=1,
            checkpoints=20,
            precision="",
            about="10 minutes on one H100; not measured",
        ),
    )
}
"""FLOPs: the sample model takes 17.3 MFLOPs a token, and 2 cores train 10,000 tokens/s, so 10 minutes are
1.1e14. The H100's are 10 minutes at a third of 989 TFLOP/s, which nobody has measured."""
