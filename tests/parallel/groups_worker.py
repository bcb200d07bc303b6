"""One rank of test_groups.py: sums ranks over each group. Run by torchrun as: groups_worker.py FOLDER."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from onnuri.base import process
from onnuri.parallel.ranks import Ranks

own = process.from_environment()
dist.init_process_group("gloo")
ranks = Ranks(own.rank, own.world_size, sp_size=2, ep_size=2)
groups, sums = ranks.groups(), {}
for name in ("dp", "sp", "ep"):
    total = torch.tensor(ranks.rank)
    dist.all_reduce(total, group=getattr(groups, name))
    sums[name] = int(total)
Path(sys.argv[1], f"rank-{ranks.rank}.json").write_text(json.dumps(sums))
dist.destroy_process_group()
