"""Commands that start at once: a server process imports everything, and each command is a fork of it.

Importing torch and DeepSpeed takes 8 of the 10 seconds of a short run; a fork has them. It is a process of
its own all the same, with environment, arguments, output, session and namespaces of its own, and torchrun's
ranks are children of torchrun. What differs from a start by `python`: variables that libraries read while
they are imported have no effect, all have one seed of `hash`, and /proc/PID/environ is the server's. Tests
of that use `subprocess`.

    python tests/warm.py SOCKET    # the server; ends with its standard input
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib.util
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

IMPORTS = (
    "deepspeed",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "hydra._internal.hydra",
    "hydra_plugins.onnuri_launcher",
    "matplotlib.pyplot",
    "onnuri.evaluate.run",
    "onnuri.export.huggingface",
    "onnuri.generate.sample",
    "onnuri.ledger.verify",
    "onnuri.train.loop",
    "torch.distributed.run",
    "transformers.models.qwen3.modeling_qwen3",
    "torch._dynamo",
)
RESET = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000


def run(command: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Be `python COMMAND...` in this process, and end it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in RESET:
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, 4096)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.modules["numpy"].random.seed()
    if "OMP_NUM_THREADS" in environment:
        import torch

        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    if "TORCH_LOGS" in environment:
        import torch._logging._internal

        torch._logging._internal._init_logs()
    sys.modules["onnuri.ledger.replay"].run = run_by_fork  # type: ignore[attr-defined]
    words = [word for word in command if word != "-u"]
    status: Any = 0
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            if words[1] == "torch.distributed.run":
                ranks_by_fork()
                rendezvous_without_inspection()
            module = importlib.util.find_spec(words[1])
            assert module is not None and module.origin is not None, words[1]
            runpy.run_path(module.origin, run_name="__main__")
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).resolve().parent))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as error:
        status = error.code
        if status is not None and not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit((status or 0) & 0xFF)


def ranks_by_fork() -> None:
    """Let torchrun's agent, this process, fork its ranks instead of starting an interpreter for each."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    def popen(self: Any, args: tuple[str, ...], env: dict[str, str]) -> Child:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            Path("/proc/self/comm").write_text(f"rank {env['RANK']}")  # its environment is not in /proc
            run(args[1:], env)
        return Child(pid)

    subprocess_handler.SubprocessHandler._popen = popen


def run_by_fork(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As `onnuri.ledger.replay.run`: the command has what this process has imported."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            atexit._clear()  # what this process has opened is not the command's to close
            run(command[1:], dict(os.environ))
        _, status = os.waitpid(pid, 0)
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), *texts)


def rendezvous_without_inspection() -> None:
    """Name callers, as torchrun's agent does at every turn of a rendezvous, without searching all modules.

    With everything imported a search takes 0.07 s, and on a busy machine one node of four came too late.
    """
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous

    def name_of_caller(depth: int = 2) -> str:
        return sys._getframe(depth).f_code.co_name

    assert callable(dynamic_rendezvous.get_method_name)
    dynamic_rendezvous.get_method_name = name_of_caller


class Child:
    """What torchrun's agent needs of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("rank", timeout or 0.0)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Server:
    """Forks a child for each connection; sends its pid at once and its exit status at its end."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.children: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.woken, self.wake = woken, wake
        for source in (self.listener, woken, sys.stdin):
            self.selector.register(source, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until standard input ends."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self.children:
                        os.kill(pid, signal.SIGKILL)
                    return
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    with suppress(BlockingIOError):
                        self.woken.recv(4096)
            self.reap()

    def accept(self) -> None:
        """Read one request and fork."""
        connection, _ = self.listener.accept()
        data, files, *_ = socket.recv_fds(connection, 1 << 20, 2)
        while data and not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        if not data:
            connection.close()
            return
        request = json.loads(data)
        pid = os.fork()
        if pid == 0:
            self.child(request, files)
        for file in files:
            os.close(file)
        self.children[pid] = connection
        connection.sendall(f"{pid}\n".encode())

    def child(self, request: dict[str, Any], files: list[int]) -> NoReturn:
        """The start of a command's life."""
        with Path(os.devnull).open() as nothing:
            for number, file in enumerate((nothing.fileno(), *files)):
                os.dup2(file, number)
        if request["new_session"]:
            os.setsid()
        libc = ctypes.CDLL(None, use_errno=True)
        for path, kind in request["namespaces"]:
            file = os.open(path, os.O_RDONLY)
            if libc.setns(file, kind):
                os._exit(71)
        os.chdir(request["folder"])
        run(request["command"], request["environment"])

    def reap(self) -> None:
        """Report the children that have ended."""
        for pid, connection in list(self.children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                with suppress(OSError):
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                connection.close()
                del self.children[pid]


def main() -> None:
    """Import, say so, serve."""
    del sys.path[0]  # the folder of this file
    os.environ["DS_ACCELERATOR"] = "cpu"
    for name in IMPORTS:
        __import__(name)
    utilisation = sys.modules["onnuri.train.utilisation"]
    utilisation.TIMES = 2  # type: ignore[attr-defined]  # of 8, a fifth of a short run's work
    gc.freeze()
    server = Server(sys.argv[1])
    print("ready", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
