"""Where the files that come with Onnuri are: in the checkout, or in the package of an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The checkout that this code runs from, also as an editable install; None for an installed wheel."""
    return None if (PACKAGE / "configs").is_dir() else PACKAGE.parents[1]


def shipped(folder: str) -> Path:
    """The folder `configs` or `data_recipes`."""
    return (checkout() or PACKAGE) / folder
