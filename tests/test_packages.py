"""Packages stand on each other in one order: no import goes upwards, so none goes in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import onnuri
from tests.conftest import REPOSITORY

ROOT = Path(onnuri.__file__).parent
LAYERS = [
    {"base"},
    {"config"},
    {"run", "corpus", "kernels", "web"},
    {"tokenizer", "model"},
    {"tokens", "parallel"},
    {"checkpoint", "optim", "hf", "chat"},
    {"generate"},
    {"evaluate", "serve"},
    {"train"},
    {"plan", "export"},
    {"ledger"},
    {"gpu", "challenge", "hub"},
    {"bundle"},
    {"cli"},
]
"""From the ground up; packages of one layer do not know of each other."""
HEIGHT = {package: height for height, layer in enumerate(LAYERS) for package in layer}


def imports(path: Path) -> Iterator[str]:
    """Packages of Onnuri that a module imports, wherever in it, also for its types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "onnuri":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnuri."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("onnuri."))


def test_every_package_has_its_layer() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == HEIGHT.keys()


def test_no_import_goes_upwards() -> None:
    upwards = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for path in sorted(ROOT.glob("*/**/*.py"))
        for imported in imports(path)
        if imported in HEIGHT
        and imported != (own := path.relative_to(ROOT).parts[0])
        and HEIGHT[imported] >= HEIGHT[own]
    ]
    assert upwards == []


def picture() -> str:
    """A Mermaid flowchart of the imports; one that others imply is left out, and so are base and config."""
    direct: dict[str, set[str]] = {package: set() for package in sorted(HEIGHT)}
    for path in ROOT.glob("*/**/*.py"):
        own = path.relative_to(ROOT).parts[0]
        direct[own] |= {each for each in imports(path) if each in HEIGHT} - {own, "base", "config"}
    below: dict[str, set[str]] = {}
    for package in sorted(HEIGHT, key=HEIGHT.__getitem__):
        below[package] = direct[package].union(*(below[each] for each in direct[package]))
    arrows = [
        f"    {package} --> {each}"
        for package in sorted(HEIGHT, key=lambda name: (-HEIGHT[name], name))
        for each in sorted(direct[package])
        if not any(each in below[other] for other in direct[package])
    ]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"])


def test_the_picture_in_the_docs_is_drawn_from_the_imports() -> None:
    assert picture() in (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8"), picture()
