"""Real inputs for the tests, made once by the commands themselves, and a way to run ranks."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from onnuri.config.application import show_messages
from tests import processes

# The workers of a suite share the cores; so do the commands that they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
os.environ["HF_HUB_OFFLINE"] = "1"
# How long an example takes depends on what else the machine does.
settings.register_profile("onnuri", deadline=None)
settings.load_profile("onnuri")
# A shell has what it runs in the background ignore Ctrl-C; commands that tests start must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "scripts"
TINY_MODEL = [
    "model.hidden_size=64",
    "model.num_layers=2",
    "model.num_heads=4",
    "model.num_kv_heads=2",
    "model.head_dim=16",
    "model.intermediate_size=128",
    "data.sequence_length=64",
    "train.global_batch_size=8",
    "train.validate_every=0",
    "train.validation_tokens=2048",
    "engine.micro_batch_size=2",
    "optim=adamw",
    "optim.lr=5e-3",
    "schedule.warmup_steps=2",
]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Packed bytes carry the time of day: as a test's name they would differ between the workers."""
    return "bytes" if isinstance(val, bytes) and not val.isascii() else None


def run_command(name: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run scripts/NAME.py in a process of its own."""
    return processes.run([sys.executable, str(SCRIPTS / f"{name}.py"), *words], check)


def torchrun_command(ranks: int, script: Path, *words: str) -> list[str]:
    """A torchrun command line for ranks on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc_per_node", str(ranks), str(script), *words]


def torchrun(ranks: int, script: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script on several ranks and wait for it."""
    return processes.run(torchrun_command(ranks, script, *words), check)


def untrained_model(vocab_size: int, context: int, tie_embeddings: bool = True) -> Qwen3ForCausalLM:
    """A small Hugging Face model whose random weights are large enough to have opinions."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=context,
        initializer_range=0.3,
        tie_word_embeddings=tie_embeddings,
    )
    return Qwen3ForCausalLM(config).eval()


def save_model(model: PreTrainedModel, tokenizer: str, folder: Path) -> None:
    """A Hugging Face folder of a model and the tokenizer in another folder."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(tokenizer) / name, folder / name)


def our_traceback_lines(text: str) -> list[str]:
    """Lines of a Python traceback that point into this repository; torchrun's own report has none."""
    ours = (str(REPOSITORY / "src"), str(SCRIPTS))
    return [line for line in text.splitlines() if 'File "' in line and any(path in line for path in ours)]


def pretrain(
    ranks: int, sample: Callable[[str], str], run_dir: Path, *words: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Train TINY_MODEL on the sample shards through the command."""
    return torchrun(
        ranks,
        SCRIPTS / "pretrain.py",
        f"data={sample('tokens')}",
        f"run_dir={run_dir}",
        *TINY_MODEL,
        *words,
        check=check,
    )


LONG = (
    "train/test_elastic.py",
    "kernels/test_numbers.py",
    "tokenizer/test_tokenizer.py",
    "train/test_pretrain.py",
    "plan/test_memory.py",
    "test_offline.py",
    "train/test_optimizers.py",
    "config/test_sweep_ranks.py",
    "kernels/test_budgets.py",
    "train/test_guard.py",
    "cli/test_wheel.py",
    "train/test_compile.py",
    "train/test_evaluation.py",
    "train/test_unwritable.py",
    "train/test_random_kills.py",
    "train/test_stragglers.py",
    "kernels/test_one_graph.py",
)
"""Files that run first, so that no worker ends with one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the others in their order."""
    order = {REPOSITORY / "tests" / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(autouse=True)
def interrupts_stay_as_they_were() -> Iterator[None]:
    """What a test leaves blocked or ignored would be so in the commands that later tests start."""
    yield
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all workers share, made by the first of them that asks. To be read or copied only."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"shared-{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 steps of ZeRO-3 in fp32 on two ranks, without interruption. To be copied, not changed."""
    words = ["train.steps=12", "train.checkpoint_every=5", "train.keep_checkpoints=0"]

    def make(folder: Path) -> None:
        pretrain(2, sample, folder / "run", *words, "engine.precision=fp32")

    return made_once(tmp_path_factory, "undisturbed", make) / "run"


@pytest.fixture(scope="session")
def averaged(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same steps with an average of the weights since step 4, every checkpoint, and validations."""
    words = [
        "train.steps=12",
        "train.checkpoint_every=1",
        "train.keep_checkpoints=0",
        "engine.precision=fp32",
    ]
    words += ["average.ema_decay=0.4", "average.ema_start=4", "train.validate_every=4"]

    def make(folder: Path) -> None:
        pretrain(2, sample, folder / "run", *words)

    return made_once(tmp_path_factory, "averaged", make) / "run"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folders of the sample corpus: `sample("corpus")`, `sample("tokenizer")`, `sample("tokens")`."""

    def make(folder: Path) -> None:
        corpus, tokenizer, tokens = (f"{folder}/{name}" for name in ("corpus", "tokenizer", "tokens"))
        run_command("corpus", "recipe=sample", f"output={corpus}")
        run_command(
            "tokenizer", f"input={corpus}", f"output={tokenizer}", "algorithm=bpe", "vocab_size=1024"
        )
        run_command("pack", f"input={corpus}", f"tokenizer={tokenizer}", f"output={tokens}")

    folder = made_once(tmp_path_factory, "sample", make)
    return lambda name: str(folder / name)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What a command would show of the modules' messages, on standard output and standard error."""
    show_messages()
    yield capsys
    log = logging.getLogger("onnuri")
    log.handlers.clear()
    log.propagate = True


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, one for all pages: its driver runs once a process."""
    from tests.serve.page.browser import chromium

    with chromium() as started:
        yield started
