"""The machine that a bundle is for: its Python, processor and C library."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from packaging.utils import parse_wheel_filename

from onnuri.base.errors import UserError

OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of platforms (PEP 599, 571, 513) before they were named by glibc (PEP 600)."""


@dataclass(frozen=True)
class Target:
    """Where the bundle will be installed."""

    python: str
    """Such as 3.11."""
    machine: str
    """Processor, as `uname -m` says it."""
    glibc: int
    """Minor version of glibc 2."""

    @property
    def platform(self) -> str:
        """The newest platform tag that it can install."""
        return f"manylinux_2_{self.glibc}_{self.machine}"

    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for this machine."""
        tags = []
        for minor in range(self.glibc, 4, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in OLD_NAMES:
                tags.append(f"{OLD_NAMES[minor]}_{self.machine}")
        tags.append(f"linux_{self.machine}")
        return [
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={self.python}",
            *(f"--platform={tag}" for tag in tags),
        ]


def choose_target(python: str, wanted: str) -> Target:
    """The target of the options `python` and `platform`.

    Raises UserError for a platform that is unknown, or that this machine cannot compile for.
    """
    here, libc = (
        platform.machine(),
        os.confstr("CS_GNU_LIBC_VERSION") if platform.system() == "Linux" else "",
    )
    if not libc or not (version := re.match(r"glibc 2\.(\d+)", libc)):
        raise UserError(f"a bundle is made on Linux with glibc; this is {platform.platform()}")
    if not wanted:
        return Target(python, here, int(version[1]))
    match = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", wanted)
    if not match or match[2] not in ("x86_64", "aarch64"):
        raise UserError(
            f"platform={wanted} is not known; allowed: manylinux_2_N_x86_64 and manylinux_2_N_aarch64 "
            "(glibc 2.N), such as manylinux_2_28_x86_64"
        )
    if match[2] != here:
        raise UserError(
            f"platform={wanted}: this machine compiles for {here}; make the bundle on one with {match[2]}"
        )
    return Target(python, here, int(match[1]))


def needed_glibc(wheels: Path) -> int:
    """The minor version of glibc 2 that all wheels of a folder can do with."""
    return max((wheel_glibc(path) for path in wheels.glob("*.whl")), default=0)


def wheel_glibc(wheel: Path) -> int:
    """The oldest glibc 2 that a wheel names in its tags; of one compiled here, what its code asks for."""
    named = [_tag_glibc(tag.platform) for tag in parse_wheel_filename(wheel.name)[3]]
    known = [minor for minor in named if minor is not None]
    return min(known) if known else max(_symbol_versions(wheel), default=0)


def _tag_glibc(tag: str) -> int | None:
    if tag == "any":
        return 0
    if match := re.match(r"manylinux_2_(\d+)_", tag):
        return int(match[1])
    return next((minor for minor, name in OLD_NAMES.items() if tag.startswith(name + "_")), None)


def _symbol_versions(wheel: Path) -> Iterator[int]:
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".so"):
                yield from (int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)\b", archive.read(name)))
