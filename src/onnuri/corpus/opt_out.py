"""Documents whose owners or subjects asked not to be trained on: lists of ids, URLs and hosts."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from onnuri.base.errors import UserError

HOST = re.compile(r"[\w-]+(\.[\w-]+)+\.?(:[0-9]+)?")


@lru_cache(maxsize=64)
def entries(path: str) -> frozenset[str]:
    """The lines of a list, without comments (#) and blanks; URLs without scheme and final slash."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"opt_out list {path} cannot be read: {error}") from None
    return frozenset(_plain(line) for line in lines if line.strip() and not line.lstrip().startswith("#"))


def reasons(listed: frozenset[str], ids: pa.Array, keys: pa.Array, urls: pa.Array) -> list[str]:
    """ "opted out: ENTRY" where the id, own id, URL or host (or a domain above) is listed, else ""."""
    answers = []
    for row in zip(ids.to_pylist(), keys.to_pylist(), urls.to_pylist(), strict=True):
        identity, key, url = row
        plain, host = _address(url)
        labels = host.split(".")
        hosts = [".".join(labels[start:]) for start in range(len(labels))]
        names = (identity, key.strip(), plain, *hosts)
        found = next((name for name in names if name and name in listed), "")
        answers.append(f"opted out: {found}" if found else "")
    return answers


def _plain(entry: str) -> str:
    """An entry of a list: an id as it is, an address as `_address` has it, a host in lower case."""
    entry = entry.strip()
    if "://" in entry or entry.startswith("//"):
        return _address(entry)[0]
    if HOST.fullmatch(entry.partition("/")[0]):
        return _address("//" + entry)[0]
    return entry


def _address(url: str) -> tuple[str, str]:
    """Host with path and query, and the host alone; without scheme, user, port and final slash."""
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else "//" + url.lstrip("/"))
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return url, ""
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return (host + rest).rstrip("/"), host
