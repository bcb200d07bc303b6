"""Tables for the operator."""

from __future__ import annotations

import time
from pathlib import Path

from onnuri.serve.audit import usage_by_key
from onnuri.serve.keys import check_state, read_keys


def key_table(state: str) -> str:
    """Keys and what was used with each, from the audit. Raises UserError if either is damaged."""
    folder = Path(state)
    check_state(folder)
    used = usage_by_key(folder)
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
            *(f"{counts.get(each, 0):,}" for each in ("requests", "prompt_tokens", "completion_tokens")),
        )
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
