"""Hubs, started as a user starts them, and the people on them."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from onnuri.hub import accounts
from onnuri.hub.database import Database
from tests import processes
from tests.conftest import SCRIPTS
from tests.hub.postgresql import new_database

SQLITE_ONLY = pytest.mark.skipif(
    os.environ.get("ONNURI_HUB_DATABASE") == "postgresql", reason="about the file in the data folder"
)


class Server:
    """`onnuri hub` in a process of its own, with an organisation `lab` and three people: `kim` administers
    the hub and the organisation, `lee` is a member who writes, `park` is a stranger."""

    def __init__(self, folder: Path, *words: str, database: str = "", port: int = 0) -> None:
        database = database or new_database()
        self.folder, self.words = folder, [*words, *([f"database={database}"] if database else [])]
        self.data, self.database = folder / "hub", database
        self.tokens = {} if self.data.exists() else people(self.data, database)
        self.start(port)

    def start(self, port: int = 0) -> None:
        """Start, again after `kill` or `stop`."""
        self.log = self.folder / f"hub-{time.monotonic_ns()}.log"
        command = [
            sys.executable,
            str(SCRIPTS / "hub.py"),
            f"data={self.data}",
            f"port={port}",
            *self.words,
        ]
        with self.log.open("wb") as stream:
            self.process = self.launch(command, stream)
        deadline = time.monotonic() + 120
        while not (found := re.search(r"at (https?)://\S+?:(\d+)\n", self.printed())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed()
            time.sleep(0.02)
        self.port = int(found[2])
        self.url = f"{found[1]}://127.0.0.1:{self.port}"

    def launch(self, command: list[str], stream: IO[bytes]) -> Any:
        """A process of this command."""
        return processes.Process(command, stream, stream)

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def client(self, who: str = "") -> httpx.Client:
        """A client with the token of someone."""
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def api(self, who: str = "") -> Any:
        """The same as huggingface_hub's."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=self.tokens[who] if who else False)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(15)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(9)
        self.process.wait(60)


def people(data: Path, database: str = "") -> dict[str, str]:
    """Tokens of everyone, with the role admin."""
    data.mkdir(parents=True)
    tables = Database(data, database)
    try:
        with tables.writing() as connection:
            names = {"kim": True, "lee": False, "park": False}
            numbers = {
                name: accounts.create_user(
                    connection, name, f"{name} 연구원", f"{name}@example.go.kr", f"password of {name}", boss
                )
                for name, boss in names.items()
            }
            lab = accounts.create_organisation(connection, "lab", "언어 연구실", numbers["kim"])
            accounts.set_member(connection, lab, numbers["lee"], "write")
            return {
                name: accounts.create_token(connection, number, "test", "admin")
                for name, number in numbers.items()
            }
    finally:
        tables.close()


@contextmanager
def running(folder: Path, *words: str, database: str = "", port: int = 0) -> Iterator[Server]:
    """A hub, ended by SIGTERM with status 0."""
    server = Server(folder, *words, database=database, port=port)
    try:
        yield server
    except BaseException:
        server.process.kill()
        raise
    assert server.stop() == 0, server.printed()
