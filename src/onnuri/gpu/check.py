"""The whole check: settings, stages, and what to make of the results."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.provenance import code_version
from onnuri.gpu.config import GpuCheckConfig
from onnuri.gpu.environment import device_name
from onnuri.gpu.results import FORMAT, read
from onnuri.gpu.runner import ResultsFile, run_stages
from onnuri.gpu.stage import Result
from onnuri.gpu.stages import selected

TRAINS = ("training", "peers", "resume")
"""Kinds of stages that read token shards."""
REHEARSAL_FACTOR = 8
"""Of the limits in a rehearsal: it wants every line of code run, and CPUs are slow."""


def check(config: GpuCheckConfig) -> list[Result]:
    """Run the stages. Returns their results, which are in the output file too; `failed` judges one.

    Raises UserError without a GPU, and for stages, data or an output that cannot be used.
    """
    if not config.rehearse and (not torch.cuda.is_available() or torch.version.cuda is None):
        raise UserError(
            f"gpu_check needs an NVIDIA GPU: torch {torch.__version__} finds none; "
            "rehearse=true runs the stages on the CPU"
        )
    started = time.monotonic()
    stages = selected(config.stages, config.call)
    if any(stage.kind in TRAINS for stage in stages):
        check_data(config.data)
    output = Path(config.output or ("gpu-rehearsal.jsonl" if config.rehearse else "gpu.jsonl"))
    check_output(output, config.rehearse)
    results = ResultsFile(output)
    results.add(header(config))
    with tempfile.TemporaryDirectory(prefix="onnuri-gpu-") as scratch:
        given = {
            "device": "cpu" if config.rehearse else "cuda",
            "rehearse": config.rehearse,
            "cases": min(2, config.cases) if config.rehearse else config.cases,
            "data": config.data or make_shards(Path(scratch), config.rehearse),
        }
        prepare_environment(Path(scratch), config.rehearse)
        if config.rehearse:
            stages = [replace(stage, seconds=REHEARSAL_FACTOR * stage.seconds) for stage in stages]
        budget = 60 * config.minutes - (time.monotonic() - started)
        run_stages(stages, results, output.with_suffix(".log"), budget, given)
    return results.results


def check_data(data: str) -> None:
    """Raises UserError if there are no token shards in the folder; without one, synthetic ones are made."""
    if data:
        try:
            manifest.read(data, "tokens")
        except UserError as error:
            raise UserError(f"data={data}: {error}") from None


def check_output(output: Path, rehearse: bool) -> None:
    """Raises UserError if results cannot be added to the file: a folder, other content, another device."""
    log = output.with_suffix(".log")
    for path in (output, log):
        if path.exists() and not path.is_file():
            raise UserError(f"output={output}: {path} is no file; give the name of one, such as gpu.jsonl")
    if log.exists() and not os.access(log, os.W_OK):
        raise UserError(f"output={output}: {log} cannot be written")
    for call in read([output]) if output.is_file() else []:
        if call.header["rehearsal"] != rehearse:
            kind = "of a rehearsal" if call.header["rehearsal"] else "measured"
            raise UserError(f"output={output} holds results {kind}; name another file")
        if call.device and not rehearse and call.device != device_name():
            raise UserError(f"output={output} holds results of {call.device}; name another file")


def header(config: GpuCheckConfig) -> Result:
    """The first line of a call. Results of one call were measured on one device in one go."""
    return {
        "event": "call",
        "format": FORMAT,
        "call": config.call or "all",
        "rehearsal": config.rehearse,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "code": code_version() | {"kit": os.environ.get("ONNURI_KIT_COMMIT", "")},
    }


def failed(result: Result) -> bool:
    """A wrong result or a crash: not a bar that is missed."""
    wrong = result.get("ours", True) and (result.get("over") is True or result.get("same_bits") is False)
    unknown = result.get("check") == "resume" and "same_bits" not in result
    return wrong or unknown or result.get("event") == "crash"


def make_shards(scratch: Path, rehearse: bool) -> str:
    """Synthetic token shards."""
    from onnuri.gpu.shards import write_shards

    return str(write_shards(scratch / "tokens", 50_000 if rehearse else 2_000_000))


def prepare_environment(scratch: Path, rehearse: bool) -> None:
    """What all stages inherit: nothing goes out to the network; caches of compilers are shared by them."""
    defaults: dict[str, Any] = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRITON_CACHE_DIR": str(scratch / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
    }
    if rehearse:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        defaults |= {"TRITON_INTERPRET": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
