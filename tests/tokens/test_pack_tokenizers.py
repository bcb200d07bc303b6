"""Shards for whoever has only a model: the tokenizer is taken from wherever it lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.chat.data.pack import pack
from onnuri.export.config import ExportConfig, ImportConfig
from onnuri.export.huggingface import export
from onnuri.export.import_model import import_model
from onnuri.tokens.config import PackConfig
from tests.chat.talks import packed, talks, write
from tests.conftest import run_command, save_model, untrained_model

Sample = Callable[[str], str]
TALKS = list(talks(4))
TABLES = ("tokens", "documents", "trained")


@pytest.fixture(scope="module")
def folders(sample: Sample, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same tokenizer in every kind of folder."""
    root = tmp_path_factory.mktemp("models")
    export(ExportConfig(str(undisturbed), str(root / "exported")))
    import_model(ImportConfig(str(root / "exported"), str(root / "imported")))
    save_model(untrained_model(1024, 64), sample("tokenizer"), root / "plain")
    found = {name: root / name for name in ("exported", "imported", "plain")}
    return found | {"shards": Path(sample("tokens"))}


@pytest.fixture(scope="module")
def expected(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a tokenizer folder gives."""
    folder = tmp_path_factory.mktemp("expected")
    packed(folder, TALKS, sample("tokenizer"))
    return folder / "out"


@pytest.mark.parametrize("name", ["exported", "imported", "plain", "shards"])
def test_the_same_shards_from_the_folder_of_a_model(
    name: str, folders: dict[str, Path], expected: Path, tmp_path: Path
) -> None:
    found = packed(tmp_path, TALKS, str(folders[name]))
    for table in TABLES:
        file = f"train-00000-00000.{table}.npy"
        assert np.array_equal(np.load(tmp_path / "out" / file), np.load(expected / file))
    kept = tmp_path / "out" / "tokenizer" / "tokenizer.json"
    inside = folders[name] / ("tokenizer" if name in ("imported", "shards") else "")
    assert kept.read_bytes() == (inside / "tokenizer.json").read_bytes()
    assert found.counts["tokenizer_sha256"] == manifest.hash_file(kept)
    before = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    assert packed(tmp_path, TALKS, str(folders[name])) == found
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == before, "up to date"


def copy_without_manifest(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    (target / "manifest.json").unlink(missing_ok=True)
    return target


def test_another_tokenizer_is_another_request(folders: dict[str, Path], tmp_path: Path) -> None:
    model = copy_without_manifest(folders["plain"], tmp_path / "model")
    first = packed(tmp_path, TALKS, str(model))
    described = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(described | {"model_max_length": 7}))
    second = packed(tmp_path, TALKS, str(model))
    assert first.inputs["tokenizer"] != second.inputs["tokenizer"]
    kept = json.loads((tmp_path / "out" / "tokenizer" / "tokenizer_config.json").read_text())
    assert kept["model_max_length"] == 7


def test_a_corpus_is_packed_with_a_model_too(
    sample: Sample, folders: dict[str, Path], tmp_path: Path
) -> None:
    words = [f"input={sample('corpus')}", f"tokenizer={folders['plain']}", f"output={tmp_path / 'out'}"]
    run_command("pack", *words)
    made = manifest.read_whole(tmp_path / "out", "tokens")
    before = manifest.read_whole(sample("tokens"), "tokens")
    names = [name for name in before.files if name.endswith(".npy")]
    assert [made.files[name] for name in names] == [before.files[name] for name in names]


def test_mistakes_are_one_line(sample: Sample, folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    no_turns = copy_without_manifest(folders["plain"], tmp_path / "no-turns")
    text = (no_turns / "tokenizer.json").read_text().replace("<|im_start|>", "<|turn|>")
    (no_turns / "tokenizer.json").write_text(text)
    cases = {
        str(tmp_path / "none"): "does not exist",
        str(tmp_path / "empty"): "holds no tokenizer.json; give a tokenizer folder or the folder of a",
        sample("corpus"): "is a corpus folder, but a tokenizer folder is needed here",
        str(no_turns): "has no token <|im_start|>: it knows no conversations",
    }
    for name in ("exported", "imported"):
        changed = Path(shutil.copytree(folders[name], tmp_path / name))
        (path,) = changed.rglob("tokenizer.json")
        path.write_text(path.read_text() + " ")
        cases[str(changed)] = f"{path} does not match the hash in manifest.json"
    source = write(tmp_path / "in.jsonl", TALKS)
    for tokenizer, message in cases.items():
        config = PackConfig(
            str(source), tokenizer, str(tmp_path / "out"), "chat", license="MIT", most_refused=1.0
        )
        with pytest.raises(UserError) as caught:
            pack(config)
        assert message in str(caught.value) and "\n" not in str(caught.value)
        assert not list(tmp_path.glob("out*"))
