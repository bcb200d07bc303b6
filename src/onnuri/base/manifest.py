"""Folders that say what is in them.

Every step of the pipeline turns folders into a folder. The result is built beside its final place,
sealed with a `manifest.json` (written last) and renamed, so a reader sees either all of it or nothing.
The manifest names its inputs by their own manifest's hash: from any folder the chain leads back to
the raw text.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from onnuri import __version__
from onnuri.base.errors import UserError, system_error

FILE_NAME = "manifest.json"
UNFINISHED = "unfinished"
"""In a folder that is being built: the hash of what was asked for, and the lock of who builds it."""
SCHEMA_VERSION = 1
DATA_SUFFIXES = (".parquet", ".npy")
"""Of files that later steps find by their names, so that one of another build would be read along."""


class LaterVersion(UserError):
    """A folder that a later version of Onnuri has written: not damaged, and nothing to do without."""


class Facts(dict[str, Any]):
    """A table of a manifest that was read. A key that it lacks is a UserError: the manifest was altered."""

    path = ""

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self.path} is damaged (it lacks '{key}'); make the folder again")


@dataclass(frozen=True)
class Manifest:
    """What a finished folder holds and where it came from."""

    kind: str
    """Which step wrote it: corpus, tokenizer, tokens, checkpoint, model, weights."""
    settings: dict[str, Any]
    """The options that shaped the content."""
    inputs: dict[str, str]
    """Name of each input to its hash (a manifest's `identity`, or a file's sha256)."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Statistics of the content; which ones depends on the kind of folder."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Relative path to {"bytes": size, "sha256": hash}."""
    producer: str = f"onnuri {__version__}"
    schema_version: int = SCHEMA_VERSION

    @property
    def identity(self) -> str:
        """sha256 of the whole manifest: what later steps record as their input."""
        return hash_json(asdict(self))

    @property
    def request(self) -> str:
        """Hash of what was asked for. Equal requests on equal inputs need not run twice."""
        return request_hash(self.kind, self.settings, self.inputs)


def hash_json(value: Any) -> str:
    """sha256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def request_hash(kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Hash of (kind, settings, inputs, producer)."""
    return hash_json([kind, dict(settings), dict(inputs), __version__, SCHEMA_VERSION])


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Every file below `folder` but the manifest, with size and sha256."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (FILE_NAME, UNFINISHED))
    with ThreadPoolExecutor() as pool:  # hashing holds no interpreter lock
        return {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest}
            for path, digest in zip(paths, pool.map(hash_file, paths), strict=True)
        }


def read(folder: str | Path, kind: str) -> Manifest:
    """The manifest of a finished folder.

    Raises UserError if the folder is missing, unfinished, of another kind or another schema version.
    """
    if str(folder) == "":
        raise UserError(f"the name of the {kind} folder is empty: a shell variable that is not set?")
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{kind} folder {folder} does not exist")
    path = folder / FILE_NAME
    if not path.is_file():
        raise UserError(
            f"{folder} has no {FILE_NAME}: not a finished {kind} folder; run the step that makes it again"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] > SCHEMA_VERSION:
            raise LaterVersion(
                f"{folder} has manifest version {content['schema_version']}, this program reads "
                f"{SCHEMA_VERSION}: use the version of Onnuri that wrote it"
            )
        manifest = Manifest(**content)
    except UserError:
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} is damaged ({error}); make the folder again") from None
    for name in ("settings", "inputs", "counts", "files"):
        table = getattr(manifest, name)
        if not isinstance(table, dict) or (name == "files" and not all(map(_file_facts, table.values()))):
            raise UserError(f"{path} is damaged ('{name}' is no such table); make the folder again")
        facts = Facts(table)
        facts.path = str(path)
        object.__setattr__(manifest, name, facts)
    if manifest.kind != kind:
        raise UserError(f"{folder} is a {manifest.kind} folder, but a {kind} folder is needed here")
    if manifest.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{folder} has manifest version {manifest.schema_version}, this program reads "
            f"{SCHEMA_VERSION}; make the folder again"
        )
    return manifest


def _file_facts(entry: Any) -> bool:
    return isinstance(entry, dict) and [type(entry.get(key)) for key in ("bytes", "sha256")] == [int, str]


def read_whole(folder: str | Path, kind: str) -> Manifest:
    """The manifest of a finished folder, after a look at the names and sizes of its files.

    Raises UserError as `read` and `verify` do.
    """
    found = read(folder, kind)
    verify(folder, found, contents=False)
    return found


def verify(folder: str | Path, manifest: Manifest, contents: bool = True) -> None:
    """Check the files against the manifest: sizes, and hashes if `contents`.

    Raises UserError naming the first file that differs, or a data file that the manifest does not list.
    """
    for name, expected in manifest.files.items():
        path = Path(folder) / name
        if not path.resolve().is_relative_to(Path(folder).resolve()):
            raise UserError(f"{folder}: the manifest names a path outside of the folder: {name}")
        if not path.is_file():
            raise UserError(f"{path} is missing, though {FILE_NAME} lists it")
        if path.stat().st_size != expected["bytes"]:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes, the manifest says {expected['bytes']}"
            )
        if contents and hash_file(path) != expected["sha256"]:
            raise UserError(
                f"{path} does not match the hash in {FILE_NAME}; the file was changed or damaged"
            )
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in DATA_SUFFIXES and name not in manifest.files:
            where_from = "left over from another build? Move it away"
            if path.name.startswith("._"):
                where_from = "made by macOS in copying; find . -name '._*' -delete"
            raise UserError(f"{path} is not in {FILE_NAME}: {where_from}")


def up_to_date(
    folder: str | Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]
) -> Manifest | None:
    """The manifest in `folder` if it answers exactly this request and its files are all there."""
    try:
        manifest = read(folder, kind)
        verify(folder, manifest, contents=False)
    except UserError:
        return None
    return manifest if manifest.request == request_hash(kind, settings, inputs) else None


@contextlib.contextmanager
def building(output: str | Path, kind: str, request: str = "") -> Iterator[Path]:
    """A folder beside `output`, moved into its place when the block ends without an error.

    The block must call `seal` on it. Only an `output` that is missing, empty, or a folder of the same kind
    made by this project is ever replaced; anything else is a UserError, and so is a second process that
    builds the same output, or a worker that runs the script of the first once more. A half-built folder is
    thrown away, unless the next run has the same `request` (a hash): then the block finds it as it was and
    continues with it.
    """
    if str(output) == "":
        raise UserError("output= is empty; name a folder (a shell variable that is not set?)")
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing asks itself
        raise UserError(
            f"{output}: a worker process runs the script that started it once more; put the calls of that "
            "script under if __name__ == '__main__':"
        )
    output = Path(output).resolve()
    if output.exists() and any_content(output) and kind_of(output) != kind:
        raise UserError(f"{output} exists and is no {kind} folder made by onnuri; choose another output")
    partial = output.with_name(output.name + ".partial")
    marker = partial / UNFINISHED
    try:
        with _lock(marker):
            if not request or marker.read_text(encoding="utf-8") != request:
                for path in partial.iterdir():
                    if path != marker:
                        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            marker.write_text(request, encoding="utf-8")
            try:
                yield partial
                if not (partial / FILE_NAME).is_file():
                    raise RuntimeError(f"{partial} was not sealed")
            except BaseException:
                if not request:  # nobody would go on with it
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            marker.unlink()
            if output.exists():
                shutil.rmtree(output)
            partial.replace(output)
    except OSError as error:
        raise system_error(error, partial) from error
    sync(output.parent)


@contextlib.contextmanager
def _lock(marker: Path) -> Iterator[None]:
    """Hold an advisory lock on a file that is made, with its folder, when it is missing."""
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.open("a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{marker.parent} is being written by another process") from None
        yield


def kind_of(folder: Path) -> str:
    """The kind in the manifest of a folder that this project made, whatever its version; else ""."""
    try:
        content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    ours = isinstance(content, dict) and str(content.get("producer", "")).startswith("onnuri ")
    return str(content.get("kind", "")) if ours else ""


def any_content(path: Path) -> bool:
    """True for a file, or a folder with anything in it."""
    return not path.is_dir() or any(path.iterdir())


def seal(
    folder: Path,
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    counts: Mapping[str, Any],
) -> Manifest:
    """Hash every file in `folder` and write its manifest, durably."""
    manifest = Manifest(kind, dict(settings), dict(inputs), dict(counts), list_files(folder))
    for name in manifest.files:
        sync(folder / name)
    write_json(folder / FILE_NAME, asdict(manifest))
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that after a crash the file is either the old one or the new one, complete."""
    write_text(path, [json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True), "\n"])


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text so that after a crash the file is either the old one or the new one, complete."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
