"""kill -9 in every phase of SFT and GRPO, of one rank or of all: the run ends as one without a kill does.

Run by `make soak`; with `-s` it prints how many kills hit each phase.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.rollouts import FOLDER
from tests.conftest import SCRIPTS, torchrun, torchrun_command
from tests.processes import Process, rank_of, run
from tests.soak import SOAK
from tests.train import test_grpo, test_tune

pytestmark = pytest.mark.skipif(not SOAK, reason="20 kills of each; the suite has one of each elsewhere")
MARKED = Path(__file__).with_name("marked_tuning.py")
STEPS = 10
WORDS = [
    *("engine.stage=3", "engine.precision=fp32", f"train.steps={STEPS}", "train.validate_every=3"),
    *("train.checkpoint_every=4", "train.ephemeral_every=1", "train.keep_checkpoints=2"),
]
PHASES = {
    "sft": ("starting", "training", "saving", "writing", "validating"),
    "grpo": ("starting", "generating", "training", "generating", "saving", "writing", "validating"),
}
"""What is aimed at, in turn."""
CASES = [(objective, number) for objective in PHASES for number in range(20)]

made, data = test_grpo.made, test_tune.data
Words = Callable[[str, Path], list[str]]


@pytest.fixture(scope="module")
def words(made: Path, data: dict[str, Path], undisturbed: Path) -> Words:
    def of(objective: str, run_dir: Path) -> list[str]:
        if objective == "grpo":
            return [*test_grpo.tuning(made, run_dir), *WORDS, "optim.lr=1e-4"]
        start = [f"train.init_from={undisturbed}", f"data={data['sft']}", f"run_dir={run_dir}"]
        return [*start, *test_tune.WORDS, *WORDS]

    return of


@pytest.fixture(scope="module")
def whole(words: Words, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of an objective that nothing interrupts, and its marks beside it."""
    folders: dict[str, Path] = {}

    def of(objective: str) -> Path:
        if objective not in folders:
            folders[objective] = folder = tmp_path_factory.mktemp(objective)
            environment = {**os.environ, "MARKS": str(folder)}
            run(torchrun_command(2, MARKED, *words(objective, folder / "run")), environment=environment)
        return folders[objective] / "run"

    return of


@pytest.fixture(scope="module")
def hits() -> Iterator[dict[str, Counter[str]]]:
    """How many kills hit each phase; shown at the end."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    yield found
    for objective, counts in found.items():
        print(f"\n{objective}: {dict(counts)}")


def marks(folder: Path, rank: int = 0) -> list[tuple[float, str, str]]:
    path = folder / f"rank-{rank}"
    lines = [line.split() for line in path.read_text().split("\n")[:-1]] if path.exists() else []
    return [(float(seconds), sign, phase) for seconds, sign, phase in lines]


def begun(folder: Path, phase: str) -> list[float]:
    return [seconds for seconds, sign, name in marks(folder) if (sign, name) == ("+", phase)]


def usual_length(folder: Path, phase: str) -> float:
    """Seconds, in a run that nothing interrupts."""
    ended = [seconds for seconds, sign, name in marks(folder) if (sign, name) == ("-", phase)]
    return statistics.median(end - begin for begin, end in zip(begun(folder, phase), ended, strict=True))


def under_way(folder: Path, rank: int) -> list[str]:
    """The phases in which a rank came to its end."""
    counts: Counter[str] = Counter()
    for _, sign, phase in marks(folder, rank):
        counts[phase] += 1 if sign == "+" else -1
    return sorted(phase for phase, count in counts.items() if count) or ["between phases"]


def record(run_dir: Path) -> dict[str, Any]:
    """What a run must have in common with an undisturbed one."""
    lines = list(map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines()))
    kept = ("loss", "grad_norm", "reward", "answer_tokens", "hidden_form", "bits_per_byte", "held_out")
    folder = list_checkpoints(run_dir)[0]
    files = [*folder.glob("*.safetensors"), *(run_dir / FOLDER).glob("*.safetensors")]
    return {
        "steps": [(line["step"], {name: line[name] for name in kept if name in line}) for line in lines],
        "checkpoint": folder.name,
        "weights, moments, random numbers, answers": {path.name: path.read_bytes() for path in files},
    }


@pytest.mark.parametrize(("objective", "number"), CASES)
def test_the_end_is_that_of_the_undisturbed_run(
    objective: str,
    number: int,
    words: Words,
    whole: Callable[[str], Path],
    hits: dict[str, Counter[str]],
    tmp_path: Path,
) -> None:
    expected, generator = whole(objective), random.Random(f"{objective}/{number}")
    phase = PHASES[objective][number % len(PHASES[objective])]
    times = generator.randint(1, max(1, len(begun(expected.parent, phase)) - 2))
    delay = generator.random() * usual_length(expected.parent, phase)
    victim = generator.choice(["all", 0, 1])
    run_dir = tmp_path / "run"
    command = torchrun_command(2, MARKED, *words(objective, run_dir))
    process = Process(command, new_session=True, environment={**os.environ, "MARKS": str(tmp_path)})
    try:
        deadline = time.monotonic() + 240
        while len(begun(tmp_path, phase)) < times:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.0005)
        time.sleep(delay)
        if victim == "all":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            ranks = {rank_of(child): child for child in psutil.Process(process.pid).children()}
            ranks[victim].kill()
        assert process.wait(timeout=240) != 0
    finally:
        process.kill()
    hits[objective].update(under_way(tmp_path, 0 if victim == "all" else int(victim)))
    torchrun(2, SCRIPTS / "tune.py", *words(objective, run_dir))
    found, right = record(run_dir), record(expected)
    assert {step for step, _ in right["steps"]} == set(range(1, STEPS + 1))
    for name, values in right.items():
        assert found[name] == values, name
    assert len(right["weights, moments, random numbers, answers"]) == (
        2 if objective == "sft" else 2 + STEPS
    )
    assert verify(VerifyConfig(str(run_dir))) == []
