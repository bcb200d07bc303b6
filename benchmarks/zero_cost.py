"""What does ZeRO-3 cost over ZeRO-1 on the host: wall time, Python calls, operators, messages, waits?

    python benchmarks/zero_cost.py                                # stages 1 and 3, one and two ranks
    python benchmarks/zero_cost.py --stages 3 --ranks 1 --sites   # and where the host waits

The whole loop of scripts/pretrain.py runs on CPUs with the settings of GPUs. DeepSpeed believes that the
device has streams, which do nothing; each `synchronize` is a place where a GPU run waits. Reads of tensors
by the host are counted too: on CPUs they are free, on a GPU each waits for what was launched before. Time
is the median over a few steps; the counts are of one step each.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import itertools
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from onnuri.config import CONFIG_ROOT, compose

ROOT = Path(__file__).resolve().parents[1]
WORDS = (
    "model=small optim=adamw model.vocab_size=16384 data.sequence_length=128 train.global_batch_size=4 "
    "engine.micro_batch_size=1 engine.precision=bf16 engine.compile=off engine.threads_per_rank=1 "
    "train.validate_every=0 train.checkpoint_every=0 train.validation_tokens=1 guard.straggler_every=0"
)
TIMED, CALLS, OPERATORS, SITES, STEPS = range(4, 12), 12, 13, 14, 15
"""Steps that are timed, under cProfile, under torch's profiler, and searched for reads by the host."""
waits: Counter[str] = Counter()


class Stream:
    """A CUDA stream as DeepSpeed uses one; nothing runs on it."""

    made: ClassVar[list[str]] = []

    def __init__(self, name: str = "") -> None:
        self.name = name or f"side stream {len(self.made)}"
        self.made.append(self.name)

    def synchronize(self) -> None:
        """Where a host would wait."""
        waits[f"{self.name}: {caller(2)}"] += 1

    def wait_stream(self, stream: Stream) -> None:
        """Device waits for device."""

    def wait_event(self, event: Event) -> None:
        """Device waits for device."""


class Event(Stream):
    """A CUDA event that has always happened."""

    def __init__(self, **_: Any) -> None:
        self.name = "event"

    def record(self, stream: Stream | None = None) -> None:
        """Note it."""

    def query(self) -> bool:
        """It has happened."""
        return True


def caller(depth: int) -> str:
    """File and line of the nearest caller that is not torch's or this file's."""
    for frame in reversed(traceback.extract_stack()[: -depth + 1]):
        if "/torch/" not in frame.filename and not frame.filename.endswith(Path(__file__).name):
            return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"
    return "?"


def pretend_streams() -> None:
    """Let DeepSpeed take its ways for a device that works on its own."""
    import torch
    from deepspeed.accelerator import get_accelerator

    compute, kind = Stream("compute stream"), type(get_accelerator())
    running = [compute]

    @contextlib.contextmanager
    def run_on(_: Any, stream: Stream) -> Iterator[None]:
        running.append(stream)
        yield
        running.pop()

    kind.is_synchronized_device = lambda self: False
    kind.Stream = lambda self: Stream()
    kind.Event = property(lambda self: Event)
    kind.stream = run_on
    kind.current_stream = lambda self, device_index=None: running[-1]
    kind.default_stream = lambda self, device_index=None: compute
    kind.synchronize = lambda self, device_index=None: waits.update([f"device: {caller(2)}"])
    torch.Tensor.record_stream = lambda self, stream: None  # type: ignore[method-assign, assignment]


