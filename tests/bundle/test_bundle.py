"""Making a bundle: wheels from an index, hashes, signature, SBOM, source tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.base.manifest import hash_file
from onnuri.base.provenance import code_version, hash_source
from onnuri.bundle import build, pip, wheels
from onnuri.bundle.config import BundleConfig
from onnuri.bundle.sbom import component, licences_of
from onnuri.bundle.seal import is_signed_with, read_sums, seal
from onnuri.bundle.source import GENERATED, SourceTree, add_compiled, copy_source, pack_source
from onnuri.bundle.target import Target, choose_target, wheel_glibc
from onnuri.bundle.wheels import Request, collect
from onnuri.gpu.wheels import read_metadata
from tests.bundle.small import PYTHON, TARGET, make_keys, write_bundle, write_tree, write_wheel
from tests.conftest import REPOSITORY, run_command

OTHER_PYTHON = "3.13" if PYTHON != "3.13" else "3.12"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks."""
    folder = tmp_path / "index"
    write_wheel(folder, "torch", "2.13.0+cpu")
    write_wheel(folder, "alpha", "1.0", f"Requires-Dist: gamma; python_version == '{OTHER_PYTHON}'")
    write_wheel(folder, "beta", "2.0")
    write_wheel(folder, "gamma", "4.0")
    write_wheel(folder, "read-only", "3.0", "Requires-Dist: not-wanted")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    return folder


