"""Stock clients reach the hub and nothing else: in a network namespace that has no route, whose name server
writes down what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.apart import ServerApart
from tests.hub.clients.client import OLDER, Client
from tests.hub.clients.test_hf_command import contents, folder_of_files
from tests.test_offline import Cell, cells

SWITCHES = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "DO_NOT_TRACK": "1",
}
"""Those that docs/hub.md has."""


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    yield from cells(tmp_path)


@pytest.mark.parametrize("packages", [[], [OLDER]], ids=["2.4.0", "1.33.0"])
def test_only_the_hub_is_asked(cell: Cell, tmp_path: Path, packages: list[Path]) -> None:
    hub = ServerApart(tmp_path, cell)
    try:
        inside = ["ip", "netns", "exec", cell.name]
        client = Client(hub.url, hub.tokens["lee"], tmp_path / "lee", packages, inside, dict(SWITCHES))
        folder = folder_of_files(tmp_path / "folder")
        client.hf("auth", "whoami")
        client.hf("upload", "lab/model", str(folder))
        client.hf("download", "lab/model", "--local-dir", str(tmp_path / "there"))
        assert contents(tmp_path / "there") == contents(folder)
        assert cell.attempts() == []
    finally:
        hub.stop()


def test_without_the_switches_an_update_is_looked_for(cell: Cell, tmp_path: Path) -> None:
    """Why the switches are in the docs; and the test above could fail."""
    hub = ServerApart(tmp_path, cell)
    try:
        client = Client(
            hub.url, hub.tokens["lee"], tmp_path / "lee", [], ["ip", "netns", "exec", cell.name]
        )
        client.hf("auth", "whoami")
        assert "pypi.org" in cell.attempts()
    finally:
        hub.stop()
