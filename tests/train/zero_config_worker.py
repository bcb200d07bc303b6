"""One rank of test_zero_config.py: losses under the settings of CPUs or of GPUs, all computed on CPUs.

Run by torchrun as: zero_config_worker.py OUTPUT_FOLDER cpu|gpu OVERRIDE...
Four steps; then a forward pass without a backward one, as in a validation; then the state before the steps
is loaded, as by a rollback, and they are taken once more.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from onnuri.checkpoint import zero_state
from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel import step_gate
from onnuri.parallel.process_group import start_process_group
from onnuri.parallel.zero_config import deepspeed_config
from onnuri.tokens.loader import Loader
from onnuri.train import engine as building
from onnuri.train.config import PretrainConfig
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import make_plan

STEPS = 4
gpu = sys.argv[2] == "gpu"
building.deepspeed_config = lambda *given: deepspeed_config(*given[:5], gpu)
config = compose(PretrainConfig, sys.argv[3:], CONFIG_ROOT, "pretrain")
plan = make_plan(config)
config = plan.config
device = start_process_group(config.engine)
engine = building.build_engine(plan)
loader = Loader(config.data, plan.data, config.train.global_batch_size, None)
norms: list[float] = []
step_gate.install(engine, lambda norm: norms.append(norm) is None, config.optim.gradient_clipping)
whole: list[int] = []


def run(steps: int) -> list[float]:
    """Losses of the first steps."""
    losses, batches = [], read_ahead(loader, plan, 0, device)
    for step in range(steps):
        for group in engine.optimizer.param_groups:
            group["lr"] = config.optim.lr
        total = torch.zeros(())
        for inputs in itertools.islice(batches, plan.accumulation):
            loss = engine(*inputs, reduction="sum") / loader.num_targets(step)
            engine.backward(loss * plan.ranks.dp_size, scale_wrt_gas=False)
            whole.append(sum(parameter.numel() for parameter in engine.module.parameters()))
            engine.step()
            total += loss.detach()
        torch.distributed.all_reduce(total)
        losses.append(float(total))
    batches.close()
    return losses


before: dict[str, Any] = {
    name: piece._replace(values=piece.values.clone())
    for name, piece in zero_state.load_target(engine).items()
}
first = run(STEPS)
with torch.no_grad():
    engine(*next(read_ahead(loader, plan, 0, device)))
for name, piece in zero_state.load_target(engine).items():
    piece.values.copy_(before[name].values)
zero_state.after_load(engine, 0)
again = run(STEPS)
facts = {"losses": first, "again": again, "norms": norms, "whole": whole}
facts["parameters"] = sum(getattr(p, "ds_numel", p.numel()) for p in engine.module.parameters())
Path(sys.argv[1], f"rank-{plan.ranks.rank}.json").write_text(json.dumps(facts))
torch.distributed.barrier()
torch.distributed.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # as scripts/pretrain.py ends: threads of gloo sometimes abort an orderly exit