@pytest.fixture
def request_of(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A tree whose wheel needs alpha, beta and torch, and reads read-only."""
    lines = ["Requires-Dist: alpha", "Requires-Dist: beta", "Requires-Dist: torch", "Provides-Extra: dev"]
    monkeypatch.setattr(wheels, "SOURCE_ONLY", ())
    monkeypatch.setattr(
        wheels, "build_onnuri", lambda tree, folder: write_wheel(folder, "onnuri", "0.1.0", *lines)
    )
    return Request(TARGET, write_tree(tmp_path / "work" / "tree"), "cpu", ())


def collected(request: Request, folder: Path) -> set[str]:
    """The names of the wheels in the folder, after collecting them."""
    record = folder.parent / "built.json"
    record.write_text("{}")
    shutil.rmtree(request.built, ignore_errors=True)
    collect(request, folder, record)
    return {path.name.partition("-")[0] for path in folder.iterdir()}


def test_wheels_are_fetched_once(
    request_of: Request, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "old-1.0-py3-none-any.whl").write_text("of an earlier bundle")
    assert collected(request_of, folder) == {"alpha", "beta", "torch", "read_only", "onnuri"}

    fetched: list[str] = []
    run_pip = pip.run_pip

    def watched(words: list[str], *others: str) -> None:
        fetched.extend(word.rpartition("/")[2] for word in words if word.startswith("file://"))
        run_pip(words, *others)

    monkeypatch.setattr(wheels, "run_pip", watched)
    collected(request_of, folder)
    assert fetched == []
    with (folder / "alpha-1.0-py3-none-any.whl").open("ab") as stream:
        stream.write(b"damaged")
    (folder / "beta-2.0-py3-none-any.whl").unlink()
    collected(request_of, folder)
    assert sorted(name.partition("-")[0] for name in fetched) == ["alpha", "beta"]
    for name in ("alpha-1.0", "beta-2.0"):
        assert hash_file(folder / f"{name}-py3-none-any.whl") == hash_file(
            index / f"{name}-py3-none-any.whl"
        )


def test_markers_are_those_of_the_target(request_of: Request, tmp_path: Path) -> None:
    other = Request(Target(OTHER_PYTHON, TARGET.machine, 36), request_of.tree, "cpu", ())
    assert "gamma" in collected(other, tmp_path / "wheels")


def test_a_package_without_a_wheel_is_named(request_of: Request, index: Path, tmp_path: Path) -> None:
    (index / "beta-2.0-py3-none-any.whl").unlink()
    write_wheel(index, "beta", "2.0", tag="cp27-cp27m-manylinux_2_17_x86_64")
    message = (
        rf"beta==2.0 has no wheel for Python {PYTHON} on manylinux_2_36_\w+, or a package needs another"
    )
    with pytest.raises(UserError, match=message):
        collected(request_of, tmp_path / "wheels")
    (index / "beta-2.0-cp27-cp27m-manylinux_2_17_x86_64.whl").unlink()
    write_wheel(index, "beta", "2.1")
    with pytest.raises(UserError, match=r"beta==2.0 has no wheel for Python"):
        collected(request_of, tmp_path / "wheels")


def test_torch_without_a_cpu_build(request_of: Request, index: Path, tmp_path: Path) -> None:
    next(index.glob("torch*")).unlink()
    write_wheel(index, "torch", "2.13.0")
    with pytest.raises(UserError, match=r"torch 2.13.0\+cpu has no wheel for .*; torch=cuda takes"):
        collected(request_of, tmp_path / "wheels")
    cuda = Request(TARGET, request_of.tree, "cuda", ())
    collected(cuda, tmp_path / "wheels")
    assert (tmp_path / "wheels" / "torch-2.13.0-py3-none-any.whl").is_file()


def test_a_system_older_than_the_compiler(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "wheel_glibc", lambda wheel: 37)
    with pytest.raises(
        UserError, match=r"needs glibc 2\.37; make the bundle on a machine with glibc 2\.36"
    ):
        collected(request_of, tmp_path / "wheels")


def test_an_unknown_extra(request_of: Request, tmp_path: Path) -> None:
    typo = Request(TARGET, request_of.tree, "cpu", ("sampel",))
    with pytest.raises(UserError, match=r"extras=sampel is not known.*did you mean 'sample'"):
        collected(typo, tmp_path / "wheels")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "WARNING: Retrying (Retry(total=1)) after connection broken\nERROR: No matching",
            "cannot be reached",
        ),
        ("ERROR: No matching distribution found for flash-attn", "flash-attn has no wheel for Python 3.11"),
        ("The user requested (constraint) kiwi==0.24.0\nERROR: Resolution", "kiwi==0.24.0 has no wheel"),
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: first\nERROR: last\n", "pip: last"),
    ],
)
def test_failures_of_pip_in_one_line(output: str, message: str) -> None:
    explained = str(pip.explain(output, "Python 3.11 on manylinux_2_28_x86_64"))
    assert message in explained and "\n" not in explained


def test_targets() -> None:
    assert choose_target("3.12", "") == Target("3.12", TARGET.machine, choose_target("3.11", "").glibc)
    assert choose_target("3.12", f"manylinux_2_28_{TARGET.machine}").glibc == 28
    options = Target("3.12", "x86_64", 28).pip_options()
    assert {"--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64"} <= set(options)
    assert "--platform=manylinux_2_29_x86_64" not in options
    with pytest.raises(UserError, match="platform=windows is not known; allowed: manylinux_2_N_x86_64"):
        choose_target("3.12", "windows")
    other = "aarch64" if TARGET.machine == "x86_64" else "x86_64"
    with pytest.raises(UserError, match=f"this machine compiles for {TARGET.machine}"):
        choose_target("3.12", f"manylinux_2_28_{other}")


def test_the_oldest_glibc_of_a_wheel(tmp_path: Path) -> None:
    def glibc(tag: str) -> int:
        return wheel_glibc(write_wheel(tmp_path, "some", "1.0", tag=tag))

    assert glibc("py3-none-any") == 0
    assert glibc("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64") == 17
    assert glibc("cp311-cp311-manylinux_2_28_x86_64.manylinux_2_34_x86_64") == 28
    assert glibc("cp311-cp311-manylinux1_x86_64") == 5
    import zipfile

    with zipfile.ZipFile(write_wheel(tmp_path, "own", "1.0", tag="py3-none-linux_x86_64"), "a") as archive:
        archive.writestr("own.so", b"\0GLIBC_2.2.5\0GLIBC_2.14\0GLIBC_2.29\0GLIBCXX_3.4.29\0")
    assert wheel_glibc(tmp_path / "own-1.0-py3-none-linux_x86_64.whl") == 29


def test_mistakes_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    for words, message in (
        ([], "missing option: output="),
        ([f"output={tmp_path / 'mine'}"], "exists and is no bundle; name a folder that is new or empty"),
        ([f"output={tmp_path / 'new'}", "python=3.14"], "needs Python >=3.11,<3.14"),
        ([f"output={tmp_path / 'new'}", "python=eleven"], "python=eleven must be a version such as 3.11"),
        ([f"output={tmp_path / 'new'}", "torch=rocm"], "torch=rocm is not known; allowed: cpu, cuda"),
        ([f"output={tmp_path / 'new'}", "key=/no/such.pem"], "key=/no/such.pem cannot be read"),
    ):
        done = run_command("bundle", *words, check=False)
        assert (done.returncode, message in done.stderr, done.stderr.count("\n")) == (2, True, 1), (
            done.stderr
        )
    assert (tmp_path / "mine" / "notes").read_text() == "mine"
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


def test_hashes_and_signature_are_for_common_tools(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path, "ours")
    other, _ = make_keys(tmp_path, "other")
    bundle = write_bundle(tmp_path, private)
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert set(read_sums(bundle)) == names - {"SHA256SUMS", "SHA256SUMS.sig"}
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, check=True, capture_output=True
    )
    verify = [
        "openssl",
        "dgst",
        "-sha256",
        "-verify",
        str(public),
        "-signature",
        "SHA256SUMS.sig",
        "SHA256SUMS",
    ]
    subprocess.run(verify, cwd=bundle, check=True, capture_output=True)
    assert is_signed_with(private, bundle) and not is_signed_with(other, bundle)
    seal(bundle, None)
    assert not (bundle / "SHA256SUMS.sig").exists()


def test_the_sbom(tmp_path: Path) -> None:
    """The fields that CycloneDX 1.6 requires, and a component for each wheel."""
    bundle = write_bundle(tmp_path)
    document = json.loads((bundle / "sbom.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    hexadecimal = "[0-9a-f]"
    number = "-".join(f"{hexadecimal}{{{length}}}" for length in (8, 4, 4, 4, 12))
    assert re.fullmatch(f"urn:uuid:{number}", document["serialNumber"])
    assert {"type", "name"} <= set(document["metadata"]["component"])
    found = {entry["name"]: entry for entry in document["components"]}
    assert set(found) == {"alpha", "beta", "onnuri"}
    for name, entry in found.items():
        wheel = next((bundle / "wheels").glob(f"{name}-*.whl"))
        assert entry["type"] == "library" and entry["purl"] == f"pkg:pypi/{name}@{entry['version']}"
        assert entry["hashes"] == [{"alg": "SHA-256", "content": hash_file(wheel)}]
    assert found["alpha"]["licenses"] == [{"expression": "MIT"}]
    assert found["beta"]["licenses"] == [{"license": {"name": "BSD"}}]
    assert len({entry["bom-ref"] for entry in document["components"]}) == 3


def test_names_in_the_sbom(tmp_path: Path) -> None:
    assert component(write_wheel(tmp_path, "torch", "2.13.0+cpu"))["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    lines = ["License: " + "The whole text. " * 20, "Classifier: License :: OSI Approved :: MIT License"]
    metadata = read_metadata(write_wheel(tmp_path, "some", "1.0", *lines))
    assert licences_of(metadata) == [{"license": {"name": "MIT License"}}]
    assert licences_of(read_metadata(write_wheel(tmp_path, "none", "1.0", "License: UNKNOWN"))) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceTree:
    return copy_source(tmp_path_factory.mktemp("source") / "tree")


def test_the_source_tree_knows_its_commit(source: SourceTree, tmp_path: Path) -> None:
    assert {"Makefile", "docs", "constraints.txt", "tests"} <= {
        path.name for path in source.folder.iterdir()
    }
    assert not list(source.folder.rglob("*.so"))
    tree = shutil.copytree(source.folder, tmp_path / "tree")
    code = "import json; from onnuri.base.provenance import code_version; print(json.dumps(code_version()))"

    def version() -> dict[str, str]:
        environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    assert version() == {**code_version(), "modified": ""}
    with (tree / "src" / "onnuri" / "errors.py").open("a") as stream:
        stream.write("# changed on the cluster\n")
    assert version() == {**code_version(), "modified": hash_source(tree)}


def test_the_same_tree_gives_the_same_archive(source: SourceTree, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    hashes = {hash_file(pack_source(source, folder)) for folder in (first, second)}
    assert len(hashes) == 1
    with tarfile.open(next(first.iterdir())) as tar:
        entries = {entry.name: entry for entry in tar}
    assert entries["./scripts/gpu_kit.sh"].mode == 0o755 and entries["./Makefile"].mode == 0o644
    assert all((entry.uid, entry.uname) == (0, "") for entry in entries.values())


def test_what_a_tree_without_a_repository_leaves_out(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(*GENERATED)
    left_out = {".venv", ".venv-oldest", "build", "x.so", "__pycache__", ".ruff_cache", ".git"}
    assert ignored(str(tmp_path), [*left_out, "src", ".gitignore", ".ci", "Makefile"]) == left_out


def test_compiled_code_is_taken_as_it_is(source: SourceTree, tmp_path: Path) -> None:
    """With libraries newer than their sources, the tree installs without a compiler; otherwise not."""
    tree = shutil.copytree(source.folder, tmp_path / "tree")
    own = REPOSITORY / "src" / "onnuri" / "tokenizer" / "native" / f"_bpe.{TARGET.machine}.so"
    if not own.is_file():
        pytest.skip("the tokenizer is not compiled here")
    wheel = write_wheel(tmp_path, "onnuri", "0.1.0")
    import zipfile

    with zipfile.ZipFile(wheel, "a") as archive:
        archive.write(own, own.relative_to(REPOSITORY / "src").as_posix())
    add_compiled(SourceTree(tree, source.time, source.code), wheel)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--wheel-dir",
        str(tmp_path / "made"),
        str(tree),
    ]
    no_compiler = {**os.environ, "CC": "false", "CXX": "false"}
    done = subprocess.run(command, env=no_compiler, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    made = next((tmp_path / "made").glob("*.whl"))
    assert "-py3-none-linux_" in made.name
    with zipfile.ZipFile(made) as archive:
        assert archive.read(own.relative_to(REPOSITORY / "src").as_posix()) == own.read_bytes()
    (tree / "src/onnuri/tokenizer/native/bpe.cpp").touch()
    refused = subprocess.run(command, env=no_compiler, capture_output=True, text=True, check=False)
    assert refused.returncode != 0


def test_a_finished_bundle_is_up_to_date(tmp_path: Path) -> None:
    private, _ = make_keys(tmp_path, "ours")
    bundle = write_bundle(tmp_path, private)
    assert build._is_finished(bundle, "wanted", private)
    assert not build._is_finished(bundle, "of another commit", private)
    assert not build._is_finished(bundle, "wanted", None)
    (bundle / "wheels" / "extra.whl").write_text("extra")
    assert not build._is_finished(bundle, "wanted", private)


def test_python_is_the_running_one_by_default() -> None:
    assert BundleConfig("somewhere").python == PYTHON
