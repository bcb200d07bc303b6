"""English prose that comes with Python itself: the language reference and docstrings.

Files are parsed with `ast`, never imported. Which modules there are depends on the Python version, so
the hash of what was read is part of the manifest.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from onnuri.corpus.raw_text import Part, batches, row, unreadable
from onnuri.corpus.recipe import Source
from onnuri.errors import UserError

SKIPPED_FOLDERS = {
    "__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "test", "tests", "turtledemo",
}  # fmt: skip
SHORTEST_DOCUMENT = 200
Rows = Callable[[Source, dict[str, Path]], Iterator[dict[str, str]]]


def library_folder() -> Path:
    """Where the standard library of this Python lies."""
    return Path(sysconfig.get_paths()["stdlib"])


def find(reader: str) -> dict[str, Path]:
    """Name ("python/module.py") to path of the files to read."""
    library = library_folder()
    if reader == "python_topics":
        files = [library / "pydoc_data" / "topics.py"]
    else:
        files = sorted(_modules(library))
    if not all(path.is_file() for path in files) or not files:
        raise UserError(f"the standard library in {library} has no {files[0].name if files else 'modules'}")
    return {f"python/{path.relative_to(library).as_posix()}": path for path in files}


def _modules(folder: Path) -> Iterator[Path]:
    # Not rglob: that would walk all of site-packages too.
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in SKIPPED_FOLDERS and not entry.name.startswith("config-"):
            yield from _modules(entry)
        elif entry.suffix == ".py" and not entry.name.startswith("_sysconfigdata"):
            yield entry


def parts(source: Source, found: dict[str, Path]) -> list[Part]:
    """The whole source as one part: a byte limit needs an order over all modules."""
    rows = _topics if source.reader == "python_topics" else _docstrings
    return [Part(source.name, partial(_read, rows, source, found))]


def _read(rows: Rows, source: Source, found: dict[str, Path]) -> Iterator[pa.RecordBatch]:
    return batches(rows(source, found))


def _topics(source: Source, found: dict[str, Path]) -> Iterator[dict[str, str]]:
    for name, path in found.items():
        for statement in ast.parse(path.read_bytes()).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict):
                for topic, text in ast.literal_eval(statement.value).items():
                    yield row(source, f"{name}#{topic}", inspect.cleandoc(text))


def _docstrings(source: Source, found: dict[str, Path]) -> Iterator[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name, path in found.items():
        try:
            module = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            yield unreadable(source, name, f"{name}: {error}")
            continue
        dotted = (
            name.removeprefix("python/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        )
        classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
        nodes: list[tuple[str, ast.Module | ast.ClassDef]] = [(dotted, module)]
        nodes += [(f"{dotted}.{node.name}", node) for node in classes]
        for title, node in nodes:
            text = _document(title, node)
            if len(text) >= SHORTEST_DOCUMENT:
                rows.append(row(source, f"{name}#{title}", text))
    # In hash order, a limit takes a fair sample of all modules, the same one every time.
    rows.sort(key=lambda entry: hashlib.sha256(entry["origin"].encode()).digest())
    total = 0
    for entry in rows:
        total += len(entry["text"].encode("utf-8", "replace"))
        if source.max_bytes and total > source.max_bytes:
            return
        yield entry


def _document(title: str, node: ast.Module | ast.ClassDef) -> str:
    """Docstring of a module or class, then those of its functions under their signatures."""
    pieces = [title]
    own = ast.get_docstring(node)
    if own:
        pieces.append(own)
    for function in node.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(function)
            if text:
                pieces.append(f"{function.name}({ast.unparse(function.args)})\n{text}")
    return "\n\n".join(pieces) if len(pieces) > 1 else ""
