"""Model folders that are damaged end in one line, and none is read with weights that are made up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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


THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from transformers.utils import logging
import onnuri

def load(_):
    model, _ = onnuri.load_model(sys.argv[1])
    return model.lm_head.weight is model.model.embed_tokens.weight

with ThreadPoolExecutor(6) as pool:
    assert all(pool.map(load, range(18)))
assert load(None)
assert logging.is_progress_bar_enabled()
"""


def test_threads_load_at_once_and_nothing_of_the_caller_changes(whole: Path) -> None:
    """transformers alone loses tied weights then, for as long as the process lives (#41782, #44940)."""
    result = subprocess.run(
        [sys.executable, "-c", THREADS, str(whole)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_no_model_folder(tmp_path: Path, whole: Path) -> None:
    """One line from here; transformers would speak of the hub, which nobody asked for."""
    with pytest.raises(UserError, match=r"^model=\S+ does not exist$"):
        load_model(tmp_path / "nowhere")
    assert load_model(whole, dtype="bfloat16")[0].dtype.itemsize == 2


def test_a_tokenizer_that_names_no_separator(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "model")
    _, tokenizer = load_model(str(folder))
    assert first_token(tokenizer, "x") == tokenizer.eos_token_id
    edit(folder / "tokenizer_config.json", bos_token=None, eos_token=None)
    result = run_command("generate", f"model={folder}", "prompt=a", check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "names no bos_token and no eos_token" in result.stderr and result.stderr.count("\n") == 1
