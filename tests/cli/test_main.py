"""The console command `onnuri`."""

import os
import subprocess
import sys

import pytest

from onnuri.base.location import PACKAGE
from onnuri.cli.main import COMMANDS, MODULES
from tests.conftest import SCRIPTS


def onnuri(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onnuri.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_command_is_listed_and_has_a_script() -> None:
    modules = {path.stem for path in (PACKAGE / "cli").glob("*.py")} - {"__init__", "__main__", "main"}
    assert {MODULES.get(name, name) for name in COMMANDS} == modules
    assert set(COMMANDS) == {path.stem for path in SCRIPTS.glob("*.py")}
    listed = onnuri("--help").stdout
    assert all(f"  {command}" in listed for command in COMMANDS)
    assert onnuri().stdout == listed


def test_a_script_in_a_python_without_onnuri_says_so_in_one_line() -> None:
    for name in COMMANDS:
        command = [sys.executable, "-S", str(SCRIPTS / f"{name}.py"), "--help"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(
            f"error: onnuri is not installed in {sys.executable}; run `make install`"
        )


def test_a_command_gets_its_words() -> None:
    assert "onnuri corpus recipe=sample" in onnuri("corpus", "--help").stdout
    assert onnuri("--version").stdout == "onnuri 0.1.0\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "onnuri.cli", "plan", "model=8b"]
    read_end, write_end = os.pipe()
    os.close(read_end)  # as `| head` does, at the latest when it has enough
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_wrong_command_is_one_line() -> None:
    done = onnuri("corpsu", "recipe=sample")
    assert done.returncode == 2
    assert done.stderr == "error: 'corpsu' is no command (did you mean 'corpus'?); see onnuri --help\n"


@pytest.mark.parametrize(("encoding", "shown"), [("euc-kr", "대한민국의"), ("ascii", "\\ub300\\ud55c")])
def test_a_terminal_of_any_encoding(encoding: str, shown: str) -> None:
    command = [sys.executable, "-m", "onnuri.cli", "generate", "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    printed = subprocess.run(command, capture_output=True, env=environment, check=True).stdout
    assert shown in printed.decode(encoding)
    script = "from onnuri.config import print_any_text; print_any_text(); print('강 🌿 \\udcff')"
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, env=environment, check=True).stdout
    assert printed.decode(encoding).endswith("\\U0001f33f \\udcff\n")


@pytest.mark.parametrize("words", [["--help"], ["corpus", "--help"], ["pretrain", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "onnuri.cli", *words]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    for package in ("torch", "numpy", "hydra", "omegaconf", "pyarrow", "transformers"):
        assert f" {package}\n" not in imported
