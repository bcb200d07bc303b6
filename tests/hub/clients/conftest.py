"""Clients that `make test-hub-clients` installs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub.clients.client import OLDER, VERSIONS, Client
from tests.hub.hubs import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An extra of their own: without its client nothing here runs."""
    for item in items:
        if "tests/hub/clients/" in item.path.as_posix():
            item.add_marker(pytest.mark.extra("hub-clients"))
            if not OLDER.is_dir():
                item.add_marker(pytest.mark.skip(reason="make test-hub-clients installs the clients"))


@pytest.fixture(params=VERSIONS)
def client(request: pytest.FixtureRequest, hub: Server, tmp_path: Path) -> Client:
    """`lee` with each version of huggingface_hub."""
    older = VERSIONS[request.param]
    packages = [older] if older else []
    made = Client(hub.url, hub.tokens["lee"], tmp_path / "home", packages)
    assert made.python("import huggingface_hub; print(huggingface_hub.__version__)").split() == [
        request.param
    ]
    return made


@pytest.fixture
def person(hub: Server, tmp_path: Path) -> Callable[[str], Client]:
    """Someone with the installed version; "": a visitor."""
    return lambda who: Client(hub.url, hub.tokens[who] if who else "", tmp_path / (who or "visitor"))
