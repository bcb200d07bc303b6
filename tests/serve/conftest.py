"""Tiny random models, and servers of them that many tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onnuri.tokenizer.special import SEPARATOR, TURN_END
from tests.conftest import made_once, save_model, untrained_model
from tests.serve.serving import CONTEXT, Client, Server, running


@pytest.fixture(scope="session")
def folders(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`chat` ends its turns as its template does. `base` has the template of its tokenizer too, as a base
    model that `onnuri export` wrote. To be read only."""

    def make(folder: Path) -> None:
        for name in ("chat", "base"):
            save_model(untrained_model(1024, CONTEXT), sample("tokenizer"), folder / name)
        path = folder / "chat" / "generation_config.json"
        described = json.loads(path.read_text(encoding="utf-8"))
        names = {TURN_END, SEPARATOR}
        added = json.loads((folder / "chat" / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
        described["eos_token_id"] = [each["id"] for each in added if each["content"] in names]
        path.write_text(json.dumps(described), encoding="utf-8")

    return made_once(tmp_path_factory, "served", make)


@pytest.fixture(scope="session")
def plain(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With default settings and two models; nothing is written anywhere."""
    folder = tmp_path_factory.mktemp("plain")
    with running(folder, f"model={folders / 'chat'}", f"models=[{folders / 'base'}]") as server:
        yield server


@pytest.fixture(scope="session")
def client(plain: Server) -> Iterator[Client]:
    with plain.client() as client:
        yield client
