"""An installed wheel: what is in it, that it needs no checkout, and which commit it says it is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from onnuri import __version__
from tests.conftest import REPOSITORY, TINY_MODEL

pytestmark = pytest.mark.packaging


def commit_all(folder: Path) -> str:
    """Make the folder a repository with one commit; returns the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this tree, committed, in the repository of somebody else."""
    root = tmp_path_factory.mktemp("wheel") / "copy"
    listed = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, root / name)
    return root


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> tuple[Path, str]:
    """The built wheel, and the commit it was built from."""
    commit = commit_all(checkout)
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    built = checkout.parent / "built"
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(built), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(built.glob("*.whl")), commit


@pytest.fixture(scope="module")
def site(wheel: tuple[Path, str]) -> Path:
    """Where it is installed: inside the repository of somebody else."""
    site = wheel[0].parents[1] / "theirs" / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(site),
        str(wheel[0]),
    ]
    subprocess.run([*command, "--disable-pip-version-check"], check=True)
    commit_all(site.parent)
    return site


def installed(site: Path, *command: str) -> str:
    """Run an installed command outside of every checkout; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = [sys.executable, *command]
    work = site.parents[1] / "work"
    work.mkdir(exist_ok=True)
    done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_what_a_wheel_holds(wheel: tuple[Path, str]) -> None:
    names = set(zipfile.ZipFile(wheel[0]).namelist())
    for folder in ("configs", "data_recipes"):
        here = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / folder).rglob("*.yaml")}
        assert {f"onnuri/{name}" for name in here} == {
            n for n in names if n.startswith(f"onnuri/{folder}/")
        }
    modules = {str(path.relative_to(REPOSITORY / "src")) for path in (REPOSITORY / "src").rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    command = ["git", "ls-files", "src"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    assert {name.removeprefix("src/") for name in listed.splitlines()} <= names, "data of packages too"
    assert "onnuri/build.json" in names
    assert any(name.startswith("onnuri/tokenizer/native/_bpe.") for name in names)


def test_the_commit_of_a_wheel_is_that_of_its_build(site: Path, wheel: tuple[Path, str]) -> None:
    code = "import json; from onnuri.base.provenance import code_version; print(json.dumps(code_version()))"
    expected = {"version": __version__, "commit": wheel[1], "modified": ""}
    assert json.loads(installed(site, "-c", code)) == expected


def test_sources_in_somebody_elses_repository_have_no_commit(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / "src" / "onnuri", tmp_path / "vendored" / "src" / "onnuri")
    commit_all(tmp_path)
    code = "from onnuri.base.provenance import code_version; print(code_version()['commit'])"
    assert installed_source(tmp_path / "vendored" / "src", code) == "\n"
    assert installed_source(REPOSITORY / "src", code).strip() != ""


def installed_source(path: Path, code: str) -> str:
    """What code prints with a source tree as its Onnuri."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_an_installed_wheel_needs_no_checkout(site: Path) -> None:
    onnuri = str(site / "bin" / "onnuri")
    assert "pretrain" in installed(site, onnuri, "--help")
    installed(site, onnuri, "corpus", "recipe=sample", "output=corpus")
    installed(site, onnuri, "tokenizer", "input=corpus", "output=tokenizer", "vocab_size=512")
    installed(site, onnuri, "pack", "input=corpus", "tokenizer=tokenizer", "output=tokens")
    words = [
        "experiment=sample",
        "data=tokens",
        "run_dir=run",
        *TINY_MODEL,
        "train.steps=2",
        "evaluation.tasks=[]",
    ]
    installed(site, "-m", "torch.distributed.run", "--standalone", "-m", "onnuri.cli.pretrain", *words)
    installed(site, onnuri, "export", "checkpoint=run", "output=model")
    assert "KMMLU/data/*-test.csv" in installed(site, onnuri, "evaluate", "list")
    assert "KoPairs" in installed(
        site, onnuri, "evaluate", "model=model", "tasks=[kopairs]", "max_items=40"
    )
    work = site.parents[1] / "work"
    assert {path.name for path in work.iterdir()} == {"corpus", "tokenizer", "tokens", "run", "model"}
    recorded = json.loads((work / "run" / "run.json").read_text())["code"]
    assert recorded["commit"] == json.loads((site / "onnuri" / "build.json").read_text())["commit"]