def worker(folder: Path, words: list[str]) -> None:
    """One rank: the loop, looked at step by step."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from onnuri.train import engine, loop, run_start
    from onnuri.train.config import PretrainConfig
    from onnuri.train.run_plan import make_plan
    from onnuri.train.watchdog import Watchdog

    class Reads(TorchDispatchMode):
        """Counts where the host reads a value."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._local_scalar_dense.default:
                sites[caller(2)] += 1
            return func(*args, **(kwargs or {}))

    plan = make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "pretrain"))
    settings, build, start_step = engine.deepspeed_config, run_start.build_engine, Watchdog.start_step
    found: dict[str, Any] = {}
    marks, sites, step = [], Counter[str](), 0
    calls, operators, reads = cProfile.Profile(), torch.profiler.profile(record_shapes=False), Reads()
    tolist, to_cpu = torch.Tensor.tolist, torch.Tensor.cpu

    def settings_of_gpus(*given: Any) -> dict[str, Any]:
        return settings(*given[:5], True)  # type: ignore[call-arg]

    def build_with_streams(plan: Any) -> Any:
        pretend_streams()
        return build(plan)

    def next_step(self: Watchdog, micro_batches: int = 1) -> None:
        nonlocal step
        if step == CALLS:
            calls.disable()
        if step == OPERATORS:
            operators.stop()
            found["operators"] = {
                event.key: event.count for event in operators.key_averages() if "::" in event.key
            }
        if step == SITES:
            reads.__exit__(None, None, None)
            torch.Tensor.tolist, torch.Tensor.cpu = tolist, to_cpu  # type: ignore[method-assign]
            found["waits"], found["reads"] = dict(waits), dict(sites)
        step += 1
        if step in (*TIMED, TIMED.stop):
            marks.append((time.perf_counter(), time.process_time()))
        if step == CALLS:
            calls.enable()
        if step == OPERATORS:
            operators.start()
        if step == SITES:
            waits.clear()
            torch.Tensor.tolist = lambda self: (sites.update([caller(2)]), tolist(self))[1]  # type: ignore[method-assign]
            torch.Tensor.cpu = lambda self: (sites.update([caller(2) + " (copy)"]), to_cpu(self))[1]  # type: ignore[method-assign, assignment, misc]
            reads.__enter__()
        start_step(self, micro_batches)

    engine.deepspeed_config = settings_of_gpus  # type: ignore[assignment]
    run_start.build_engine, Watchdog.start_step = build_with_streams, next_step  # type: ignore[method-assign]
    loop.train(plan)
    for place, name in enumerate(("seconds", "cpu")):
        found[name] = median(after[place] - before[place] for before, after in itertools.pairwise(marks))
    found["python calls"] = pstats.Stats(calls).total_calls  # type: ignore[attr-defined]
    if plan.ranks.is_lead:
        (folder / "found.json").write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # as scripts/pretrain.py does


def count(operators: dict[str, int], *parts: str) -> int:
    """Calls of the operators whose names begin so."""
    return sum(number for name, number in operators.items() if name.startswith(parts))


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--stages", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--sites", action="store_true", help="show where the host waits and reads")
    parser.add_argument("--words", nargs="*", default=[], help="further options of scripts/pretrain.py")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(Path(options.worker), options.words)
    from framework_cost import make_shards  # type: ignore[import-not-found]

    names = ("s/step", "CPU s", "Python calls", "operators", "copies", "allocations", "messages")
    print("| ranks | stage | " + " | ".join((*names, "waits", "reads")) + " |")
    print("| --- | --- " + "| --: " * 9 + "|")
    with tempfile.TemporaryDirectory() as scratch:
        tokens = make_shards(Path(scratch))
        for ranks in options.ranks:
            for stage in options.stages:
                run_dir = Path(scratch) / f"{ranks}-{stage}"
                words = [*WORDS.split(), f"engine.stage={stage}", f"data={tokens}", f"run_dir={run_dir}"]
                words += [f"train.steps={STEPS}", *options.words]
                command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
                command += [f"--nproc_per_node={ranks}", __file__, "--worker", scratch, "--words", *words]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
                found = json.loads((Path(scratch) / "found.json").read_text())
                operators = found["operators"]
                print(
                    f"| {ranks} | {stage} | {found['seconds']:.3f} | {found['cpu']:.3f} | "
                    f"{found['python calls']:,} | "
                    f"{count(operators, 'aten::'):,} | {count(operators, 'aten::copy_'):,} | "
                    f"{count(operators, 'aten::empty'):,} | {count(operators, 'c10d::')} | "
                    f"{sum(found['waits'].values())} | {sum(found['reads'].values())} |",
                    flush=True,
                )
                if options.sites:
                    for kind in ("waits", "reads"):
                        for site, number in sorted(found[kind].items(), key=lambda item: -item[1]):
                            print(f"    {kind} {number:4} {site}")


if __name__ == "__main__":
    main()
