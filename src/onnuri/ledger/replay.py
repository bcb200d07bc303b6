"""Run recorded steps again from a checkpoint and compare: did these weights come from this data and code?

On the same machine, versions and number of ranks the losses must be equal bit for bit; elsewhere within
TOLERANCE, as sums are then added up in another order.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnuri.base.copying import copy_contents
from onnuri.base.errors import UserError
from onnuri.base.provenance import environment
from onnuri.config.former_names import rename_stored
from onnuri.run.chain import last_of_each_step
from onnuri.run.checkpoints import FOLDER, list_checkpoints, step_of
from onnuri.run.metrics_file import read_metrics
from onnuri.run.run_file import RUN_FILE, unknown_options
from onnuri.train.config import PretrainConfig

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Of the loss, in nats, on other hardware, versions or numbers of ranks."""


def replay(run_dir: Path, lines: Sequence[dict[str, Any]], steps: int, data: str) -> Iterator[str]:
    """What differs between recorded steps and the same steps run again.

    Args:
        lines: the ledger.
        steps: how many to run again.
        data: where the shards are now, "" where they were.

    Raises UserError if no checkpoint has so many recorded steps after it that ran under one config, or if
    they cannot be run.
    """
    recorded, how = last_of_each_step(lines), _how_each_step_ran(lines)
    folders = list_checkpoints(run_dir)
    possible = {folder: _alike_after(step_of(folder), how) for folder in folders}
    folder = next((each for each in folders if possible[each] >= steps), None)
    if folder is None:
        most = max(possible.values(), default=0)
        raise UserError(
            f"no checkpoint of {run_dir} has {steps} recorded steps of one config after it; "
            + (f"replay={most} can be run" if most else "older ones are kept by train.keep_checkpoints")
        )
    first = step_of(folder)
    began_with = json.loads(how[first + 1])
    began_with["config"] = rename_stored(began_with["config"])
    if unknown := unknown_options(PretrainConfig, began_with["config"]):
        raise UserError(
            f"{run_dir} was trained with the option {unknown[0]}, which this version does not know: replay "
            "with the version of Onnuri that trained it"
        )
    with tempfile.TemporaryDirectory(prefix="onnuri-replay-") as scratch:
        copy = Path(scratch) / "run"
        copy_contents(folder, copy / FOLDER / folder.name)
        for line in lines:
            if line["event"] == "file":
                (copy / line["path"]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run_dir / line["path"], copy / line["path"])
        facts = json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))
        facts["config"] = began_with["config"]
        facts["config"]["run_dir"], facts["config"]["tracker"]["name"] = str(copy), "none"
        facts["config"]["data"]["path"] = data or facts["config"]["data"]["path"]
        (copy / RUN_FILE).write_text(json.dumps(facts), encoding="utf-8")
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
        words = [str(began_with["world_size"]), "-m", "onnuri.ledger.replay", str(copy), str(first + steps)]
        result = run([*launcher, *words])
        if result.returncode:
            reason = [line for line in result.stderr.splitlines() if "rror" in line] or ["no reason given"]
            raise UserError(f"the steps after {folder.name} cannot be run again: {reason[0]}")
        losses = {line["step"]: line["loss"] for line in read_metrics(copy) if "loss" in line}
    tolerance = 0.0 if environment() == began_with["environment"] else TOLERANCE
    steps_run = f"steps {first + 1} to {first + steps}"
    log.info(f"ran {steps_run} again from {folder.name}, allowed difference {tolerance:g}")
    for step in range(first + 1, first + steps + 1):
        number, line = recorded[step]
        found, wanted = losses.get(step), line["loss"]
        if found != wanted and (None in (found, wanted) or abs(found - wanted) > tolerance):
            yield f"step {step} has loss {found} when run again, ledger.jsonl line {number} says {wanted}"


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with what it prints."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _how_each_step_ran(lines: Sequence[dict[str, Any]]) -> dict[int, str]:
    """By step: config, number of ranks and environment, as JSON, without steps that were given up: the run
    went back behind them, and has not reached them again."""
    how = ""
    ran: dict[int, str] = {}
    for line in lines:
        while ran and line["event"] in ("start", "resume", "step") and next(reversed(ran)) > line["step"]:
            ran.popitem()
        if line["event"] in ("start", "resume"):
            how = json.dumps({name: line[name] for name in ("config", "world_size", "environment")})
        elif line["event"] == "step":
            ran[line["step"]] = how
    return ran


def _alike_after(first: int, how: Mapping[int, str]) -> int:
    """How many steps after this one ran alike."""
    step = first + 1
    while step in how and how[step] == how[first + 1]:
        step += 1
    return step - first - 1


def main() -> int:
    """One rank of a replay: RUN_DIR LAST_STEP."""
    from omegaconf import OmegaConf

    from onnuri.train.loop import train
    from onnuri.train.run_plan import make_plan

    stored = json.loads((Path(sys.argv[1]) / RUN_FILE).read_text(encoding="utf-8"))
    config: Any = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(PretrainConfig), stored["config"])
    )
    return train(replace(make_plan(config), replay_until=int(sys.argv[2])))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # as scripts/pretrain.py does: threads of gloo sometimes abort an orderly exit
