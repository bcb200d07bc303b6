"""One rank of test_compile.py: which weights are alive between a forward and its backward pass, by block.

Run by torchrun as: live_weights_worker.py OUTPUT_FOLDER OVERRIDE...
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel.process_group import start_process_group
from onnuri.tokens.loader import Loader
from onnuri.train.config import PretrainConfig
from onnuri.train.engine import build_engine
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import make_plan

STEPS = 3
config = compose(PretrainConfig, sys.argv[2:], CONFIG_ROOT, "pretrain")
plan = make_plan(config)
config = plan.config
device = start_process_group(config.engine)
engine = build_engine(plan)
storages: dict[int, list[int]] = {}


def watch(number: int, block: Any) -> None:
    """Remember, without holding them, the storages of a block's gathered matrices."""
    forward = block.forward

    def watched(*inputs: Any) -> Any:
        out = forward(*inputs)
        matrices = [parameter for parameter in block.parameters() if parameter.dim() == 2]
        assert all(matrix.numel() for matrix in matrices)
        storages[number] = [matrix.untyped_storage()._weak_ref() for matrix in matrices]
        return out

    block.forward = watched


for place, each in enumerate(engine.module.blocks):
    watch(place, each)
batches = read_ahead(Loader(config.data, plan.data, 8, None), plan, 0, device)
alive: list[int] = []
for _ in range(STEPS):  # DeepSpeed learns in the first how the modules follow each other
    loss = engine(*next(batches), reduction="sum") / 100
    alive = [n for n, weak in storages.items() if not all(torch.UntypedStorage._expired(w) for w in weak)]
    engine.backward(loss, scale_wrt_gas=False)
    engine.step()
Path(sys.argv[1], f"rank-{plan.ranks.rank}.json").write_text(json.dumps(alive))
torch.distributed.barrier()
torch.distributed.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # as scripts/pretrain.py ends: threads of gloo sometimes abort an orderly exit
