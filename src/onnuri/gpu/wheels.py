"""Is everything that the carried wheels need carried too, or on the node already?

    python -m onnuri.gpu.wheels FOLDER PYTHON_VERSION NAME...

NAME: packages of the node. Exit status 1 and a line for each requirement that is in neither: without it the
kit would fail where nothing can be downloaded.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def missing_requirements(folder: Path, python_version: str, on_node: list[str]) -> list[str]:
    """A line for each requirement of a wheel in the folder that is not met, extras aside."""
    return [
        f"{wheel} needs {requirement.name}, which is neither carried nor on the node"
        for wheel, requirement in unmet_requirements(folder, python_version, on_node)
    ]


def unmet_requirements(
    folder: Path, python_version: str, on_node: Iterable[str] = (), unasked: Iterable[str] = ()
) -> Iterator[tuple[str, Requirement]]:
    """File name of a wheel in the folder, and a requirement of it that is not met, extras aside.

    Args:
        python_version: for which markers such as `python_version < "3.12"` are read.
        on_node: packages that are there already.
        unasked: packages whose requirements are not asked for.
    """
    metadata = {wheel.name: read_metadata(wheel) for wheel in sorted(folder.glob("*.whl"))}
    there = {canonicalize_name(name) for name in on_node}
    there |= {canonicalize_name(text["Name"]) for text in metadata.values()}
    skipped = {canonicalize_name(name) for name in unasked}
    node = {
        "python_version": python_version,
        "python_full_version": f"{python_version}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "extra": "",
    }
    for name, text in metadata.items():
        if canonicalize_name(text["Name"]) in skipped:
            continue
        for word in text.get_all("Requires-Dist") or []:
            requirement = Requirement(word)
            if requirement.marker and not requirement.marker.evaluate(node):
                continue
            if canonicalize_name(requirement.name) not in there:
                yield name, requirement


def read_metadata(wheel: Path) -> Message:
    """Name, version, requirements and licence of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


if __name__ == "__main__":
    found = missing_requirements(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
