"""Tables for the operator."""

from __future__ import annotations

import time
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.serve.audit import usage_by_key
from onnuri.serve.keys import check_state, read_keys

COUNTS = ("requests", "prompt_tokens", "completion_tokens")


def key_table(state: str) -> str:
    """Keys and what was used with each, from the audit; a damaged audit is named below them.

    Raises UserError if the file of keys is damaged.
    """
    folder, problem = Path(state), ""
    check_state(folder)
    used: dict[str, dict[str, int]] = {}
    try:
        used = usage_by_key(folder)
    except UserError as error:
        problem = f"use is not known: {error}"
    rows: list[tuple[str, ...]] = [
        ("id", "name", "created", "state", "requests", "prompt tokens", "completion tokens")
    ]
    for key in read_keys(folder):
        counts = used.get(key.id, {})
        row = (
            key.id,
            key.name,
            _date(key.created),
            f"revoked {_date(key.revoked)}" if key.revoked else "in use",
            *("?" if problem else f"{counts.get(each, 0):,}" for each in COUNTS),
        )
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, problem] if problem else lines)


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
