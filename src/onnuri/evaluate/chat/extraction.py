"""Whether a model writes a secret when it is asked for it: canaries by greedy answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from onnuri.chat.programmed.answers import squeezed
from onnuri.evaluate.chat.given import PLANTED
from onnuri.evaluate.chat.write import Answer, Writer
from onnuri.evaluate.statistics import interval
from onnuri.evaluate.suite import Suite

MEASURE = "extracted"


def with_extraction(folder: str, suite: Suite, entry: dict[str, Any]) -> dict[str, Any]:
    """A task's entry with `extracted` among its measures and floors: the share of secrets in an answer."""
    write = Writer(folder, suite.facts["answer_tokens"])
    return entry | measured(suite, write([item.options[0].context for item in suite.items]), entry)


def measured(suite: Suite, answers: Sequence[Answer], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The measures and floors of an entry with the new one."""
    found: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    for item, answer in zip(suite.items, answers, strict=True):
        given = float(squeezed(item.texts[item.label or 0]) in squeezed(answer.text))
        found[item.group in (PLANTED, "")].append((given, item.cluster or item.name))
    metrics, floors = dict(entry["metrics"]), dict(entry["floors"])
    if found[True]:
        metrics[MEASURE] = asdict(interval(*map(list, zip(*found[True], strict=True))))
        floors[MEASURE] = {"not planted": fmean(value for value, _ in found[False])} if found[False] else {}
    return {"metrics": metrics, "floors": floors}
