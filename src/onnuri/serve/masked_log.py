"""The optional log of texts: personal data is masked before anything is written, old days are deleted, and
the record of a request can be erased."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnuri.run.daily_chain import day

LOG, DAY_SECONDS = "log", 86_400


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def masked(texts: Sequence[str]) -> list[str]:
    """Texts in which the rules of the corpus stage `pii`, all of them, find no personal data."""
    import pyarrow as pa

    from onnuri.corpus.stages.pii.mask import KINDS, mask

    found, _ = mask(pa.array(texts, pa.large_string()), KINDS)
    return [str(text) for text in found.to_pylist()]


class MaskedLog:
    """One file of JSON lines a day."""

    def __init__(self, state: Path, days: int) -> None:
        self.folder, self.days = state / LOG, days

    def write(
        self,
        request_id: str,
        facts: dict[str, Any],
        said: Sequence[tuple[str, str]],
        answers: Sequence[str],
    ) -> None:
        """Add the record of a request. Slow: to be called from a worker thread."""
        clean = masked([*(text for _, text in said), *answers])
        asked = [{"role": role, "text": text} for (role, _), text in zip(said, clean, strict=False)]
        now = time.time()
        record = {"request": request_id, "time": round(now, 3), **facts}
        record |= {"asked": asked, "answers": clean[len(said) :]}
        line = json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        with _locked(self.folder):
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self.folder / f"{day(now)}.jsonl", flags, 0o600), "ab") as stream:
                size = stream.tell()
                if size and os.pread(stream.fileno(), 1, size - 1) != b"\n":
                    stream.write(b"\n")  # a full disk or a crash cut the line before
                stream.write(line)

    def delete_old(self, now: float) -> list[str]:
        """Delete the days that are too old; their names."""
        if not self.folder.is_dir():
            return []
        first = day(now - self.days * DAY_SECONDS)
        with _locked(self.folder):
            old = [path for path in sorted(self.folder.glob("????-??-??.jsonl")) if path.stem < first]
            for path in old:
                path.unlink()
        return [path.name for path in old]


def _belongs(line: bytes, request_id: str) -> bool:
    """Whether it is a record of the request; of a line that was cut off, whether it names it."""
    try:
        return bool(json.loads(line)["request"] == request_id)
    except (ValueError, KeyError, TypeError):
        return request_id.encode() in line


def erase(state: Path, request_id: str) -> int:
    """Delete the records of a request; how many there were. A server that runs may go on writing."""
    folder, erased = state / LOG, 0
    if not folder.is_dir():
        return 0
    with _locked(folder):
        for path in sorted(folder.glob("????-??-??.jsonl")):
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if not _belongs(line, request_id)]
            if len(kept) < len(lines):
                erased += len(lines) - len(kept)
                partial = path.with_suffix(".partial")
                with partial.open("wb") as stream:
                    os.fchmod(stream.fileno(), 0o600)
                    stream.writelines(kept)
                    stream.flush()
                    os.fsync(stream.fileno())
                partial.replace(path)
    return erased
