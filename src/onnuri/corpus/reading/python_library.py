"""English prose that comes with Python itself: the language reference and docstrings.

Files are parsed with `ast`, never imported. Which modules there are depends on the Python version, so
the hash of what was read is part of the manifest.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from onnuri.base.errors import UserError
from onnuri.corpus.reading.raw_text import Rows
from onnuri.corpus.source import Source

SKIPPED_FOLDERS = {
    "__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "test", "tests", "turtledemo",
}  # fmt: skip
SHORTEST_DOCUMENT = 200


def library_folder() -> Path:
    """Where the standard library of this Python lies."""
    return Path(sysconfig.get_paths()["stdlib"])


def find(kind: str) -> dict[str, Path]:
    """Name ("python/module.py") to path of the files behind "topics" or "docstrings"."""
    library = library_folder()
    topics = library / "pydoc_data" / "topics.py"
    files = [topics] if kind == "topics" else sorted(_modules(library))
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


def read(kind: str, source: Source, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Raw rows of "topics" or "docstrings"; the whole source at once, for a limit needs an order."""
    for origin, text in (_topics if kind == "topics" else _docstrings)(source.max_bytes):
        if isinstance(text, Exception):
            rows.add_unreadable(origin, text)
        else:
            rows.add(origin, text)
        yield from rows.full()


def _topics(max_bytes: int) -> Iterator[tuple[str, str | Exception]]:
    for name, path in find("topics").items():
        for statement in ast.parse(path.read_bytes()).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict):
                for topic, text in ast.literal_eval(statement.value).items():
                    yield f"{name}#{topic}", inspect.cleandoc(text)


def _docstrings(max_bytes: int) -> Iterator[tuple[str, str | Exception]]:
    documents: list[tuple[str, str]] = []
    for name, path in find("docstrings").items():
        try:
            module = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            yield name, error
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
                documents.append((f"{name}#{title}", text))
    # In hash order, a limit takes a fair sample of all modules, the same one every time.
    documents.sort(key=lambda entry: hashlib.sha256(entry[0].encode()).digest())
    total = 0
    for origin, text in documents:
        total += len(text.encode("utf-8", "replace"))
        if max_bytes and total > max_bytes:
            return
        yield origin, text


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
