"""What does a training step cost over a bare PyTorch loop on the same model?

    python benchmarks/framework_cost.py --models sample small --precisions fp32 bf16

Ours: all of scripts/pretrain.py on one rank, with ledger, metrics, progress bar, guard, watchdog, loader.
Bare: forward, sum, backward, clip, fused AdamW, with the same batches from memory, the same allocator
setting and threads; in bf16, a bf16 copy beside fp32 master weights.

Each is a process of its own and waits for its turn of a few steps, in changing order, so that whatever else
the machine does hits all alike. A step lasts from its start to the start of the next. Ratios are medians
over the turns. CPU seconds (all threads of the process) are the steadier measure on a machine that is
shared; with one thread, as two wait for each other by spinning. Losses are compared: all must do the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from onnuri.config import CONFIG_ROOT, compose

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("bare", "stage 0", "stage 3")
PARTS = ("forward", "backward", "optimizer", "guard", "reduce loss", "ledger", "metrics", "next batch")
"""What is timed within a step. The guard is a part of the optimizer's; batches are read in a thread."""
MODELS: dict[str, list[str]] = {
    "sample": ["experiment=sample"],
    "small": ["model=small", "model.vocab_size=16384", "train.global_batch_size=2"],
}
COMMON = [
    "optim=adamw",
    "schedule=constant",
    "schedule.warmup_steps=0",
    "train.validation_tokens=1",
    "train.validate_every=0",
    "train.checkpoint_every=0",
]


