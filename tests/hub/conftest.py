"""A hub that many tests share: each makes repositories of its own there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from huggingface_hub import constants

from tests.hub.hubs import Server, running
from tests.hub.postgresql import cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The hub is an optional package: its tests are with `make test-extras`."""
    for item in items:
        if "tests/hub/" in item.path.as_posix():
            item.add_marker(pytest.mark.extra("hub"))


@pytest.fixture(scope="session", autouse=True)
def _postgresql() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture(scope="module", autouse=True)
def online() -> Iterator[None]:
    """The client of this process may reach a hub of its own, though `make` tells all of them not to try."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("hub"), "sign_ins_per_minute=0") as server:
        yield server


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    """Names of repositories that no other test has."""
    numbers = itertools.count()
    return lambda: f"repository-{next(numbers)}"
