"""The kit that is carried: its size, its hashes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from onnuri.gpu.shards import write_shards
from onnuri.gpu.wheels import missing_requirements
from tests.conftest import REPOSITORY, SCRIPTS, TINY_MODEL, run_command


def kit(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPTS / "gpu_kit.sh"), *map(str, words)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def filled(folder: Path, size: int) -> Path:
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "some.whl").write_bytes(bytes(size))
    (folder / "tokens").write_text("some")
    return folder


def test_a_kit_within_its_size_gets_its_hashes(tmp_path: Path) -> None:
    done = kit("seal", filled(tmp_path / "kit", 1 << 20), LIMIT_MIB="2")
    assert done.returncode == 0, done.stderr
    assert "is ready: 1.0 MiB to carry" in done.stdout
    sums = (tmp_path / "kit" / "SHA256SUMS").read_text()
    assert sums.count("\n") == 2 and "./wheels/some.whl" in sums
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit"]


def test_a_kit_that_is_too_large_is_refused_and_stays_unusable(tmp_path: Path) -> None:
    folder = filled(tmp_path / "kit", (2 << 20) + 1)
    (folder / "SHA256SUMS").write_text("of an earlier one\n")
    done = kit("seal", folder, LIMIT_MIB="2")
    assert done.returncode == 1
    assert "more than LIMIT_MIB=2" in done.stderr and "wheels/some.whl" in done.stderr
    assert not (folder / "SHA256SUMS").exists()
    refused = kit("run", "A", folder, OUT=str(tmp_path / "out"))
    assert refused.returncode == 1 and "is not complete" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_kit_is_refused(tmp_path: Path) -> None:
    folder = filled(tmp_path / "kit", 1000)
    assert kit("seal", folder).returncode == 0
    (folder / "tokens").write_text("other")
    refused = kit("run", "B", folder, OUT=str(tmp_path / "out"))
    assert refused.returncode == 1 and "is damaged: carry it again" in refused.stderr


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("of years")
    for verb in ("rehearse", "prepare"):
        refused = kit(verb, tmp_path)
        assert refused.returncode == 1 and "not of this script" in refused.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_folder_of_an_earlier_kit_is_made_anew(tmp_path: Path) -> None:
    """Up to the first thing that fails, for want of a Python."""
    for earlier in ((), (".onnuri-kit", "old")):
        for name in earlier:
            (tmp_path / name).touch()
        assert kit("rehearse", tmp_path, PYTHON="false").returncode == 1
        assert [path.name for path in tmp_path.iterdir()] == [".onnuri-kit"]


def test_wrong_words(tmp_path: Path) -> None:
    for done, said in (
        (kit("seal"), "seal takes the folder of a kit"),
        (kit("seal", tmp_path / "none"), "none is no folder"),
        (kit("seal", tmp_path, LIMIT_MIB="x"), "LIMIT_MIB=x must be a whole number above 0"),
        (kit("prepair"), "'prepair' is not known; allowed: prepare, seal, run, rehearse"),
    ):
        assert done.returncode in (1, 2) and said in done.stderr and done.stderr.count("\n") == 1
    assert "run takes A or B, not 'C'" in kit("run", "C").stderr
    usage = kit()
    assert usage.returncode == 2 and "scripts/gpu_kit.sh prepare [DIR]" in usage.stdout


def test_nothing_of_this_machine_is_in_the_script() -> None:
    text = (SCRIPTS / "gpu_kit.sh").read_text(encoding="utf-8")
    for word in ("/work", "/home", "/opt", "/root", "http", "index-url"):
        assert word not in text
    ignored = (REPOSITORY / ".gitignore").read_text(encoding="utf-8").split()
    assert {".gpu-kit/", ".gpu-rehearsal/", "gpu-results/"} <= set(ignored)


def test_synthetic_shards_train(tmp_path: Path) -> None:
    tokens = write_shards(tmp_path / "tokens", 20_000)
    words = [word for word in TINY_MODEL if "micro_batch" not in word]
    done = run_command("pretrain", f"data={tokens}", f"run_dir={tmp_path / 'run'}", *words, "train.steps=1")
    assert f"trained to step 1: {tmp_path / 'run'}" in done.stdout


def test_the_command_line_of_the_shards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onnuri.gpu.shards", str(tmp_path / "tokens"), "2e4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'tokens'}\n"
    sizes = sum(path.stat().st_size for path in (tmp_path / "tokens").rglob("*.npy"))
    assert 2 * 20_000 < sizes < 1 << 20


def test_wrong_words_for_the_shards() -> None:
    for words in ((), ("dir",), ("dir", "many"), ("dir", "1", "2")):
        command = [sys.executable, "-m", "onnuri.gpu.shards", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.startswith("usage: ") and done.stderr.count("\n") == 1


def wheel(folder: Path, name: str, *requirements: str) -> None:
    """Only what is read of one."""
    lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {each}" for each in requirements)]
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines) + "\n")


def test_a_requirement_that_is_nowhere_is_named(tmp_path: Path) -> None:
    marked = ["old; python_version < '3.11'", "windows; sys_platform == 'win32'", "more; extra == 'all'"]
    wheel(tmp_path, "first", "Second_Part>=1", "torch", "third[x]>=2", *marked)
    wheel(tmp_path, "second_part")
    found = missing_requirements(tmp_path, "3.12", ["torch"])
    assert found == ["first-1-py3-none-any.whl needs third, which is neither carried nor on the node"]
    assert missing_requirements(tmp_path, "3.12", ["torch", "Third"]) == []
    assert len(missing_requirements(tmp_path, "3.10", ["torch", "third"])) == 1
