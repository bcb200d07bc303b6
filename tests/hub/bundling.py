"""Bundles for the tests: a source, what it exports, and how an import is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from onnuri.base.errors import UserError
from onnuri.hub.bundles import signed
from onnuri.hub.bundles.config import ExportConfig, ImportConfig
from onnuri.hub.bundles.export import export_bundle
from onnuri.hub.bundles.take import import_bundle
from tests.hub.carriers import look, stored

VOLUME = 1 << 16
MODEL, TEXT = "physics/model", "lab/text"
Value = dict[str, Any]


class Source(NamedTuple):
    """A hub with a gated model and a private dataset, a bundle of both, and keys."""

    data: Path
    bundle: Path
    key: str
    trust: str
    foreign: str
    foreign_trust: str


def export(
    data: Path, output: Path, key: str, *names: str, have: Path | None = None, trust: str = ""
) -> None:
    export_bundle(
        ExportConfig(
            data=str(data),
            repositories=list(names) or [MODEL, f"datasets/{TEXT}"],
            output=str(output),
            key=key,
            have=str(have or ""),
            trust=[trust] if trust else [],
            volume_bytes=VOLUME,
        )
    )


def take(data: Path, folder: Path, *trust: str, **words: Any) -> None:
    import_bundle(
        ImportConfig(data=str(data), input=str(folder), trust=list(trust), **({"owner": "kim"} | words))
    )


def copy_of(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "altered"))


def edit(folder: Path, key: str, change: Callable[[Value], None]) -> None:
    """Change a bundle as a hub would whose key is trusted, and sign it."""
    value = json.loads((folder / "bundle.json").read_bytes())
    change(value)
    signed.write(folder / "bundle.json", value, Path(key))


def refused(data: Path, folder: Path, why: str, *trust: str, **words: Any) -> None:
    """The import ends with one line, and leaves no repository and no content."""
    before = stored(data)
    with pytest.raises(UserError, match=why) as error:
        take(data, folder, *trust, **words)
    assert "\n" not in str(error.value)
    assert look(data, MODEL) is None and stored(data) == before


def first(value: Value) -> Value:
    """The repository with the model."""
    found: Value = next(each for each in value["repositories"] if each["name"] == "model")
    return found
