"""A bundle: from the source tree and a package index to a folder that installs without either."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from onnuri import __version__
from onnuri.base.errors import UserError
from onnuri.base.manifest import hash_file, hash_json
from onnuri.bundle.config import BundleConfig
from onnuri.bundle.sbom import write_sbom
from onnuri.bundle.seal import SIGNATURE_FILE, SUMS_FILE, is_signed_with, read_sums, seal
from onnuri.bundle.source import SourceTree, add_compiled, copy_source, pack_source
from onnuri.bundle.target import Target, choose_target, needed_glibc
from onnuri.bundle.wheels import Request, collect
from onnuri.ledger.keys import load_private_key

log = logging.getLogger(__name__)

FACTS_FILE = "bundle.json"
SBOM_FILE = "sbom.cdx.json"
PROGRAMS = (
    "install.sh",
    "install.py",
    "onnuri.def",
    "Containerfile",
    "onnuri.service",
    "Containerfile.hub",
    "onnuri-hub.service",
    "nginx-hub.conf",
)
BUILT_FILE = ".built.json"
"""In an unfinished bundle: hashes of the wheels that were built here, which no index knows."""


def bundle(config: BundleConfig) -> Path:
    """Write the folder and return it; nothing to do if it is there already.

    Raises UserError if the folder holds something else, the target is unknown, a package has no wheel for
    it, or there is no network.
    """
    target = choose_target(config.python, config.platform)
    key = Path(config.key) if config.key else None
    if key:
        load_private_key(key)
    output = Path(config.output)
    with _ours(output), tempfile.TemporaryDirectory() as scratch:
        source = copy_source(Path(scratch) / "onnuri")
        _check_python(source.folder, target)
        wanted = _wanted(config, source, target)
        if _is_finished(output, wanted, key):
            log.info("%s is up to date", output)
            return output
        request = Request(target, source.folder, config.torch, tuple(config.extras))
        _write(output, request, source, wanted, key)
    files = [path for path in output.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    number = sum(path.suffix == ".whl" for path in files)
    log.info(
        f"{output}: {number} wheels for {request.what}, {size / 1e6:,.0f} MB{', signed' if key else ''}"
    )
    log.info(
        f"carry it over, then: sh {output.name}/install.sh TARGET{' public_key=KEY.pub.pem' if key else ''}"
    )
    return output


def _write(output: Path, request: Request, source: SourceTree, wanted: str, key: Path | None) -> None:
    _reopen(output)
    own = collect(request, output / "wheels", output / BUILT_FILE)
    add_compiled(source, own)
    finish(output, request, source, wanted, key)


def finish(output: Path, request: Request, source: SourceTree, wanted: str, key: Path | None) -> None:
    """What stands beside the wheels: source, SBOM, installer, facts for it, and the hashes of all."""
    pack_source(source, output)
    write_sbom(output / SBOM_FILE, output / "wheels", source.code, source.time)
    for name in PROGRAMS:
        text = Path(__file__).with_name(name).read_text(encoding="utf-8")
        (output / name).write_text(text.replace("@PYTHON@", request.target.python), encoding="utf-8")
    (output / "install.sh").chmod(0o755)
    (output / "PYTHON_VERSION").write_text(f"{request.target.python}\n", encoding="utf-8")
    facts: dict[str, Any] = {
        "kind": "bundle",
        **source.code,
        **asdict(request.target),
        "glibc": needed_glibc(output / "wheels"),
        "torch": request.torch,
        "extras": list(request.extras),
        "wanted": wanted,
    }
    (output / FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (output / BUILT_FILE).unlink(missing_ok=True)
    seal(output, key)


@contextlib.contextmanager
def _ours(output: Path) -> Iterator[None]:
    """Make the folder, or take it if it holds a bundle, finished or not; nobody else may work on it."""
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not _is_bundle(output))):
        raise UserError(f"output={output} exists and is no bundle; name a folder that is new or empty")
    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)
    except BlockingIOError:
        raise UserError(f"another process is making {output}") from None
    except OSError as error:
        raise UserError(f"{error.filename or output}: {error.strerror or error}") from None


def _is_bundle(output: Path) -> bool:
    if (output / BUILT_FILE).is_file():
        return True
    try:
        return json.loads((output / FACTS_FILE).read_text(encoding="utf-8"))["kind"] == "bundle"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _reopen(output: Path) -> None:
    """Make it an unfinished bundle that has wheels at most."""
    built = output / BUILT_FILE
    if not built.is_file():
        known = {Path(name).name: digest for name, digest in read_sums(output).items()}
        built.write_text(json.dumps(known), encoding="utf-8")
    for path in output.iterdir():
        if path.name not in ("wheels", BUILT_FILE):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _check_python(tree: Path, target: Target) -> None:
    allowed = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    if f"{target.python}.0" not in SpecifierSet(allowed):
        raise UserError(f"python={target.python}: Onnuri {__version__} needs Python {allowed}")


def _wanted(config: BundleConfig, source: SourceTree, target: Target) -> str:
    """Hash of all that the content follows from."""
    tree = {
        path.relative_to(source.folder).as_posix(): hash_file(path)
        for path in source.folder.rglob("*")
        if path.is_file()
    }
    return hash_json([__version__, tree, asdict(target), config.torch, sorted(config.extras)])


def _is_finished(output: Path, wanted: str, key: Path | None) -> bool:
    sums = read_sums(output)
    if not sums or bool(key) != (output / SIGNATURE_FILE).is_file():
        return False
    facts = json.loads((output / FACTS_FILE).read_text(encoding="utf-8"))
    names = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    if facts["wanted"] != wanted or names - {SUMS_FILE, SIGNATURE_FILE} != set(sums):
        return False
    if not all(hash_file(output / name) == digest for name, digest in sums.items()):
        return False
    return key is None or is_signed_with(key, output)
