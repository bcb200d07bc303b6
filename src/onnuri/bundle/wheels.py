"""The wheels of a bundle: chosen, fetched and checked; those that are there already are not fetched again.

pip first says which files it would take, with their hashes; only then are the missing ones fetched, a few
at a time, so that an interrupted bundle resumes. Packages published as source alone are built here.
"""

from __future__ import annotations

import json
import logging
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from onnuri.base.errors import UserError, check_choice
from onnuri.base.manifest import hash_file
from onnuri.bundle.pip import NoWheel, Wheel, resolve, run_pip
from onnuri.bundle.target import Target, wheel_glibc
from onnuri.gpu.wheels import unmet_requirements

log = logging.getLogger(__name__)

SOURCE_ONLY = ("deepspeed", "antlr4-python3-runtime", "kiwipiepy-model")
"""Published without a wheel. Pure Python or data, if DeepSpeed compiles nothing (DS_BUILD_OPS=0)."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where the CPU build of torch is, if the configured index has none."""
BATCH = 8
"""Wheels that one call of pip fetches: it keeps none of them if it is interrupted."""


@dataclass(frozen=True)
class Request:
    """What is to be installed, on what."""

    target: Target
    tree: Path
    """Copy of the source tree: pyproject.toml and constraints.txt."""
    torch: str
    extras: tuple[str, ...]

    @property
    def what(self) -> str:
        """The target, in words."""
        return f"Python {self.target.python} on {self.target.platform}"

    @property
    def constraints(self) -> Path:
        """The pinned versions."""
        return self.tree / "constraints.txt"

    @property
    def built(self) -> Path:
        """Copies of the wheels that were built here, for pip to find. Others it must ask the index for."""
        return self.tree.parent / "built"

    def pinned(self, name: str) -> str:
        """NAME==VERSION of constraints.txt. Raises UserError if it has none."""
        for line in self.constraints.read_text(encoding="utf-8").splitlines():
            if canonicalize_name(line.partition("==")[0]) == canonicalize_name(name):
                return line.strip()
        raise UserError(f"constraints.txt has no version of {name}")

    def extra_packages(self, extra: str) -> list[str]:
        """The packages of an extra in pyproject.toml. Raises UserError if there is no such extra."""
        text = (self.tree / "pyproject.toml").read_text(encoding="utf-8")
        extras = tomllib.loads(text)["project"]["optional-dependencies"]
        check_choice("extras", extra, extras)
        return extras[extra]


def collect(request: Request, folder: Path, record: Path) -> Path:
    """Fill a folder with every wheel of the request, and with no other. Returns that of Onnuri.

    Args:
        record: JSON file, the sha256 of wheels by name: no index knows those that were built here.

    Raises UserError if a package has no wheel for the target, or there is no network.
    """
    folder.mkdir(exist_ok=True)
    wanted = set()
    request.built.mkdir()
    for path in build_source_only(request, folder, record):
        wanted.add(path.name)
        shutil.copyfile(path, request.built / path.name)
    own = build_onnuri(request.tree, folder)
    if (needed := wheel_glibc(own)) > request.target.glibc:
        raise UserError(
            f"platform={request.target.platform}: Onnuri, compiled here, needs glibc 2.{needed}; make the "
            f"bundle on a machine with glibc 2.{request.target.glibc}"
        )
    wanted.add(own.name)
    log.info(f"choosing wheels for {request.what}")
    chosen = choose(request, folder, own)
    fetch(chosen, request, folder)
    wanted |= {wheel.file for wheel in chosen}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    more = _asked_by_markers(request, folder)
    if more:  # pip reads markers such as python_version < "3.12" for the Python that it runs on
        added = resolve(more, [*_options(request), "--no-deps"], request.what)
        fetch(added, request, folder)
    if unmet := _asked_by_markers(request, folder):
        raise UserError(f"wheels that others need are missing: {', '.join(unmet)}")
    return own


def choose(request: Request, folder: Path, own: Path) -> list[Wheel]:
    """The wheels to fetch: torch, what Onnuri needs, and the packages that the sample only reads."""
    for extra in request.extras:
        request.extra_packages(extra)
    extras = ",".join(("dev", *request.extras))
    options = _options(request)
    torch = choose_torch(request, options)
    needed = [
        f"{torch.name} @ {torch.url}#sha256={torch.sha256}",
        f"onnuri[{extras}] @ {own.absolute().as_uri()}",
    ]
    found = resolve(needed, [*options, f"--constraint={request.constraints}"], request.what)
    read_only = [request.pinned(name) for name in request.extra_packages("sample")]
    found += resolve(read_only, [*options, "--no-deps"], request.what)
    built = {path.name for path in folder.glob("*.whl")}
    return [wheel for wheel in found if wheel.file != own.name and not _is_built(wheel, built)]


