"""Packages stand on each other in one order: no import goes upwards, so none goes in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import onnuri

ROOT = Path(onnuri.__file__).parent
LAYERS = [
    {"base"},
    {"config"},
    {"run", "corpus", "kernels"},
    {"tokenizer", "model"},
    {"tokens", "parallel"},
    {"checkpoint", "optim", "hf"},
    {"generate", "evaluate", "train"},
    {"plan", "export"},
    {"ledger"},
    {"gpu"},
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
