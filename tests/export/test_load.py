"""Model folders that are damaged end in one line, and none is read with weights that are made up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from onnuri.base.errors import UserError
from onnuri.hf.load import first_token, load_model
from tests.conftest import run_command, save_model, untrained_model


@pytest.fixture(scope="module")
def whole(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save_model(untrained_model(1024, 64), sample("tokenizer"), folder)
    return folder


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_a_weight(path: Path) -> None:
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.safetensors", cut, "cannot be loaded"),
        ("config.json", cut, "cannot be loaded"),
        ("tokenizer.json", cut, "cannot be loaded"),
        ("tokenizer.json", Path.unlink, "cannot be loaded"),
        ("config.json", lambda path: edit(path, model_type="none"), "cannot be loaded"),
        ("config.json", lambda path: edit(path, hidden_size=64), "cannot be loaded"),
        ("model.safetensors", drop_a_weight, "lacks 1 weight(s), the first is model.layers.1.mlp.up_proj"),
    ],
)
def test_a_damaged_folder(
    name: str, damage: Callable[[Path], None], message: str, whole: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "model")
    damage(folder / name)
    with pytest.raises(UserError) as error:
        load_model(str(folder))
    assert str(error.value).startswith(f"model={folder} {message}") and "\n" not in str(error.value)


def test_a_tokenizer_that_names_no_separator(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "model")
    _, tokenizer = load_model(str(folder))
    assert first_token(tokenizer, "x") == tokenizer.eos_token_id
    edit(folder / "tokenizer_config.json", bos_token=None, eos_token=None)
    result = run_command("generate", f"model={folder}", "prompt=a", check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "names no bos_token and no eos_token" in result.stderr and result.stderr.count("\n") == 1
