"""Daft, set up for this house: worker processes that take units through a pass, here or on a Ray cluster.

A row of the data frame is the number of a unit. Workers read the unit's files themselves and leave a file
for it in the corpus folder, so no text passes through the driver: on a cluster the folder (and local input)
must lie on storage that all nodes see. Processes, not threads, because NumPy and regular expressions hold
the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, system_error
from onnuri.corpus.execution import pipeline, store
from onnuri.corpus.execution.units import Unit
from onnuri.corpus.reading.raw_text import merged
from onnuri.corpus.reading.readers import read
from onnuri.corpus.recipe import Recipe

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DAFT_PROGRESS_BAR"] = "0"

import daft
from daft import DataType, Series, col

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Job:
    """What every worker knows: where to write, what to do, and all units."""

    folder: str
    recipe: Recipe
    units: tuple[Unit, ...]


class Worker:
    """Takes units through a pass, one after the other, in a process of its own."""

    def __init__(self, job: Job, driver: int) -> None:
        self.job = job
        if os.getpid() == driver:
            return
        keep_freed_memory()
        os.environ["OMP_NUM_THREADS"] = "1"
        import pyarrow as pa

        pa.set_cpu_count(1)
        if os.getppid() == driver:
            threading.Thread(target=_die_with, args=(driver,), daemon=True).start()

    @daft.method.batch(return_dtype=DataType.string(), batch_size=1)
    def first_pass(self, numbers: Series) -> list[str]:
        """Read units and take them through the stages of the first pass."""
        return [self._facts(self._first_pass, number) for number in numbers.to_pylist()]

    def _first_pass(self, number: int) -> dict[str, int]:
        recipe = self.job.recipe
        pieces = self.job.units[number].pieces
        rank = pieces[0].source  # all of a unit are of one source
        source = recipe.sources[rank]
        raw = merged(read(pieces, source, recipe.max_document_bytes))
        tables = (pipeline.first_pass(batch, source, rank, recipe) for batch in raw)
        folder = Path(self.job.folder)
        if pipeline.comparison(recipe):
            return {"unit": number, **store.stage(folder, number, tables)}
        return {"unit": number, **store.finish(folder, number, tables, recipe)}

    @daft.method.batch(return_dtype=DataType.string(), batch_size=1)
    def compare(self, once: Series) -> list[str]:
        """Find the copies among all staged units."""
        return [self._facts(self._compare, number) for number in once.to_pylist()]

    def _compare(self, number: int) -> dict[str, int]:
        folder = Path(self.job.folder)
        staged = [store.staged_path(folder, unit.number) for unit in self.job.units]
        if found := pipeline.comparison(self.job.recipe):
            chosen, how = found
            how.decide(staged, chosen.options, folder / "staging")
        return {"unit": number}

    @daft.method.batch(return_dtype=DataType.string(), batch_size=1)
    def second_pass(self, numbers: Series) -> list[str]:
        """Take staged units to their end."""
        return [self._facts(self._second_pass, number) for number in numbers.to_pylist()]

    def _second_pass(self, number: int) -> dict[str, int]:
        folder, recipe = Path(self.job.folder), self.job.recipe
        tables = (pipeline.second_pass(*each, recipe) for each in store.judged(folder, number))
        return {"unit": number, **store.finish(folder, number, tables, recipe)}

    def _facts(self, work: Callable[[int], dict[str, int]], number: int) -> str:
        """What became of a unit, or the error for the user, as JSON; "null" once the run is to end.

        The error is an answer, because Daft prints the traceback of every worker that raises one.
        """
        if not _running(self.job).exists():
            return "null"
        try:
            return json.dumps(work(number))
        except UserError as error:
            return json.dumps({"user_error": str(error)})
        except OSError as error:
            if not error.errno:
                raise
            return json.dumps({"os_error": [error.errno, os.strerror(error.errno), error.filename]})


def _running(job: Job) -> Path:
    """A file that all workers see. Without it they start no other unit; to remove it needs no space."""
    return Path(job.folder) / "staging" / "running"


def _error(facts: dict[str, Any], folder: str) -> UserError | None:
    """The error that a worker met, if it met one."""
    if "os_error" in facts:
        number, text, place = facts["os_error"]
        return system_error(OSError(number, text, place), folder)
    return UserError(facts["user_error"]) if "user_error" in facts else None


def start(name: str, address: str) -> int:
    """Choose where Daft runs, and tell how many workers that is good for.

    Raises UserError when Ray is not installed or the cluster does not answer.
    """
    if name != "ray":
        os.environ["DAFT_RUNNER"] = "native"
        return len(os.sched_getaffinity(0))
    try:
        import ray
    except ImportError:
        raise UserError("engine=ray needs Ray: pip install 'onnuri[ray]'") from None
    _check_reachable(address)
    try:
        ray.init(
            address=address or None, log_to_driver=False, include_dashboard=False if not address else None
        )
        daft.set_runner_ray(noop_if_initialized=True)
        return max(1, int(ray.cluster_resources().get("CPU", 1)))
    except Exception as error:
        raise UserError(f"engine.address={address}: {' '.join(str(error).split())[:200]}") from None


def _check_reachable(address: str) -> None:
    """Raise UserError if nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"engine.address={address}: {error}") from None


def run(
    job: Job, name: str, numbers: Sequence[int], *, workers: int, cluster: bool, processes: bool
) -> Iterator[dict[str, int]]:
    """Take units through a method of Worker; what became of each, as they get done.

    Workers here are processes of their own or threads of this one.
    """
    if not numbers:
        return
    # With a number of workers Daft starts processes, whatever use_process says.
    most = {"max_concurrency": min(workers, len(numbers))} if cluster or processes else {}
    pool = daft.cls(Worker, use_process=processes and not cluster, **most)
    worker = pool(job, os.getpid())
    frame = daft.from_pydict({"unit": list(numbers)})
    if cluster:
        frame = frame.into_partitions(len(numbers))
    frame = frame.select(getattr(worker, name)(col("unit")).alias("facts"))
    _running(job).touch()
    failed: UserError | None = None
    try:
        for batch in frame.to_arrow_iter(results_buffer_size=1):
            for facts in map(json.loads, batch["facts"].to_pylist()):
                if facts and (error := _error(facts, job.folder)):
                    failed = failed or error
                    # The query goes to its end: Python cannot exit while threads of Daft are at work.
                    _running(job).unlink(missing_ok=True)
                elif facts:
                    yield facts
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if "UDF process" in str(cause):
            raise UserError(
                "a worker process died (out of memory, perhaps: try fewer engine.workers); "
                "the same command goes on where this one stopped"
            ) from error
        if isinstance(cause, OSError) and cause.errno:
            raise system_error(cause, job.folder) from error
        raise
    if failed:
        raise failed


def keep_freed_memory() -> None:
    """Let glibc keep what NumPy frees: giving it back costs a page fault for each page of the next array.

    Without effect where the C library has no mallopt.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 64 << 20)
    mallopt(trim_threshold, 64 << 20)
    mallopt(top_pad, 1 << 20)


def _die_with(parent: int) -> None:
    """End this process when the one that started it has gone, even by kill -9."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
