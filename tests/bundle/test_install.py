"""install.sh on a small bundle: what it refuses, in one line and before it writes, and what it makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from onnuri.bundle.seal import seal
from tests.bundle.small import PYTHON, change_fact, make_keys, write_bundle, write_wheel

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, "ours")
    make_keys(folder, "theirs")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    """To be copied, not changed."""
    return write_bundle(tmp_path_factory.mktemp("bundle"), keys / "ours.pem")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "media" / made.name)


def install(bundle: Path, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    home = bundle.parents[1] / "home"
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHON": sys.executable, **variables}
    command = ["sh", str(bundle / "install.sh"), *map(str, words)]
    return subprocess.run(
        command, cwd=bundle.parents[1], env=environment, capture_output=True, text=True, check=False
    )


def everything(bundle: Path) -> list[Path]:
    """All paths around a bundle but the home directory."""
    root = bundle.parents[1]
    return sorted(path for path in root.rglob("*") if path.relative_to(root).parts[0] != "home")


def refuse(bundle: Path, message: str, *words: str | Path, **variables: str) -> None:
    """It says this, in one line, and leaves everything as it was."""
    before = everything(bundle)
    done = install(bundle, *(words or ["target"]), **variables)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert everything(bundle) == before


def test_a_changed_byte(bundle: Path) -> None:
    wheel = bundle / "wheels" / "alpha-1.0-py3-none-any.whl"
    content = bytearray(wheel.read_bytes())
    content[60] ^= 1
    wheel.write_bytes(content)
    refuse(bundle, "wheels/alpha-1.0-py3-none-any.whl was changed or damaged")


def test_a_changed_installer(bundle: Path) -> None:
    with (bundle / "install.py").open("a") as stream:
        stream.write("# more\n")
    refuse(bundle, "install.py was changed or damaged")


@pytest.mark.parametrize(
    "name", ["wheels/alpha-1.0-py3-none-any.whl", "onnuri-0.1.0.tar.gz", "bundle.json"]
)
def test_a_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    refuse(bundle, f"{name} is missing from 묶음 하나")


@pytest.mark.parametrize(
    "name", ["wheels/evil-1.0-py3-none-any.whl", "wheels/.hidden", "sitecustomize.py", ".x/y"]
)
def test_an_extra_file(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("extra")
    refuse(bundle, f"{name.removesuffix('/y')} is in 묶음 하나, but not in SHA256SUMS")


def test_an_extra_link(bundle: Path) -> None:
    (bundle / "wheels" / "a-link.whl").symlink_to("/nowhere")
    refuse(bundle, "wheels/a-link.whl is in 묶음 하나, but not in SHA256SUMS")


def test_hashes_that_are_cut_or_missing(bundle: Path) -> None:
    sums = bundle / "SHA256SUMS"
    whole = sums.read_text()
    sums.write_text(whole[:30])
    refuse(bundle, "SHA256SUMS is damaged")
    sums.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    refuse(bundle, "but not in SHA256SUMS")
    sums.unlink()
    refuse(bundle, "has no SHA256SUMS: it is unfinished")


def test_another_python(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3.9\n")
    other.chmod(0o755)
    refuse(bundle, f"is for Python {PYTHON}, and {other} is Python 3.9; name one with", PYTHON=str(other))
    other.write_text("#!/bin/sh\nexit 127\n")
    refuse(bundle, f"{other} does not run", PYTHON=str(other))


def test_no_python(bundle: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "sha256sum"):
        (tools / name).symlink_to(str(shutil.which(name)))
    refuse(bundle, f"Python {PYTHON} is not installed", PATH=str(tools), PYTHON="")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("machine", "riscv64", "this bundle is for Linux on riscv64, and this machine is Linux on"),
        ("glibc", 99, "this bundle needs glibc 2.99 or later, and this machine has glibc 2."),
    ],
)
def test_another_machine(bundle: Path, name: str, value: object, message: str) -> None:
    (bundle / "SHA256SUMS.sig").unlink()
    change_fact(bundle, name, value)
    refuse(bundle, message)


def test_compiled_code_that_does_not_load(bundle: Path) -> None:
    own = next((bundle / "wheels").glob("onnuri-*"))
    own.unlink()
    import zipfile

    with zipfile.ZipFile(write_wheel(own.parent, "onnuri", "0.1.0"), "a") as archive:
        archive.writestr("onnuri/tokenizer/native/_bpe.x86_64.so", b"\x7fELF of a machine to come")
    seal(bundle, None)
    refuse(bundle, "Onnuri's compiled code does not load here")


def test_signatures(bundle: Path, keys: Path) -> None:
    refuse(bundle, "was not signed with the key of", "target", f"public_key={keys / 'theirs.pub.pem'}")
    refuse(bundle, "cannot be read", "target", "public_key=/no/such.pem")
    refuse(bundle, "names no file", "target", "public_key=")
    sums = bundle / "SHA256SUMS"
    kept = sums.read_text()
    (bundle / "wheels" / "alpha-1.0-py3-none-any.whl").unlink()
    sums.write_text("".join(line for line in kept.splitlines(keepends=True) if "alpha" not in line))
    refuse(bundle, "or SHA256SUMS was changed since", "target", f"public_key={keys / 'ours.pub.pem'}")
    (bundle / "SHA256SUMS.sig").unlink()
    refuse(
        bundle, "is not signed: it has no SHA256SUMS.sig", "target", f"public_key={keys / 'ours.pub.pem'}"
    )


def test_targets(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    refuse(bundle, "thesis has other files; name a folder that is new or empty", "thesis")
    refuse(bundle, "is no folder; name another one", tmp_path / "thesis" / "chapter")
    refuse(bundle, "lies in the bundle; name a folder outside of it", bundle / "here")
    refuse(bundle, "two targets: a and b; quote a path with blanks", "a", "b")
    refuse(bundle, "--prefix=x is not known", "--prefix=x")


def test_help(bundle: Path) -> None:
    done = install(bundle, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Install Onnuri") and "public_key=KEY.pub.pem" in done.stdout


def test_installation_and_again(bundle: Path, keys: Path, tmp_path: Path) -> None:
    """In a path with blanks and Hangul; done again it does nothing, interrupted it starts over."""
    public = f"public_key={keys / 'ours.pub.pem'}"
    done = install(bundle, "새 집", public)
    assert done.returncode == 0, done.stdout + done.stderr
    target = tmp_path / "새 집"
    python = target / ".venv" / "bin" / "python"
    check = [str(python), "-c", "import alpha, beta, onnuri_main; print(onnuri_main.__file__)"]
    found = subprocess.run(check, capture_output=True, text=True, check=True).stdout
    assert found == f"{target}/src/onnuri_main.py\n"  # editable
    assert (target / "Makefile").is_file() and (target / ".venv" / ".installed").is_file()
    assert not {".cache", ".local", ".config"} & {path.name for path in (tmp_path / "home").iterdir()}

    pip = [str(python), "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path / "got")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    subprocess.run([*pip, "alpha"], check=True, env=environment)  # from the bundle, whose path has a blank
    refused = subprocess.run([*pip, "pip"], capture_output=True, text=True, check=False, env=environment)
    assert "No matching distribution found for pip" in refused.stderr

    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    done = install(bundle, "새 집", public)
    assert (done.returncode, f"{target} is up to date" in done.stdout) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before

    marker = target / ".onnuri-bundle"
    marker.write_text(marker.read_text().replace("installed", "unfinished"))
    shutil.rmtree(target / ".venv" / "lib")
    done = install(bundle, "새 집")
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(check, check=True, capture_output=True)

    seal(bundle, keys / "theirs.pem")
    marker.write_text("installed " + "0" * 64)
    refuse(bundle, "was installed from another bundle; remove it or name another folder", "새 집")
