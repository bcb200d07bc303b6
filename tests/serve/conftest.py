"""Tiny random models, and servers of them that many tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.special import TURN_END
from tests.conftest import made_once, save_model, untrained_model
from tests.serve.serving import CONTEXT, Client, Server, running


@pytest.fixture(scope="session")
def folders(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`chat` ends its turns, `base` has the template alone. To be read only."""

    def make(folder: Path) -> None:
        for name in ("chat", "base"):
            save_model(untrained_model(1024, CONTEXT), sample("tokenizer"), folder / name)
        path = folder / "chat" / "generation_config.json"
        end = load_tokenizer(sample("tokenizer")).token_to_id(TURN_END)
        path.write_text(json.dumps({"eos_token_id": [end]}), encoding="utf-8")

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
