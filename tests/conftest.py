"""Real inputs for the tests, made once by the doors themselves, and a way to run ranks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "scripts"
TINY_MODEL = [
    "model.hidden_size=64",
    "model.num_layers=2",
    "model.num_heads=4",
    "model.num_kv_heads=2",
    "model.head_size=16",
    "model.ffn_size=128",
    "data.sequence_length=64",
    "train.global_batch_size=8",
    "train.validate_every=0",
    "train.validation_tokens=2048",
    "engine.micro_batch_size=2",
    "optim.lr=1e-2",
    "schedule.warmup_steps=2",
]


def run_door(door: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run scripts/DOOR.py in a process of its own."""
    command = [sys.executable, str(SCRIPTS / f"{door}.py"), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def torchrun_command(ranks: int, script: Path, *words: str) -> list[str]:
    """A torchrun command line for ranks on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc_per_node", str(ranks), str(script), *words]


def torchrun(ranks: int, script: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script on several ranks and wait for it."""
    result = subprocess.run(
        torchrun_command(ranks, script, *words), capture_output=True, text=True, check=False, timeout=240
    )
    assert not check or result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def our_traceback_lines(text: str) -> list[str]:
    """Lines of a Python traceback that point into this repository; torchrun's own report has none."""
    ours = (str(REPOSITORY / "src"), str(SCRIPTS))
    return [line for line in text.splitlines() if 'File "' in line and any(path in line for path in ours)]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folders of the sample corpus: `sample("corpus")`, `sample("tokenizer")`, `sample("tokens")`."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    root = tmp_path_factory.mktemp("sample")
    corpus, tokenizer, tokens = (str(root / name) for name in ("corpus", "tokenizer", "tokens"))
    run_door("corpus", "recipe=sample", f"output={corpus}")
    run_door("tokenizer", f"input={corpus}", f"output={tokenizer}", "algorithm=bpe", "vocab_size=1024")
    run_door("pack", f"input={corpus}", f"tokenizer={tokenizer}", f"output={tokens}")
    return lambda name: str(root / name)
