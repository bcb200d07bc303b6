"""A hub in a network namespace."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from tests import processes
from tests.hub.hubs import Server
from tests.test_offline import Cell


class ServerApart(Server):
    """In a namespace without a route, where nothing outside reaches it."""

    def __init__(self, folder: Path, cell: Cell) -> None:
        self.cell = cell
        super().__init__(folder)

    def launch(self, command: list[str], stream: IO[bytes]) -> Any:
        return processes.Process(command, stream, stream, server=self.cell.warm())
