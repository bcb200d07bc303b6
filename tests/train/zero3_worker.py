"""One rank of test_engine.py: what this rank holds under ZeRO-3, and the losses of a few steps.

Run by torchrun as: zero3_worker.py OUTPUT_FOLDER OVERRIDE...
"""

import itertools
import json
import os
import sys
from pathlib import Path

import torch

from onnuri.config import CONFIG_ROOT, compose
from onnuri.kernels import Kernels
from onnuri.model.decoder import Decoder
from onnuri.model.initialise import initialise
from onnuri.parallel.process_group import start_process_group
from onnuri.tokens.loader import Loader
from onnuri.train.config import PretrainConfig
from onnuri.train.engine import build_engine
from onnuri.train.inputs import to_inputs
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import make_plan

STEPS = 5


def plain_losses(config: PretrainConfig, loader: Loader, kernels: Kernels) -> list[float]:
    """The same steps by an unsharded model and torch's own AdamW on whole batches."""
    model = Decoder(config.model, kernels)
    initialise(model, config.train.seed)
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if p.dim() > 1], "weight_decay": config.optim.weight_decay},
        {"params": [p for n, p in named.items() if p.dim() == 1], "weight_decay": 0.0},
    ]
    betas = (config.optim.beta1, config.optim.beta2)
    optimizer = torch.optim.AdamW(groups, lr=config.optim.lr, betas=betas, eps=config.optim.eps)
    losses = []
    for step in range(STEPS):
        batch = loader.rows(step, 0, config.train.global_batch_size)
        inputs = to_inputs(batch, config.data, torch.device("cpu"))
        loss = model(*inputs, reduction="sum") / loader.num_targets(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optim.gradient_clipping)
        optimizer.step()
        losses.append(float(loss))
    return losses


def main() -> None:
    """Write what this rank found to OUTPUT_FOLDER/rank-N.json."""
    config = compose(PretrainConfig, sys.argv[2:], CONFIG_ROOT, "pretrain")
    plan = make_plan(config)
    config = plan.config
    start_process_group(config.engine)
    engine = build_engine(plan)
    loader = Loader(config.data, plan.data, config.train.global_batch_size, None)
    losses, batches = [], read_ahead(loader, plan, 0, torch.device("cpu"))
    for step in range(STEPS):
        for group in engine.optimizer.param_groups:
            group["lr"] = config.optim.lr
        total = torch.zeros(())
        for inputs in itertools.islice(batches, plan.accumulation):
            loss = engine(*inputs, reduction="sum") / loader.num_targets(step)
            engine.backward(loss * plan.ranks.dp_size, scale_wrt_gas=False)
            engine.step()
            total += loss.detach()
        torch.distributed.all_reduce(total)
        losses.append(float(total))
    masters = list(engine.optimizer.fp32_partitioned_groups_flat)
    inner = engine.optimizer.optimizer.state
    facts = {
        "stage": engine.zero_optimization_stage(),
        "parameters": sum(p.ds_numel for p in engine.module.parameters()),
        "whole_on_this_rank": sum(p.numel() for p in engine.module.parameters()),
        "piece_on_this_rank": sum(p.ds_tensor.numel() for p in engine.module.parameters()),
        "master": sum(m.numel() for m in masters),
        "master_dtypes": sorted({str(m.dtype) for m in masters}),
        "exp_avg": sum(inner[m]["exp_avg"].numel() for m in masters),
        "exp_avg_sq": sum(inner[m]["exp_avg_sq"].numel() for m in masters),
        "exp_avg_is_used": min(float(inner[m]["exp_avg"].abs().sum()) for m in masters),
        "losses": losses,
    }
    if plan.ranks.rank == 0:
        facts["plain_losses"] = plain_losses(config, loader, engine.kernels)
    Path(sys.argv[1], f"rank-{plan.ranks.rank}.json").write_text(json.dumps(facts))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # as scripts/pretrain.py ends: threads of gloo sometimes abort an orderly exit


main()
