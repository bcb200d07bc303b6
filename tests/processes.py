"""Processes of the tests: commands forked from a server that has imported everything."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

import psutil

SERVER = Path(__file__).with_name("warm.py")


def start_server(
    prefix: Sequence[str] = (), environment: dict[str, str] | None = None
) -> tuple[str, subprocess.Popen[bytes]]:
    """Address of a new server, and the server: it ends with its standard input, so with this process."""
    path = f"{tempfile.mkdtemp(prefix='onnuri-warm-')}/socket"
    command = [*prefix, sys.executable, str(SERVER), path]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert server.stdout is not None and server.stdout.readline() == b"ready\n"
    return path, server


def children_cpu_seconds() -> float:
    """What the processes that this one started and waited for have computed: no other load counts."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@cache
def own_server() -> tuple[str, subprocess.Popen[bytes]]:
    """The server of this process."""
    return start_server()


class Process:
    """A command that was started, with the methods of `subprocess.Popen`."""

    def __init__(
        self,
        command: Sequence[str],
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        new_session: bool = False,
        environment: dict[str, str] | None = None,
        namespaces: Sequence[tuple[str, int]] = (),
        folder: Path | None = None,
        server: str = "",
    ) -> None:
        """Start `python COMMAND...`; what it prints is lost unless there are files for it.

        Args:
            stdout, stderr: files to write to.
            new_session: as `start_new_session` of Popen.
            environment: in place of this process's.
            namespaces: files of namespaces to enter, and the kinds of `setns`.
            folder: working directory, in place of this process's.
            server: address of the server, in place of this process's.
        """
        assert command[0] == sys.executable, command
        request = {
            "command": list(command[1:]),
            "environment": dict(os.environ) if environment is None else environment,
            "folder": str(folder or Path.cwd()),
            "new_session": new_session,
            "namespaces": list(namespaces),
        }
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(server or own_server()[0])
        with Path(os.devnull).open("wb") as nothing:
            files = [(stream or nothing).fileno() for stream in (stdout, stderr)]
            words = json.dumps(request).encode() + b"\n"
            self.connection.sendall(words[socket.send_fds(self.connection, [words], files) :])
            self.reader = self.connection.makefile()
            self.pid = int(self.reader.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, minus the signal that ended it, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self.connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked command", timeout or 0.0)
            self.returncode = int(self.reader.readline())
            self.connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str],
    check: bool = True,
    timeout: float = 240.0,
    namespaces: Sequence[tuple[str, int]] = (),
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
    server: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `python COMMAND...` to its end; unless it ends well, AssertionError with what it printed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = Process(command, stdout, stderr, False, environment, namespaces, folder, server)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    assert not check or status == 0, texts[0][-3000:] + texts[1][-3000:]
    return subprocess.CompletedProcess(list(command), status, *texts)


def rank_of(process: psutil.Process) -> int | None:
    """The rank of torchrun that a process is."""
    name = process.name()
    return int(name.removeprefix("rank ")) if name.startswith("rank ") else None
