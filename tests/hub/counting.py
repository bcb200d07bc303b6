"""Stock clients, and a TCP proxy that counts what they send and can act at a byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Proxy:
    """Listens on `port`; `sent` counts bytes from clients to the server."""

    def __init__(self, server: int) -> None:
        self.server = server
        self.sent = 0
        self._lock = threading.Lock()
        self._at: tuple[int, Callable[[], None]] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def at(self, count: int, act: Callable[[], None]) -> threading.Event:
        """Call `act` when this many more bytes have been sent, before any other byte goes on; what is
        returned is set afterwards."""
        done = threading.Event()

        def once() -> None:
            act()
            done.set()

        self._at = (self.sent + count, once)
        return done

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.server))
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=_pass, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(1 << 16):
                with self._lock:
                    self.sent += len(piece)
                    if self._at and self.sent >= self._at[0]:
                        act, self._at = self._at[1], None
                        act()
                server.sendall(piece)
        _end(client, server)

    def close(self) -> None:
        self._listener.close()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    _end(source, target)


def _end(*both: socket.socket) -> None:
    for each in both:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def counting(server: int) -> Iterator[Proxy]:
    """A proxy, closed at the end."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()


def start_client(
    *words: str | Path, url: str, token: str, home: Path, **more: str
) -> subprocess.Popen[str]:
    """`hf`, with nothing set but where the hub is; `more`: further environment variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHON"))}
    environment = kept | {"HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HOME": str(home)} | more
    command = [str(Path(sys.executable).with_name("hf")), *map(str, words)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def client(*words: str | Path, **named: Any) -> None:
    """The same, to its end, which must be good."""
    process = start_client(*words, **named)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
