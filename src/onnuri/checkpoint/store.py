"""Checkpoint folders of a run: written beside their place, hashed, renamed, and verified before use.

RUN_DIR/checkpoints/step-0000200/ holds safetensors shards written by torch.distributed.checkpoint (no
pickle anywhere) and a manifest. A folder with that name is complete; anything else is ignored.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from onnuri import manifest
from onnuri.checkpoint.listing import FOLDER, list_checkpoints


def save(
    run_dir: Path, step: int, tensors: dict[str, torch.Tensor], state: dict[str, Any], keep: int
) -> Path:
    """Write the checkpoint of `step` from all ranks. A collective call.

    Args:
        tensors: DTensors over all ranks; each rank writes its own pieces.
        state: JSON values to restore besides tensors; the manifest carries them as counts.
        keep: number of newest checkpoints that stay, 0 for all.

    Returns:
        The finished folder. On every rank it is complete and durable when this returns.
    """
    final = run_dir / FOLDER / f"step-{step:07d}"
    partial = final.with_name(final.name + ".partial")
    if dist.get_rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = dcp.HuggingFaceStorageWriter(str(partial), save_distributed=True)
        dcp.save(tensors, storage_writer=writer)
    dist.barrier()
    if dist.get_rank() == 0:
        manifest.seal(partial, "checkpoint", {"step": step}, {}, state)
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
        manifest.sync(final.parent)
        for old in list_checkpoints(run_dir)[keep:] if keep else []:
            shutil.rmtree(old)
    dist.barrier()
    return final


def load(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Fill `tensors` in place from a checkpoint, whatever world size wrote it.

    A collective call when a process group exists, a plain read otherwise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = dcp.HuggingFaceStorageReader(str(folder))
        dcp.load(tensors, storage_reader=reader, no_dist=not dist.is_initialized())
