"""The audit: who asked when for how much, in a hash chain a day. It holds counts, never text.

A request has a line before its answer begins and one when it has ended, so that the first alone shows an
answer that a crash cut off.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from onnuri.run.daily_chain import lines


def usage_by_key(state: Path) -> dict[str, dict[str, int]]:
    """Requests and tokens of each key id; "" for requests without a key."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines(state):
        if line["event"] == "answer":
            counts = found[line["key"]]
            counts["requests"] += 1
            counts["prompt_tokens"] += line["prompt_tokens"]
            counts["completion_tokens"] += line["completion_tokens"]
    return found
