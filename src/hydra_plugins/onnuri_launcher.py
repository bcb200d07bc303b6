"""The launcher of sweeps (`-m`): each job is a process of its own, or as many ranks as the command has.

A job is started as the same words would start it alone, so it computes the same bits. Under torchrun every
rank runs Hydra's sweeper, global rank 0 decides the jobs, and one rank on each node starts torchrun for
them; the others wait at the store of the first torchrun, which takes no CPU time.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf, open_dict

from onnuri.base.errors import JobsFailed
from onnuri.base.lifetime import bound
from onnuri.config.start_time import agent_store
from onnuri.config.words import quoted
from onnuri.run.lock import die_with_launcher

NOT_OF_A_JOB = ("hydra.mode=", "hydra.run.", "hydra.sweep", "hydra/sweep", "hydra.launch", "hydra/launch")
"""Words about the sweep, which its jobs do not get."""
OF_THE_RANKS = ("RANK", "LOCAL_", "GROUP_", "ROLE_", "WORLD_SIZE", "MASTER_", "TORCHELASTIC_")
"""Variables that torchrun sets."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
FOR_EVER = timedelta(days=365)


@dataclass
class ProcessLauncherConf:
    """`hydra/launcher=processes`, the default."""

    _target_: str = "hydra_plugins.onnuri_launcher.ProcessLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="processes", node=ProcessLauncherConf, provider="onnuri"
)


@dataclass
class Job:
    """One job of a sweep."""

    number: int
    config: Any
    words: list[str]
    """Those in which it differs from the other jobs."""
    command: list[str]
    """Arguments of Python."""
    folder: str
    """Output directory."""


class JobEnd(JobReturn):
    """How a job ended. Hydra's own would print three lines for a failed one."""

    @property
    def return_value(self) -> Any:
        """What the sweeper makes small. Raises JobsFailed for a failed job."""
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value


class ProcessLauncher(Launcher):
    """Runs the jobs one after another."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Called by Hydra."""
        self.loader, self.command, self.config = hydra_context.config_loader, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs and report the failed ones; the sweeper learns of them at the end."""
        jobs = [self._job(words, initial_job_idx + index) for index, words in enumerate(job_overrides)]
        if len(jobs) > 1:
            same = set(jobs[0].words).intersection(*(job.words for job in jobs))
            for job in jobs:
                job.words = [word for word in job.words if word not in same]
        if "TORCHELASTIC_RUN_ID" in os.environ:
            statuses = run_under_torchrun(jobs)
        else:
            statuses = [run(job, [sys.executable, *job.command]) for job in jobs]
        failed = [str(job.number) for job, status in zip(jobs, statuses, strict=True) if status]
        failure = JobsFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(failed)}")
        return [self._end(job, status, failure) for job, status in zip(jobs, statuses, strict=True)]

    def _job(self, overrides: Sequence[str], number: int) -> Job:
        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        sweep_dir = str(Path(str(self.config.hydra.sweep.dir)).absolute())
        folder = str(Path(sweep_dir) / str(config.hydra.sweep.subdir))
        own = {"run.dir": folder, "sweep.dir": sweep_dir, "job.id": str(number)}
        hydra = [word for word in self.config.hydra.overrides.hydra if not word.startswith(NOT_OF_A_JOB)]
        hydra += [f"hydra.{key}={quoted(value)}" for key, value in own.items()]
        hydra.append(f"hydra.job.num={number}")
        command = [*self.command.program, *self.command.flags_of_a_job, *overrides, *hydra]
        return Job(number, config, list(filter_overrides(overrides)), command, folder)

    def _end(self, job: Job, status: int, failure: JobsFailed) -> JobEnd:
        end = JobEnd(overrides=job.words, cfg=job.config, task_name=job.config.hydra.job.name)
        if status:
            end.status, end._return_value = JobStatus.FAILED, failure
            return end
        end.status = JobStatus.COMPLETED
        if self.command.objective:
            HydraConfig.instance().set_config(job.config)
            run_dir = OmegaConf.select(job.config, "run_dir") or job.folder
            end._return_value = self.command.objective(run_dir)
        return end


def run(job: Job, command: Sequence[str]) -> int:
    """Run one job to its end and return its status. A signal to the sweep goes to the job and ends both."""
    print(f"job {job.number}: {' '.join(job.words)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_RANKS)}
    received: list[int] = []
    with subprocess.Popen(bound(command), env=environment, start_new_session=True) as process:

        def forward(number: int, frame: Any) -> None:
            received.append(number)
            process.send_signal(number)

        before = {number: signal.signal(number, forward) for number in FORWARDED}
        status = process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        sys.exit(128 + received[0])
    if status:
        shown = f"job {job.number} failed with exit status {status}: {' '.join(job.words)}"
        print(shown, file=sys.stderr, flush=True)
    return status


def run_under_torchrun(jobs: Sequence[Job]) -> list[int]:
    """Run jobs with the ranks of this torchrun, on all its nodes. Returns their statuses, on every rank."""
    die_with_launcher()
    environment = os.environ
    store, key = agent_store(), f"onnuri/jobs/{environment['TORCHELASTIC_RESTART_COUNT']}/{jobs[0].number}"
    ranks, nodes = environment["LOCAL_WORLD_SIZE"], int(environment["GROUP_WORLD_SIZE"])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", ranks]
    launcher += ["--max-restarts", environment["TORCHELASTIC_MAX_RESTARTS"]]
    statuses: list[int] = []
    if environment["LOCAL_RANK"] == "0":
        node = int(environment["GROUP_RANK"])
        for index, job in enumerate(jobs):
            if node == 0:
                store.set(f"{key}/{index}", json.dumps([job.words, job.command, free_port()]))
            store.wait([f"{key}/{index}"], FOR_EVER)
            job.words, job.command, port = json.loads(store.get(f"{key}/{index}"))
            meeting = ["--nnodes", str(nodes), "--node-rank", str(node)]
            meeting += ["--master-addr", environment["MASTER_ADDR"], "--master-port", str(port)]
            status = run(job, [*launcher, *(meeting if nodes > 1 else ["--standalone"]), *job.command])
            store.set(f"{key}/{index}/{node}", str(status))
            keys = [f"{key}/{index}/{each}" for each in range(nodes)]
            store.wait(keys, FOR_EVER)
            statuses.append(next((status for each in keys if (status := int(store.get(each)))), 0))
        if node == 0:
            store.set(f"{key}/statuses", json.dumps(statuses))
    store.wait([f"{key}/statuses"], FOR_EVER)
    return json.loads(store.get(f"{key}/statuses"))


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]
