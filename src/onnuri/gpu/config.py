"""Options of scripts/gpu_check.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option


@dataclass
class GpuCheckConfig:
    """Which stages, for how long, and where the results go."""

    stages: list[str] = field(default_factory=list)
    """Stages, or kinds of stages, to run ([numbers,training]); empty: all of `call`."""
    call: str = ""
    """A: correctness, rates, and the training runs that have a bar (about 9 minutes on an H100); B: tile
    sweep and variants (about 4). Empty: both."""
    minutes: float = 30.0
    """Budget of the whole command. Stages run in order of value; those that no longer fit are skipped, and
    the results name them."""
    output: str = path_option("")
    """File that every result is appended to as it comes; what the stages print goes to the same name with
    .log. Empty: gpu.jsonl, or gpu-rehearsal.jsonl for a rehearsal."""
    data: str = path_option("")
    """Token shards to train on; empty: synthetic ones are made (2 million tokens)."""
    cases: int = 50
    """Random cases of each operation and dtype in the numbers stage."""
    rehearse: bool = False
    """Run every stage on the CPU at tiny sizes, Triton in its interpreter: it tests the code and measures
    nothing."""

    def __post_init__(self) -> None:
        if self.call:
            check_choice("call", self.call, ("A", "B"))
        if self.output.endswith(".log"):
            raise UserError(f"output={self.output}: .log is for what the stages print; use .jsonl")
        if self.cases < 1:
            raise UserError(f"cases={self.cases} must be at least 1")
        if not self.minutes > 0:
            raise UserError(f"minutes={self.minutes} must be above 0")