class Clock:
    """Seconds and CPU seconds of steps, CPU seconds of their parts; asks for leave every `turn` steps."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.steps: list[dict[str, float]] = []
        self._started = (0.0, 0.0)

    def start_step(self) -> None:
        """A step begins, and with it the one before ends."""
        now = (time.perf_counter(), time.process_time())
        if self.steps:
            self.steps[-1]["seconds"] = now[0] - self._started[0]
            self.steps[-1]["cpu"] = now[1] - self._started[1]
        if len(self.steps) % self.turn == 0:
            print("TURN", flush=True)
            sys.stdin.readline()
        self.steps.append(dict.fromkeys(PARTS, 0.0))
        self._started = (time.perf_counter(), time.process_time())

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, with its CPU seconds counted for `part`."""

        def measured(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                if self.steps:
                    self.steps[-1][part] += time.process_time() - started

        return measured

    def report(self, losses: list[float]) -> None:
        """Give the parent process all but the last step, which has no end."""
        print("MEASURED " + json.dumps({"steps": self.steps[:-1], "losses": losses}), flush=True)


def run_ours(words: list[str], turn: int) -> None:
    """scripts/pretrain.py, with a clock at its joints."""
    from onnuri.run.chain import Ledger
    from onnuri.run.metrics_file import read_metrics
    from onnuri.train import loop, record, run_start
    from onnuri.train.config import PretrainConfig
    from onnuri.train.guard import StepGuard
    from onnuri.train.metrics import Metrics
    from onnuri.train.run_plan import make_plan
    from onnuri.train.watchdog import Watchdog

    clock = Clock(turn)
    patched: Any = loop
    build, read, start = run_start.build_engine, patched.read_ahead, Watchdog.start_step

    def build_engine(plan: Any) -> Any:
        engine = build(plan)
        engine.forward = clock.timed("forward", engine.forward)
        engine.backward = clock.timed("backward", engine.backward)
        engine.step = clock.timed("optimizer", engine.step)
        return engine

    def read_ahead(*arguments: Any) -> Any:
        batches = read(*arguments)
        following = clock.timed("next batch", lambda: next(batches, None))
        while (inputs := following()) is not None:
            yield inputs

    def start_step(self: Watchdog, micro_batches: int = 1) -> None:
        clock.start_step()
        start(self, micro_batches)

    run_start.build_engine, patched.read_ahead = build_engine, read_ahead
    patched.StepTotals = clock.timed("reduce loss", loop.StepTotals)
    record.ledger_line = clock.timed("ledger", record.ledger_line)
    for owner, name, part in (
        (StepGuard, "accept", "guard"),
        (StepGuard, "finish_step", "guard"),
        (Ledger, "add", "ledger"),
        (Metrics, "log_step", "metrics"),
        (Watchdog, "start_step", ""),
    ):
        setattr(owner, name, clock.timed(part, getattr(owner, name)) if part else start_step)
    config = compose(PretrainConfig, words, CONFIG_ROOT, "pretrain")
    loop.train(make_plan(config))
    clock.report([line["loss"] for line in read_metrics(Path(config.run_dir)) if "loss" in line])


def run_bare(words: list[str], turn: int) -> None:
    """The loop that anyone would write."""
    import torch

    from onnuri.base.allocator import keep_freed_memory
    from onnuri.model.decoder import Decoder
    from onnuri.model.initialise import initialise
    from onnuri.tokens.loader import Loader
    from onnuri.train.config import PretrainConfig
    from onnuri.train.inputs import to_inputs
    from onnuri.train.run_plan import make_plan

    plan = make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "pretrain"))
    config, optim = plan.config, plan.config.optim
    keep_freed_memory()
    torch.set_num_threads(config.engine.threads_per_rank)
    loader = Loader(config.data, plan.data, config.train.global_batch_size, None)
    batches = []
    for step in range(config.train.steps):
        batch = loader.micro_batch(step, 0, 0, 1, config.train.global_batch_size)
        batches.append((to_inputs(batch, config.data, torch.device("cpu")), loader.num_targets(step)))

    model = Decoder(config.model)
    initialise(model, config.train.seed)
    masters = [torch.nn.Parameter(p.detach().clone()) for p in model.parameters()]
    copies = list(model.parameters())
    low = config.engine.precision == "bf16"
    if low:
        model.to(torch.bfloat16)
    named = zip([name for name, _ in model.named_parameters()], masters if low else copies, strict=True)
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, parameter in named:
        groups[name.endswith("norm.weight")].append(parameter)
    with_decay: dict[str, Any] = {"params": groups[False]}
    optimizer = torch.optim.AdamW(
        [with_decay, {"params": groups[True], "weight_decay": 0.0}],
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        fused=True,
    )
    clock, losses = Clock(turn), []

    def update() -> None:
        if low:
            for master, copy in zip(masters, copies, strict=True):
                assert copy.grad is not None
                master.grad, copy.grad = copy.grad.float(), None
        torch.nn.utils.clip_grad_norm_(masters if low else copies, optim.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        if low:
            with torch.no_grad():
                for master, copy in zip(masters, copies, strict=True):
                    copy.copy_(master)

    forward, update = clock.timed("forward", model), clock.timed("optimizer", update)
    for inputs, num_targets in batches:
        clock.start_step()
        loss = forward(*inputs, reduction="sum") / num_targets
        clock.timed("backward", loss.backward)()
        update()
        losses.append(loss.item())
    clock.report(losses)


def make_shards(folder: Path) -> Path:
    """The sample corpus, through the commands."""
    corpus, tokenizer, tokens = (folder / name for name in ("corpus", "tokenizer", "tokens"))
    for words in (
        ["corpus", "recipe=sample", f"output={corpus}"],
        ["tokenizer", f"input={corpus}", f"output={tokenizer}", "algorithm=bpe", "vocab_size=6144"],
        ["pack", f"input={corpus}", f"tokenizer={tokenizer}", f"output={tokens}"],
    ):
        command = [sys.executable, str(ROOT / "scripts" / f"{words[0]}.py"), *words[1:]]
        subprocess.run(command, check=True, capture_output=True)
    return tokens


class Worker:
    """A process that takes steps on request, with a terminal to draw its progress bar on."""

    def __init__(self, kind: str, words: list[str], turn: int) -> None:
        terminal, slave = os.openpty()
        words = [*words, f"engine.stage={0 if kind == 'bare' else kind[-1]}"]
        self.command = [sys.executable, __file__, "--worker", kind, "--turn", str(turn), "--words", *words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=slave, text=True)
        os.close(slave)
        self.shown = b""
        threading.Thread(target=self._drain, args=(terminal,), daemon=True).start()

    def _drain(self, terminal: int) -> None:
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
            while portion := os.read(terminal, 1 << 16):
                self.shown = self.shown[-4000:] + portion
        os.close(terminal)

    def wait_for(self, word: str) -> str:
        """The rest of the next line that begins with `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word)
        sys.exit(f"{' '.join(self.command)} failed:\n{self.shown.decode(errors='replace')[-2000:]}")

    def go(self) -> None:
        """Give leave for one turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


def measure(words: list[str], run_dirs: Path, turn: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Steps and losses of each kind; the first turn, which warms up, is left out of the steps."""
    words = [*words, f"train.steps={turn * (rounds + 1) + 1}"]
    workers = {
        kind: Worker(kind, [*words, f"run_dir={run_dirs / kind.replace(' ', '-')}"], turn) for kind in KINDS
    }
    for worker in workers.values():
        worker.wait_for("TURN")
    for number in range(rounds + 1):
        first = number % len(KINDS)
        for kind in KINDS[first:] + KINDS[:first]:
            workers[kind].go()
            workers[kind].wait_for("TURN")
    found = {}
    for kind, worker in workers.items():
        worker.go()
        found[kind] = json.loads(worker.wait_for("MEASURED "))
        worker.process.wait()
        found[kind]["steps"] = found[kind]["steps"][turn:]
    return found


def show(title: str, found: dict[str, dict[str, Any]], turn: int) -> None:
    """Two tables: the step, and its parts."""

    def turns(kind: str, name: str) -> list[float]:
        values = [step[name] for step in found[kind]["steps"]]
        return [median(values[at : at + turn]) for at in range(0, len(values), turn)]

    def compared(kind: str, name: str) -> str:
        bare = turns("bare", name)
        ratios = [ours / other for ours, other in zip(turns(kind, name), bare, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        return f"{median(turns(kind, name)):.4f} | {middle:.3f} ({low:.3f} to {high:.3f})"

    print(f"\n{title}, {len(turns('bare', 'cpu'))} turns of {turn} steps; in brackets the quartiles\n")
    print("| | s/step | ratio | CPU s/step | ratio | largest difference of a loss |")
    print("| --- | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        losses = zip(found[kind]["losses"], found["bare"]["losses"], strict=True)
        apart = max(abs(ours - bare) for ours, bare in losses)
        print(f"| {kind} | {compared(kind, 'seconds')} | {compared(kind, 'cpu')} | {apart:.1e} |")
    print(f"\n| CPU ms | {' | '.join(KINDS)} |\n| --- | --: | --: | --: |")
    for part in PARTS:
        times = [1e3 * median(step[part] for step in found[kind]["steps"]) for kind in KINDS]
        print(f"| {part} | {' | '.join(f'{value:.2f}' for value in times)} |", flush=True)


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--precisions", nargs="*", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--turn", type=int, default=5, help="steps at a time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--words", nargs="*", default=[], help="further options of scripts/pretrain.py")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run = run_bare if options.worker == "bare" else run_ours
        run(options.words, options.turn)
        sys.stdout.flush()
        os._exit(0)  # as scripts/pretrain.py does
    with tempfile.TemporaryDirectory() as scratch:
        tokens = make_shards(Path(scratch))
        for model in options.models:
            for precision in options.precisions:
                words = [f"data={tokens}", *MODELS[model], *COMMON, f"engine.precision={precision}"]
                words += [f"engine.threads_per_rank={options.threads}", *options.words]
                run_dirs = Path(scratch) / f"{model}-{precision}"
                found = measure(words, run_dirs, options.turn, options.rounds)
                show(f"{model}, {precision}, {options.threads} thread(s)", found, options.turn)


if __name__ == "__main__":
    main()
