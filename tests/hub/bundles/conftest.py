"""A hub that bundles come from, and hubs that they go to."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.hub.bundling import MODEL, TEXT, Source, export
from tests.hub.carriers import make_key, put
from tests.hub.hubs import people


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    data, bundle = folder / "hub", folder / "bundle"
    people(data)
    noise = random.Random(0).randbytes
    put(data, MODEL, {"README.md": b"---\nlicense: mit\n---\n", "empty": b""}, gated="auto")
    put(data, MODEL, {"model.safetensors": noise(150_000), "folder/config.json": b"{}"})
    put(data, TEXT, {"train.parquet": noise(20_000)}, kind="dataset", private=True)
    (key, trust), (foreign, foreign_trust) = make_key(folder, "source"), make_key(folder, "foreign")
    export(data, bundle, key)
    return Source(data, bundle, key, trust, foreign, foreign_trust)


@pytest.fixture(scope="module")
def unchanged(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that every bundle of a test is refused by."""
    data = tmp_path_factory.mktemp("receiver") / "hub"
    people(data)
    return data


@pytest.fixture
def receiver(source: Source, tmp_path: Path) -> Path:
    """An empty hub of the test's own."""
    people(tmp_path / "receiver")
    return tmp_path / "receiver"
