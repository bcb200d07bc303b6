"""`onnuri hub backup` and `restore`: a whole hub in a folder, while it runs.

The tables are copied first, by SQLite's online backup; then the contents that they name: none ever changes.
`backup.json` is written last, and the folder gets its name after it: what has the name is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from onnuri.base.errors import UserError
from onnuri.base.manifest import hash_file, sync
from onnuri.hub.blobs import FileStore, Incoming
from onnuri.hub.bundles import signed, state
from onnuri.hub.bundles.config import BackupConfig, RestoreConfig
from onnuri.hub.bundles.folder import built
from onnuri.hub.database import FILE
from onnuri.hub.hub import open_store
from onnuri.run.daily_chain import AUDIT

log = logging.getLogger(__name__)
BACKUP, FORMAT, CONTENTS, SECRET = "backup.json", "onnuri-hub-backup/1", "contents", "secret"
CHAINS = (AUDIT, state.TRANSFERS)
SKIPPED_NUMBERS = 1000
"""A restored hub numbers its bundles from here on: those that it sent after the backup keep their own."""


def backup(config: BackupConfig) -> None:
    """Write a backup. Raises UserError for a folder that cannot be used, and a content that is damaged."""
    data, output = Path(config.data), Path(config.output)
    if not (data / FILE).is_file():
        raise UserError(
            f"data={data} has no {FILE}; a hub with database=postgresql:// is backed up with pg_dump first "
            f"and a copy of {data} after it"
        )
    with built("output", output) as partial, _one_line(data / FILE):
        with (
            closing(sqlite3.connect(data / FILE, timeout=30)) as source,
            closing(sqlite3.connect(partial / FILE)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        contents = _copy_contents(config, partial)
        _copy_files(data, partial)
        files = {}
        for path in sorted(partial.rglob("*")):
            name = path.relative_to(partial).as_posix()
            if path.is_file() and not name.startswith(f"{CONTENTS}/"):
                sync(path)
                files[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        value = {"format": FORMAT, "time": int(time.time()), "files": files, **contents}
        (partial / BACKUP).write_bytes(signed.canonical(value))
        sync(partial / BACKUP)
    log.info(
        "%s: %s contents, %s bytes; keep it as safe as the hub, whose secret it holds",
        output,
        f"{contents['contents']:,}",
        f"{contents['bytes']:,}",
    )


def restore(config: RestoreConfig) -> None:
    """Make the folder of a hub from a backup. Raises UserError if anything in it is not as it was."""
    folder, data = Path(config.input), Path(config.data)
    if data.is_dir() and not any(data.iterdir()):
        data.rmdir()
    files = _files_of(folder)
    with built("data", data) as partial, _one_line(folder / FILE):
        for name, facts in files.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(folder / name, target)
            target.chmod(0o600)
            if hash_file(target) != facts["sha256"]:
                raise UserError(f"{folder / name} is not as it was when the backup was made")
            sync(target)
        with closing(sqlite3.connect(partial / FILE)) as tables:
            if tables.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise UserError(f"{folder / FILE} is damaged")
            _restore_contents(tables, folder, partial)
            _begin_anew(tables)
        sync(partial / FILE)
    log.info("%s: restored, every content checked", data)
    log.info("what was withdrawn or revoked after the backup is valid again: see docs/hub.md")


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Around work with SQLite. Raises UserError for its errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise UserError(f"{path}: {error}") from None


def _named(tables: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """sha256 and size of every content that the tables name."""
    yield from tables.execute("SELECT DISTINCT sha256, size FROM holdings ORDER BY sha256")


def _bar(tables: sqlite3.Connection, what: str) -> Any:
    (total,) = tables.execute(
        "SELECT COALESCE(SUM(size), 0) FROM (SELECT DISTINCT sha256, size FROM holdings)"
    ).fetchone()
    return tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None, leave=False)


def _copy_contents(config: BackupConfig, partial: Path) -> dict[str, int]:
    source, target = open_store(Path(config.data), config.blobs), FileStore(partial / CONTENTS)
    previous = Path(config.previous) / CONTENTS if config.previous else None
    if previous and not previous.is_dir():
        raise UserError(f"previous={config.previous} has no {CONTENTS}: it is no backup")
    number, total = 0, 0
    with closing(sqlite3.connect(partial / FILE)) as tables, _bar(tables, "backing up") as bar:
        for sha256, size in _named(tables):
            number, total = number + 1, total + size
            if previous and _linked(previous / sha256[:2] / sha256, target.path(sha256), size):
                bar.update(size)
                continue
            if not source.has(sha256):
                raise UserError(
                    f"the content {sha256} is missing: if a repository was deleted meanwhile, run it again"
                )
            _add(target, partial, sha256, size, source.read(sha256, 0, size + 1), bar)
    return {"contents": number, "bytes": total}


def _restore_contents(tables: sqlite3.Connection, folder: Path, partial: Path) -> None:
    source, target = FileStore(folder / CONTENTS), FileStore(partial / CONTENTS)
    with _bar(tables, "restoring") as bar:
        for sha256, size in _named(tables):
            if not source.has(sha256):
                raise UserError(f"{source.path(sha256)} is missing from the backup")
            _add(target, partial, sha256, size, source.read(sha256, 0, size + 1), bar)


def _linked(old: Path, new: Path, size: int) -> bool:
    """Whether a content was hard-linked from an earlier backup; not on another disk."""
    with suppress(OSError):
        if old.stat().st_size == size:
            new.parent.mkdir(exist_ok=True, mode=0o700)
            os.link(old, new)
            return True
    return False


def _add(store: FileStore, folder: Path, sha256: str, size: int, pieces: Iterator[bytes], bar: Any) -> None:
    """Copy a content. Raises UserError if it is not the one that its name says."""
    incoming = Incoming(folder)
    try:
        for piece in pieces:
            incoming.write(piece)
            bar.update(len(piece))
        if incoming.finish() != sha256 or incoming.size != size:
            raise UserError(f"the content {sha256} is damaged: restore it from another backup")
        store.add(incoming.path, sha256)
    finally:
        incoming.drop()


def _copy_files(data: Path, partial: Path) -> None:
    """The secret, and the chains of the audit and of transfers, which only grow: signed heads before the
    days that they sign."""
    if (data / SECRET).exists():  # a hub that has never served has none
        shutil.copyfile(data / SECRET, partial / SECRET)
        (partial / SECRET).chmod(0o600)
    for chain in CHAINS:
        for path in sorted((data / chain).rglob("*"), reverse=True):
            target = partial / path.relative_to(data)
            if path.is_file() and not path.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copyfile(path, target)
                target.chmod(0o600)


def _files_of(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / BACKUP
    try:
        value = json.loads(signed.read_regular(path, signed.LARGEST))
        files = value["files"]
        good = value["format"] == FORMAT and FILE in files and all(_is_file_of(name) for name in files)
        good = good and all(
            len(facts["sha256"]) == hashlib.sha256().digest_size * 2 for facts in files.values()
        )
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good, files = False, {}
    if not good:
        raise UserError(f"{path} is not what onnuri hub backup writes")
    return dict(files)


def _is_file_of(name: str) -> bool:
    first, *rest = name.split("/")
    return not set(rest) & {"", ".", ".."} and (first in CHAINS if rest else first in (FILE, SECRET))


def _begin_anew(tables: sqlite3.Connection) -> None:
    """Nobody is signed in; clients forget which pieces of large files they have sent; no number of a bundle
    is used twice."""
    names = {name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    with tables:
        tables.execute("UPDATE repositories SET epoch = epoch + 1")
        if "sessions" in names:
            tables.execute("DELETE FROM sessions")
        if state.sent.name in names:
            tables.execute(f"UPDATE {state.sent.name} SET sequence = sequence + {SKIPPED_NUMBERS}")
