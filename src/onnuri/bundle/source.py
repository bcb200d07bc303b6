"""The source tree of a bundle, and Onnuri's own wheel, which is built from it."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import shutil
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from onnuri import __version__
from onnuri.base.errors import UserError
from onnuri.base.location import checkout
from onnuri.base.provenance import BUILD_FILE, code_version, hash_source

log = logging.getLogger(__name__)

GENERATED = (
    *(".venv*", "build", "runs", "dist", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "*.so"),
    *("*.partial", "wandb", ".git", ".gpu-kit", ".gpu-rehearsal", "gpu-results", ".onnuri-bundle"),
)
"""What is left out where there is no repository to ask."""


@dataclass(frozen=True)
class SourceTree:
    """A copy of the tree at one commit."""

    folder: Path
    time: int
    """Of the commit, or of the newest file where there is no repository; seconds since 1970."""
    code: dict[str, str]
    """Version, commit, and the hash of what differs from the commit."""


def copy_source(folder: Path) -> SourceTree:
    """Copy the tree that this code runs from: its last commit, or, where it has no repository, its files.

    Raises UserError for an installed wheel.
    """
    root = checkout()
    if root is None or not (root / "constraints.txt").is_file():
        raise UserError(
            "a bundle is made from the source tree: run make bundle in a checkout, or in a tree that "
            "install.sh has unpacked"
        )
    code = code_version()
    if (root / ".git").exists():
        archive = subprocess.run(
            ["git", "-C", str(root), "archive", "--format=tar", "HEAD"], check=True, capture_output=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 has none
            tar.extractall(folder)
        if code["modified"]:
            log.info(f"warning: the bundle has commit {code['commit'][:12]}, without your changes")
            code["modified"] = ""
    else:
        shutil.copytree(root, folder, ignore=shutil.ignore_patterns(*GENERATED))
        for path in (folder, *folder.rglob("*")):  # also of a write-protected checkout
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    time = int(max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file()))
    build = {**code, "source": hash_source(folder)}
    (folder / BUILD_FILE).write_text(json.dumps(build), encoding="utf-8")
    return SourceTree(folder, time, code)


def add_compiled(source: SourceTree, wheel: Path) -> None:
    """Put the libraries of Onnuri's wheel beside their sources. Newer than these, they stay as they are."""
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".so"):
                path = source.folder / "src" / name
                path.write_bytes(archive.read(name))
                os.utime(path, (source.time + 1, source.time + 1))


def pack_source(source: SourceTree, folder: Path) -> Path:
    """Write onnuri-VERSION.tar.gz; the same tree gives the same bytes."""
    path = folder / f"onnuri-{__version__}.tar.gz"

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = source.time + (entry.name.endswith(".so"))
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with (
        path.open("wb") as stream,
        gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        tar.add(source.folder, arcname=".", filter=plain)
    return path
