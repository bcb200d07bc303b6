"""A bundle of three tiny wheels, and a package index in a folder."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

from onnuri.bundle.build import finish
from onnuri.bundle.source import SourceTree
from onnuri.bundle.target import Target
from onnuri.bundle.wheels import Request

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
TARGET = Target(PYTHON, platform.machine(), 36)
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "onnuri"
requires-python = ">=3.11"

[project.optional-dependencies]
dev = []
sample = ["read-only"]
"""
BACKEND = """
import os
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "onnuri-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        info = "onnuri-0.1.0.dist-info"
        archive.writestr("onnuri.pth", os.path.abspath("src"))
        archive.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: onnuri\\nVersion: 0.1.0\\n")
        wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr(info + "/WHEEL", wheel)
        archive.writestr(info + "/entry_points.txt", "[console_scripts]\\nonnuri = onnuri_main:main\\n")
        archive.writestr(info + "/RECORD", "")
    return name
"""


def write_wheel(
    folder: Path, name: str, version: str, *lines: str, tag: str = "py3-none-any", content: bytes = b""
) -> Path:
    """A wheel with one module; `lines` are further lines of its METADATA."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    path, info = folder / f"{module}-{version}-{tag}.whl", f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", content or f"version = '{version}'\n")
        metadata = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, ""]
        archive.writestr(f"{info}/METADATA", "\n".join(metadata))
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def write_tree(folder: Path) -> Path:
    """A source tree that installs without setuptools."""
    (folder / "src").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "Makefile").write_text("all:\n")
    (folder / "constraints.txt").write_text("torch==2.13.0\nalpha==1.0\nbeta==2.0\nread_only==3.0\n")
    (folder / "src" / "onnuri_main.py").write_text("def main():\n    print('onnuri 0.1.0')\n")
    return folder


def write_bundle(root: Path, key: Path | None = None, python: str = PYTHON) -> Path:
    """A finished bundle in `root`/묶음 하나."""
    bundle = root / "묶음 하나"
    write_wheel(bundle / "wheels", "alpha", "1.0", "License-Expression: MIT", "Requires-Dist: beta")
    write_wheel(bundle / "wheels", "beta", "2.0", "License: BSD", tag="py3-none-manylinux_2_17_x86_64")
    write_wheel(bundle / "wheels", "onnuri", "0.1.0", "License-Expression: Apache-2.0")
    tree = write_tree(root / "tree")
    source = SourceTree(tree, 1_800_000_000, {"version": "0.1.0", "commit": "c0ffee", "modified": ""})
    target = Target(python, TARGET.machine, TARGET.glibc)
    finish(bundle, Request(target, tree, "cpu", ()), source, "wanted", key)
    return bundle


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key, by openssl."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    export = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(export, check=True, capture_output=True)
    return private, public


def change_fact(bundle: Path, name: str, value: object) -> None:
    """Another fact in bundle.json, with a hash that agrees."""
    from onnuri.bundle.seal import seal

    facts = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**facts, name: value}))
    seal(bundle, None)
