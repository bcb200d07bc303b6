"""Worker processes that take units through a pass, here or on a Ray cluster.

Workers read the files of a unit themselves and leave files for it in the corpus folder, so no text passes
through the driver: on a cluster the folder (and local input) must lie on storage that all nodes see. They
are processes, not threads, because NumPy and regular expressions hold the interpreter's lock. Here they are
spawned, since Arrow has threads that a fork would lose.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

import pyarrow as pa

from onnuri.base.allocator import keep_freed_memory
from onnuri.base.errors import UserError, system_error
from onnuri.corpus.config import ExecutionConfig
from onnuri.corpus.execution.passes import Job

CONNECT_SECONDS = 10

Facts = dict[str, int]
Pass = Callable[[Job, int], Facts]
Take = Callable[[Pass, Sequence[int]], Iterator[Facts]]
"""Takes units through a pass, and gives what became of each as they get done."""


@contextmanager
def workers(job: Job, config: ExecutionConfig) -> Iterator[Take]:
    """Worker processes for the passes of a job; for a single unit, this process.

    They end with the block, or with this process.

    Raises UserError if Ray is not installed, the cluster does not answer, a worker died or the operating
    system refused something; what a worker raises is raised here.
    """
    start = _on_cluster if config.name == "ray" else _on_this_machine
    try:
        with start(job, config) as take:
            yield take
    except OSError as error:
        if not error.errno:
            raise
        raise system_error(error, job.folder) from error


@contextmanager
def _on_this_machine(job: Job, config: ExecutionConfig) -> Iterator[Take]:
    others = set(multiprocessing.active_children())
    most = min(config.workers or len(os.sched_getaffinity(0)), max(len(job.units), 1))
    if len(job.units) == 1:  # of some megabytes: to start a process would take longer
        keep_freed_memory(64 << 20, 1 << 20)
        yield lambda work, numbers: (work(job, number) for number in numbers)
        return
    pool = ProcessPoolExecutor(most, multiprocessing.get_context("spawn"), _begin, (job,))

    def take(work: Pass, numbers: Sequence[int]) -> Iterator[Facts]:
        with _interrupts_blocked():
            futures = [pool.submit(_run, work, number) for number in numbers]
        for future in as_completed(futures):
            yield future.result()

    try:
        yield take
    except BaseException as error:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()  # a unit may take minutes; what is missing of it is made again
        if isinstance(error, BrokenProcessPool):
            raise _worker_died() from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes started in this block never see Ctrl-C, which is for their driver alone to handle."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_job: list[Job] = []


def _begin(job: Job) -> None:
    """First thing in a worker process."""
    _job.append(job)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    _one_core()


def _end_with_driver() -> None:
    """End this process when the one that started it has gone, even by kill -9."""
    if driver := multiprocessing.parent_process():
        driver.join()
        os._exit(1)


def _run(work: Pass, number: int) -> Facts:
    return work(_job[0], number)


@contextmanager
def _on_cluster(job: Job, config: ExecutionConfig) -> Iterator[Take]:
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError, WorkerCrashedError
    except ImportError:
        raise UserError("engine=ray needs Ray: pip install 'onnuri[ray]'") from None
    address = config.address
    _check_reachable(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(address=address or None, log_to_driver=False, include_dashboard=None if address else False)
        most = config.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared = ray.put(job)
    except Exception as error:
        raise UserError(f"engine.address={address}: {' '.join(str(error).split())[:200]}") from None
    run = ray.remote(_run_on_cluster)

    def take(work: Pass, numbers: Sequence[int]) -> Iterator[Facts]:
        left = iter(numbers)
        running = [run.remote(shared, work, number) for number in islice(left, most)]
        while running:
            done, running = ray.wait(running)
            running += [run.remote(shared, work, number) for number in islice(left, len(done))]
            yield from ray.get(done)

    try:
        yield take
    except RayTaskError as error:
        raise error.cause from error
    except WorkerCrashedError as error:
        raise _worker_died() from error
    except RayError as error:
        raise UserError(f"Ray: {' '.join(str(error).split())[:200]}") from error
    finally:
        ray.shutdown()


def _run_on_cluster(job: Job, work: Pass, number: int) -> Facts:
    _one_core()
    return work(job, number)


def _check_reachable(address: str) -> None:
    """Raise UserError if nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"engine.address={address}: {error}") from None


def _worker_died() -> UserError:
    return UserError(
        "a worker process died (out of memory, perhaps: try fewer engine.workers; or the script that calls "
        "lacks if __name__ == '__main__':); the same command resumes where this one stopped"
    )


def _one_core() -> None:
    """Set up a process of which there is one for each core."""
    pa.set_cpu_count(1)
    keep_freed_memory(64 << 20, 1 << 20)
