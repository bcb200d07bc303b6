"""A model of a hub as a local folder: fetched by commit, checked by hashes, kept in a cache.

    ~/.cache/onnuri/hub/HOST_PORT/ORG/COMMIT/NAME     the files (XDG_CACHE_HOME moves it)
    ~/.cache/onnuri/hub/HOST_PORT/ORG/COMMIT/files.json

A folder gets its name when every file has the size and hash that the hub lists. Later commands look at the
sizes alone. A file that was cut off is fetched from where it ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from onnuri.base import manifest
from onnuri.base.errors import UserError, system_error
from onnuri.hf.folder import read_json
from onnuri.hf.hub import HubName, connected, hub_name, looks_like_a_name

FILES = "files.json"
COMMIT = re.compile(r"[0-9a-f]{40}")
MOST_FILES = 100_000
READ_BYTES = 1 << 20


def model_folder(model: str, hub: str = "", option: str = "model") -> str:
    """The folder of `model=`: as it is where it exists or is no ORG/NAME, else fetched from the hub.

    Raises UserError where no hub is named, where the hub has no such model, or if what it sends is not what
    it lists.
    """
    if not model or Path(model).exists() or not looks_like_a_name(model):
        return model
    if not hub and not os.environ.get("HF_ENDPOINT"):
        raise UserError(
            f"{option}={model} does not exist; if it is a model on a hub, give hub=URL or set HF_ENDPOINT"
        )
    return str(fetch(hub_name(option, model, hub)))


def fetch(name: HubName) -> Path:
    """The folder of a model in the cache. With a commit that is there, the hub is not asked."""
    if COMMIT.fullmatch(name.revision) and (made := _complete(name, name.revision)):
        return made
    with connected(name) as api:
        commit = str(api.model_info(name.repository, revision=name.revision).sha)
        if not COMMIT.fullmatch(commit):
            raise UserError(f"{name.endpoint} names no commit of {name.repository}")
        if made := _complete(name, commit):
            return made
        listed = list(_listed(api, name, commit))
        final = _folder(name, commit)
        try:
            with _alone(final.parent):
                if not (made := _complete(name, commit)):
                    made = _download(api, name, commit, listed, final)
        except OSError as error:
            if not error.errno:
                raise
            raise system_error(error, final) from None
    return made


def _folder(name: HubName, commit: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parts = urlsplit(name.endpoint)
    host = re.sub(r"[^a-z0-9.-]", "_", f"{parts.hostname}_{parts.port or parts.scheme}")
    organisation, _, last = name.repository.partition("/")
    return cache / "onnuri" / "hub" / host / organisation / commit / last


def _complete(name: HubName, commit: str) -> Path | None:
    """The folder, if all of its files have their sizes."""
    folder = _folder(name, commit)
    if not folder.is_dir() or not (folder.parent / FILES).is_file():
        return None
    try:
        sizes = read_json(folder.parent / FILES)
    except UserError:
        return None
    for path, size in sizes.items():
        file = folder / path
        if not file.is_file() or file.stat().st_size != size:
            return None
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time downloads a commit; the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _listed(api: Any, name: HubName, commit: str) -> Iterator[tuple[str, int, str]]:
    """Path, bytes and hash of each file: "sha256:..." or, of small ones, git's "sha1:...".

    Raises UserError for paths that lead out of a folder, and for more files than a model has.
    """
    number = 0
    for entry in api.list_repo_tree(name.repository, revision=commit, recursive=True):
        size = getattr(entry, "size", None)
        if size is None:
            continue
        number += 1
        path = str(entry.path)
        parts = path.split("/")
        if number > MOST_FILES or any(p in ("", ".", "..") or "\\" in p or "\0" in p for p in parts):
            raise UserError(
                f"{name.endpoint} lists files of {name.repository} that no model has: {path!r:.80}"
            )
        digest = f"sha256:{entry.lfs.sha256}" if entry.lfs else f"sha1:{entry.blob_id}"
        yield path, int(size), digest


def _download(
    api: Any, name: HubName, commit: str, listed: list[tuple[str, int, str]], final: Path
) -> Path:
    from tqdm import tqdm

    partial = final.parent / "partial"
    partial.mkdir(exist_ok=True)
    total = sum(size for _, size, _ in listed)
    have = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    free = shutil.disk_usage(partial).free
    if total - have > free:
        raise UserError(
            f"{partial}: {name.repository} needs {total - have:,} bytes, {free:,} are free; free some "
            "space, or set XDG_CACHE_HOME to a folder with more"
        )
    with tqdm(total=total, desc=name.repository, unit="B", unit_scale=True, disable=None) as bar:
        for number, (path, size, digest) in enumerate(listed):
            file = partial / path
            file.parent.mkdir(parents=True, exist_ok=True)
            _fetch_file(api, name, commit, path, size, digest, file, first=number == 0)
            bar.update(size)
    manifest.write_json(final.parent / FILES, {path: size for path, size, _ in listed})
    if final.exists():  # a file of it was changed or lost
        shutil.rmtree(final)
    partial.replace(final)
    manifest.sync(final.parent)
    return final


def _fetch_file(
    api: Any, name: HubName, commit: str, path: str, size: int, digest: str, file: Path, first: bool
) -> None:
    """One file, from where it was cut off. Raises UserError if it is not what was listed."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    kind, _, expected = digest.partition(":")
    hasher = hashlib.new(kind)
    if kind == "sha1":
        hasher.update(f"blob {size}\0".encode())
    have = file.stat().st_size if file.is_file() else 0
    if have > size:
        file.unlink()
        have = 0
    if have:
        with file.open("rb") as stream:
            while block := stream.read(READ_BYTES):
                hasher.update(block)
    headers = {**build_hf_headers(token=api.token, library_name="onnuri"), "Accept-Encoding": "identity"}
    if first:
        headers["X-HF-Download-Counter"] = "1"
    if have:
        headers["Range"] = f"bytes={have}-"
    if have < size or not file.is_file():
        url = f"{name.endpoint}/{name.repository}/resolve/{commit}/{quote(path)}"
        with get_session().stream("GET", url, headers=headers, timeout=60) as response:
            hf_raise_for_status(response)
            if have and response.status_code != 206:
                raise UserError(f"{name.endpoint} sends no part of {path}; remove {file} and try again")
            with file.open("ab") as out:
                for block in response.iter_raw(READ_BYTES):
                    have += len(block)
                    if have > size:
                        break
                    out.write(block)
                    hasher.update(block)
                out.flush()
                os.fsync(out.fileno())
    if have != size or hasher.hexdigest() != expected:
        if have >= size:
            file.unlink(missing_ok=True)
        what = "was cut off" if have < size else "is not what the hub lists: its hash differs"
        raise UserError(f"{path} of {name.repository} {what}; run the same command again")
