"""Tokens a second and memory of a training step, beside the training loops of others.

    python benchmarks/training.py --only onnuri onnuri_zero3_x2 hf hf_zero3_x2 plain litgpt

8 layers, 512 wide, 8 heads over 4, vocabulary 16,384, 8 rows of 1,024 tokens a step, bf16, two CPU threads
in all. Each is a process (or two ranks) that takes one step when it is its turn, in changing order, so that
whatever else the machine does hits all alike; medians, and the ratio to the first named. NAME+malloc gives
a peer the allocator settings that Onnuri takes by itself. litgpt must be installed in the Python that runs
this, or in the one named with --litgpt-python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("peers") / "training.py"
TUNABLES = ":".join(
    f"glibc.malloc.{name}"
    for name in ("mmap_threshold=1073741824", "trim_threshold=2147483647", "top_pad=268435456")
)
DEFAULT = ["onnuri", "onnuri_zero3_x2", "plain", "hf", "hf_zero3_x2", "litgpt"]
OURS = [
    "optim=adamw",
    "model.hidden_size=512",
    "model.num_layers=8",
    "model.num_heads=8",
    "model.num_kv_heads=4",
    "model.head_dim=64",
    "model.intermediate_size=1536",
    "model.vocab_size=16384",
    "model.qk_norm=false",
    "data.sequence_length=1024",
    "data.document_mask=false",
    "train.global_batch_size=8",
    "train.steps=1000000",
    "train.validate_every=0",
    "train.checkpoint_every=0",
    "engine.precision=bf16",
    "engine.compile=on",
    "engine.stage=3",
]


class Runner:
    """A training process, or one a rank, that waits for leave before each step."""

    def __init__(
        self,
        name: str,
        words: list[str],
        scratch: Path,
        ranks: int = 1,
        threads: int = 2,
        tunables: str = "",
    ) -> None:
        """Start it. `words` is the Python and its script, `tunables` are those of glibc."""
        self.name, self.ranks = name, ranks
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
        python, *rest = words
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads // ranks),
            "BENCH_SCRATCH": str(scratch / f"{name}-files"),
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}:{os.environ.get('PYTHONPATH', '')}",
            **({"GLIBC_TUNABLES": tunables} if tunables else {}),
        }
        self.log = (scratch / f"{name}.log").open("w")
        self.process = subprocess.Popen(
            [python, *(launcher if ranks > 1 else []), *rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )
        self.steps: list[dict[str, Any]] = []
        self._expect("READY")

    def step(self) -> None:
        """Let it take a step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = [json.loads(line) for line in self._expect("STEP")]
        self.steps.append(
            {
                "wall": max(each["wall"] for each in found),
                "cpu": sum(each["cpu"] for each in found),
                "mib": sum(each["mib"] for each in found),
                "tokens": sum(each.get("tokens", 0) for each in found),
            }
        )

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.log.close()

    def _expect(self, word: str) -> list[str]:
        assert self.process.stdout is not None
        found: list[str] = []
        for line in self.process.stdout:
            _, mark, rest = line.rpartition(word)
            if mark:
                found.append(rest)
            if len(found) == self.ranks:
                return found
        raise SystemExit(f"{self.name} has ended; see {self.log.name}")


def contender(name: str, scratch: Path, shards: Path, litgpt_python: str) -> Runner:
    """The process of a name on the command line."""
    kind, _, malloc = name.partition("+")
    kind, _, ranks = kind.partition("_x")
    own = kind.startswith("onnuri")
    words = ["onnuri", f"data={shards}", f"run_dir={scratch / name}", *OURS] if own else [kind]
    python = litgpt_python if kind == "litgpt" else sys.executable
    command = [python, str(PEER), *words]
    return Runner(name, command, scratch, int(ranks or 1), tunables=TUNABLES if malloc else "")


def make_shards(folder: Path) -> Path:
    """Token shards of the sample corpus."""
    commands = {
        "corpus": ["recipe=sample", f"output={folder / 'corpus'}"],
        "tokenizer": [f"input={folder / 'corpus'}", f"output={folder / 'tokenizer'}", "vocab_size=1024"],
        "pack": [
            f"input={folder / 'corpus'}",
            f"tokenizer={folder / 'tokenizer'}",
            f"output={folder / 'tokens'}",
        ],
    }
    for command, words in commands.items():
        subprocess.run([sys.executable, str(ROOT / "scripts" / f"{command}.py"), *words], check=True)
    return folder / "tokens"


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--litgpt-python", default=sys.executable)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="onnuri-training-"))
    shards = make_shards(scratch)
    runners: list[Runner] = []
    try:
        for name in options.only:  # one after the other, each warm before the next starts
            runner = contender(name, scratch, shards, options.litgpt_python)
            for _ in range(options.warmup):
                runner.step()
            runner.steps.clear()
            runners.append(runner)
            print(f"{name} is ready", flush=True)
        for number in range(options.rounds):
            turn = number % len(runners)
            for runner in runners[turn:] + runners[:turn]:
                runner.step()
    finally:
        for runner in runners:
            runner.close()
    first = median(step["wall"] for step in runners[0].steps)
    print(f"{'':24}{'s/step':>9}{'(min)':>9}{'CPU s':>9}{'tokens/s':>10}{'MiB':>8}{'ratio':>8}")
    for runner in runners:
        wall = [step["wall"] for step in runner.steps]
        cpu, peak = (median(step[name] for step in runner.steps) for name in ("cpu", "mib"))
        middle = median(wall)
        print(
            f"{runner.name:24}{middle:9.2f}{min(wall):9.2f}{cpu:9.2f}{8192 / middle:10,.0f}{peak:8,.0f}"
            f"{middle / first:8.2f}"
        )


if __name__ == "__main__":
    main()
