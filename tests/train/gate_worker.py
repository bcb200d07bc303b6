"""What the step gate does with a DeepSpeed that has renamed something.

Run as: gate_worker.py TRIALS OVERRIDE...; TRIALS are JSON: [["STAGE PRECISION OVERRIDE...", [WORD, ...]]].

Each trial is a fork that renames one word in all of DeepSpeed's sources, as a release might, and trains
three steps, the second with a gradient that is not a number. Prints a line a trial: stage, precision, word
and what came of it.
"""

import inspect
import json
import math
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import deepspeed.runtime.superoffload.superoffload_stage3  # noqa: F401 - DeepSpeed imports it late
import torch

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel import step_gate
from onnuri.parallel.process_group import start_process_group
from onnuri.parallel.zero_layout import local_shards
from onnuri.train import engine as building
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan


def rename(word: str) -> None:
    """Rename a word in DeepSpeed wherever it stands, and whatever was imported from there."""
    modules = [module for name, module in sys.modules.items() if name.startswith("deepspeed")]
    replaced: dict[int, Any] = {}
    kept = []
    for module in modules:
        path = Path(getattr(module, "__file__", None) or "none.so")
        source = path.read_text(encoding="utf-8") if path.suffix == ".py" else ""
        renamed = re.sub(rf"\b{word}\b", f"{word}_renamed", source)
        if renamed == source:
            continue
        before = dict(vars(module))
        kept.append(before)  # else another object could get the identity of one of these
        exec(compile(renamed, str(path), "exec"), vars(module))
        vars(module).pop(word, None)
        for name, old in before.items():
            now = vars(module).get(name)
            mine = getattr(old, "__module__", None) == module.__name__
            if now is not old and mine and (inspect.isclass(old) or inspect.isfunction(old)):
                replaced[id(old)] = now
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, name, replaced[id(value)])


def train(words: list[str]) -> str:
    """Three steps; "guarded" if the second left no trace and was asked about."""
    config = compose(PretrainConfig, words, CONFIG_ROOT, "pretrain")
    plan = make_plan(config)
    config = plan.config
    start_process_group(config.engine)
    engine = building.build_engine(plan)
    norms: list[float] = []

    def accept(norm: float) -> bool:
        norms.append(norm)
        return 0 <= norm < math.inf

    step_gate.install(engine, accept, 1.0)
    bad = [False]
    down = engine.module.blocks[0].ffn.down.weight
    down.register_hook(lambda value: value * math.nan if bad[0] else value)
    states = []
    for number in range(3):
        bad[0] = number == 1
        for _ in range(plan.accumulation):
            tokens = torch.randint(0, 500, (plan.micro_batch_size, 65))
            loss = engine(tokens[:, :-1], tokens[:, 1:], reduction="sum") / 1000
            engine.backward(loss, scale_wrt_gas=False)
            engine.step()
        states.append(torch.cat([each.master.detach().flatten().clone() for each in local_shards(engine)]))
    first, second, third = states
    taken_well = torch.equal(first, second) and not torch.equal(second, third)
    return "guarded" if taken_well and third.isfinite().all() and len(norms) >= 2 else "SILENT"


def trial(setting: str, word: str) -> None:
    """One fork."""
    if os.fork():
        os.wait()
        return
    stage, precision, *more = setting.split()
    words = [
        *sys.argv[2:],
        f"engine.stage={stage}",
        f"engine.precision={precision}",
        "engine.threads_per_rank=1",
        *more,
    ]
    try:
        if word:
            rename(word)
        result = train(words)
    except UserError as error:
        result = f"refused: {error}"
    except BaseException:
        result = "traceback: " + traceback.format_exc().replace("\n", " | ")
    print(f"TRIAL {setting}: {word or 'nothing'}: {result}", flush=True)
    os._exit(0)


for each, renamed_words in json.loads(sys.argv[1]):
    for one in renamed_words:
        trial(each, one)
