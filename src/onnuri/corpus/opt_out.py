"""Documents whose owners or subjects asked not to be trained on: lists of ids, URLs and hosts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa


@lru_cache(maxsize=64)
def entries(path: str) -> frozenset[str]:
    """The lines of a list, without comments (#) and blanks; URLs without scheme and final slash."""
    lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    return frozenset(_plain(line) for line in lines if line.strip() and not line.lstrip().startswith("#"))


def reasons(listed: frozenset[str], ids: pa.Array, keys: pa.Array, urls: pa.Array) -> list[str]:
    """ "opted out: ENTRY" where the id, own id, URL or host (or a domain above) is listed, else ""."""
    answers = []
    for names in zip(ids.to_pylist(), keys.to_pylist(), map(_plain, urls.to_pylist()), strict=True):
        host = names[2].partition("/")[0].partition(":")[0]
        labels = host.split(".")
        hosts = [".".join(labels[start:]) for start in range(len(labels))]
        found = next((name for name in (*names, *hosts) if name and name in listed), "")
        answers.append(f"opted out: {found}" if found else "")
    return answers


def _plain(entry: str) -> str:
    entry = entry.strip()
    if "://" not in entry:
        return entry.rstrip("/")
    try:
        parts = urlsplit(entry)
    except ValueError:
        return entry
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return (parts.netloc.lower() + rest).rstrip("/")
