"""What a judge needs, a model or people: nothing here judges style, helpfulness or knowledge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COPIED = ("question", "answer", "reference", "stopped")


def answers_for_a_judge(samples: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines of `evaluation.answers.jsonl`; a question that two tasks ask stands there once."""
    seen = set()
    for each in samples:
        if "answer" in each and each["item"] not in seen:
            seen.add(each["item"])
            yield {"id": each["item"], "family": each["group"], **{name: each[name] for name in COPIED}}