def choose_torch(request: Request, options: Sequence[str]) -> Wheel:
    """The build of torch that was asked for, whichever pip would take."""
    version = request.pinned("torch").partition("==")[2]
    options = [*options, "--no-deps"]
    if request.torch == "cuda":
        return resolve([f"torch==={version}"], options, request.what)[0]
    wanted = [f"torch==={version}+cpu"]
    try:
        return resolve(wanted, options, request.what)[0]
    except NoWheel:
        try:
            return resolve(wanted, [*options, f"--index-url={CPU_INDEX}"], request.what)[0]
        except UserError:
            raise UserError(
                f"torch {version}+cpu has no wheel for {request.what} in the package index or in "
                f"{CPU_INDEX}; torch=cuda takes the index's own build"
            ) from None


def fetch(wheels: Sequence[Wheel], request: Request, folder: Path) -> None:
    """Bring what is not there with the right hash."""
    missing = [wheel for wheel in wheels if not _is_there(wheel, folder)]
    if kept := len(wheels) - len(missing):
        log.info(f"{kept} of {len(wheels)} wheels are there already")
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        words = ["download", "--no-deps", f"--dest={folder}", *request.target.pip_options()]
        run_pip([*words, *(f"{wheel.url}#sha256={wheel.sha256}" for wheel in batch)], request.what)
        for wheel in batch:
            if not _is_there(wheel, folder):
                raise UserError(f"{folder / wheel.file} is not the file that the index names; run again")
        done, size = min(start + BATCH, len(missing)), sum(path.stat().st_size for path in folder.iterdir())
        log.info(f"fetched {done} of {len(missing)} wheels; {size / 1e6:,.0f} MB in {folder}")


def build_source_only(request: Request, folder: Path, record: Path) -> list[Path]:
    """Wheels of packages published as source alone; an earlier build with the recorded hash is kept."""
    built, known = [], json.loads(record.read_text(encoding="utf-8"))
    for name in SOURCE_ONLY:
        pinned = request.pinned(name)
        project, _, version = pinned.partition("==")
        pattern = f"{canonicalize_name(project).replace('-', '_')}-{version}-*.whl"
        found = [path for path in folder.glob(pattern) if known.get(path.name) == hash_file(path)]
        if not found:
            log.info(f"building a wheel of {pinned}")
            words = ["wheel", "--no-deps", f"--no-binary={name}", f"--wheel-dir={folder}", pinned]
            run_pip(words, request.what, {"DS_BUILD_OPS": "0"})
            found = list(folder.glob(pattern))
        if not found[0].name.endswith("-none-any.whl"):
            raise UserError(f"{pinned} was built for this Python alone: {found[0].name}")
        built.append(found[0])
        known[found[0].name] = hash_file(found[0])
        record.write_text(json.dumps(known), encoding="utf-8")
    return built


def build_onnuri(tree: Path, folder: Path) -> Path:
    """Onnuri's own wheel, compiled here; it serves every Python."""
    log.info("building the wheel of Onnuri")
    for old in folder.glob("onnuri-*.whl"):
        old.unlink()
    run_pip(
        ["wheel", "--no-deps", f"--wheel-dir={folder}", str(tree)],
        "this machine",
        {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    for made in ("build", "src/onnuri.egg-info"):
        shutil.rmtree(tree / made, ignore_errors=True)
    return next(folder.glob("onnuri-*-py3-none-*.whl"))


def _options(request: Request) -> list[str]:
    return [*request.target.pip_options(), f"--find-links={request.built.as_uri()}"]


def _asked_by_markers(request: Request, folder: Path) -> list[str]:
    read_only = request.extra_packages("sample")
    unmet = unmet_requirements(folder, request.target.python, (), read_only)
    return sorted({f"{requirement.name}{requirement.specifier}" for _, requirement in unmet})


def _is_built(wheel: Wheel, built: set[str]) -> bool:
    return wheel.file in built and canonicalize_name(wheel.name) in SOURCE_ONLY


def _is_there(wheel: Wheel, folder: Path) -> bool:
    path = folder / wheel.file
    return path.is_file() and hash_file(path) == wheel.sha256
