"""Nodes that can be cut off: network namespaces on this machine, joined by a bridge in one more of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.processes import Process, rank_of
from tests.warm import CLONE_NEWNET

RENDEZVOUS = {
    "join_timeout": 120,
    "keep_alive_interval": 1,
    "keep_alive_max_attempt": 10,
}
"""A node that has not been heard of for 10 seconds is lost. With less, one on a busy machine is too."""


def ip(*words: str) -> None:
    """Run `ip`; CalledProcessError when it fails."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Nodes:
    """10.77.0.1 to 10.77.0.COUNT; the last hosts the rendezvous, the first has rank 0.

    A round starts when all nodes have joined, or `last_call` seconds after `least` of them have.
    """

    def __init__(self, count: int, folder: Path, least: int, last_call: int) -> None:
        self.count, self.folder, self.least = count, folder, least
        self.rendezvous = RENDEZVOUS | {"last_call_timeout": last_call}
        self.names = [f"onnuri-{os.getpid()}-{number}" for number in range(count + 1)]
        self.switch = self.names[0]
        self.agents: dict[int, Process] = {}

    def build(self) -> None:
        """Make the namespaces and plug them into the bridge."""
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge", "up")
        for number in range(1, self.count + 1):
            name, port = self.names[number], f"port{number}"
            ip(
                "-n",
                self.switch,
                "link",
                "add",
                port,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            ip("-n", self.switch, "link", "set", port, "master", "bridge", "up")
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def start(self, number: int, script: Path, *words: str) -> Process:
        """One torchrun agent with one rank on a node. What it says goes to FOLDER/node-NUMBER.log."""
        settings = self.rendezvous | {"is_host": int(number == self.count)}
        launcher = [sys.executable, "-m", "torch.distributed.run"]
        launcher += [
            "--nnodes",
            f"{self.least}:{self.count}",
            "--nproc_per_node",
            "1",
            "--max-restarts",
            "9",
        ]
        launcher += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"10.77.0.{self.count}:29500"]
        launcher += ["--rdzv_id", "elastic", "--local-addr", f"10.77.0.{number}"]
        launcher += ["--rdzv_conf", ",".join(f"{name}={value}" for name, value in settings.items())]
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}
        # Without it the ranks of later rounds look for the rendezvous endpoint on the node that is gone.
        environment |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        # torch 2.11 does not know it, and gives ranks that do not end 30 seconds.
        environment |= {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "5"}
        namespace = (f"/run/netns/{self.names[number]}", CLONE_NEWNET)
        with self.log(number).open("wb") as stream:
            self.agents[number] = Process(
                [*launcher, str(script), *words], stream, stream, True, environment, [namespace]
            )
        return self.agents[number]

    def cut_off(self, number: int) -> None:
        """Take a node's link down at the switch. Nobody is informed."""
        ip("-n", self.switch, "link", "set", f"port{number}", "down")

    def ranks(self, number: int) -> list[int]:
        """Processes of ranks that live on a node."""
        command = ["ip", "netns", "pids", self.names[number]]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found if is_rank(int(pid))]

    def log(self, number: int) -> Path:
        """What a node's agent and rank have said."""
        return self.folder / f"node-{number}.log"

    def close(self) -> None:
        """End the agents (their ranks die with them) and take everything apart."""
        for agent in self.agents.values():
            with suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def is_rank(pid: int) -> bool:
    """Whether a process is a rank; False when it has gone."""
    try:
        return rank_of(psutil.Process(pid)) is not None
    except psutil.NoSuchProcess:
        return False


@contextmanager
def held(pids: list[int]) -> Iterator[list[int]]:
    """Processes that stand still while the block runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def is_told_to_end(pid: int) -> bool:
    """Whether a process that stands still has a SIGTERM before it."""
    pending = re.search(r"^ShdPnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return bool(pending and int(pending[1], 16) >> (signal.SIGTERM - 1) & 1)


@contextmanager
def joined(count: int, folder: Path, least: int, last_call: int) -> Iterator[Nodes]:
    """Nodes, for a while. Skips the test where namespaces cannot be made."""
    nodes = Nodes(count, folder, least, last_call)
    try:
        try:
            nodes.build()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here (root and iproute2 are needed): {error}")
        yield nodes
    finally:
        nodes.close()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something to become true; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)
