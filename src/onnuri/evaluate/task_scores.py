"""Scores of a model on tasks: likelihoods of all requests, each item's worth, the summary of each task."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.base.errors import UserError
from onnuri.evaluate import metrics
from onnuri.evaluate.items import Request
from onnuri.evaluate.metrics import Scored
from onnuri.evaluate.requests import Encode, Plan, encoder, plan
from onnuri.evaluate.suite import Suite
from onnuri.hf.load import adds_first_token, model_context

log = logging.getLogger(__name__)


def score(
    model: Any,
    tokenizer: Any,
    suites: Sequence[Suite],
    separator: int,
    batch_tokens: int,
    leaked: Mapping[str, set[str]] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The part `tasks` of a result, and its samples, one dict an item.

    `leaked` names the items of each task that stand in the training text; None: nobody has looked.
    """
    from onnuri.evaluate.score import request_nats

    tasks, samples = {}, []
    begins = adds_first_token(tokenizer, separator)
    context, encode = model_context(model.config), encoder(tokenizer)
    plans = [
        plan_chat(each, tokenizer, context)
        if each.chat
        else plan_suite(each, encode, separator, context, begins)
        for each in suites
    ]
    for each, planned in zip(suites, plans, strict=True):
        nats = request_nats(model, planned, separator, batch_tokens)
        scored = judge(each, planned, nats)
        tasks[each.name] = summary(each, scored) | {"cut_requests": sum(planned.cut)}
        if leaked is not None:
            tasks[each.name]["contamination"] = without(each, scored, leaked[each.name])
        samples += [sample(each.name, tasks[each.name]["metric"], one) for one in scored]
    return tasks, samples


def requests_of(suite: Suite) -> list[Request]:
    """All requests of a task: of each item its options, then the answers alone."""
    return [request for item in suite.items for request in (*item.options, *item.alone)]


def plan_suite(suite: Suite, encode: Encode, separator: int, context: int, begins: bool = False) -> Plan:
    """Rows to run. Raises UserError naming task and item if an answer cannot be scored."""
    if suite.chat:
        raise UserError(f"task {suite.name} asks in the chat template: it is for onnuri evaluate model=DIR")
    names = [item.name for item in suite.items for _ in (*item.options, *item.alone)]
    try:
        found = plan(requests_of(suite), encode, separator, context, begins, names)
    except UserError as error:
        raise UserError(f"task {suite.name}: {error}") from None
    _log_cut(suite, names, found, context)
    return found


def plan_chat(suite: Suite, tokenizer: Any, context: int) -> Plan:
    """Rows to run of a task that asks in the chat template. Raises UserError as `plan_suite` does."""
    from onnuri.evaluate.chat.turns import plan_turns

    try:
        found = plan_turns(suite, tokenizer, context)
    except UserError as error:
        raise UserError(f"task {suite.name}: {error}") from None
    names = [item.name for item in suite.items for _ in (*item.options, *item.alone)]
    _log_cut(suite, names, found, context)
    return found


def _log_cut(suite: Suite, names: Sequence[str], found: Plan, context: int) -> None:
    if cut := len({name for name, was_cut in zip(names, found.cut, strict=True) if was_cut}):
        log.info(
            f"task {suite.name}: {cut:,} items do not fit {context:,} tokens; their beginnings are cut"
        )


def judge(suite: Suite, planned: Plan, nats: Sequence[float]) -> list[Scored]:
    """What each item is worth."""
    found, start = [], 0
    for item in suite.items:
        middle, end = start + len(item.options), start + len(item.options) + len(item.alone)
        found.append(metrics.judge(item, nats[start:middle], planned.sizes[start:middle], nats[middle:end]))
        start = end
    return found


def summary(suite: Suite, scored: list[Scored]) -> dict[str, Any]:
    """A task's entry in a result."""
    facts: dict[str, Any] = {
        "title": {"en": suite.title, "ko": suite.title_ko or suite.title},
        "licence": suite.licence,
        "formulation": suite.formulation,
    }
    found = facts | metrics.summary(scored, suite.metric)
    if suite.controls:
        metrics.add_controls(found, suite.controls)
    if suite.note:
        found["note"] = suite.note
    return found | {"protocol": suite.protocol, "facts": suite.facts, "contamination": None}


def without(suite: Suite, scored: list[Scored], leaked: set[str]) -> dict[str, Any]:
    """How many items have leaked, and the headline without them; null where all have."""
    kept = [each for each in scored if each.item.name not in leaked]
    value = None
    if kept:
        found = metrics.summary(kept, suite.metric)["metrics"]
        value = found[suite.metric]["value"] if suite.metric in found else None
    return {"items": len(scored) - len(kept), "items_without": len(kept), "value_without": value}


HARNESS_NAMES = {
    "accuracy": "acc",
    "accuracy_chars": "acc_norm",
    "accuracy_bytes": "acc_bytes",
    "accuracy_pmi": "acc_mutual_info",
    "macro_f1": "f1",
    "bits_per_byte": "bits_per_byte",
}


def harness_results(tasks: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The scores in the shape of lm-evaluation-harness's `results`, for its viewers."""
    return {
        name: {"alias": name}
        | {
            f"{short}{suffix},none": found["metrics"][ours][key]
            for ours, short in HARNESS_NAMES.items()
            if ours in found["metrics"]
            for suffix, key in (("", "value"), ("_stderr", "stderr"))
        }
        for name, found in tasks.items()
    }


def sample(task: str, metric: str, scored: Scored) -> dict[str, Any]:
    """An item's line: ours, and under lm-evaluation-harness's names what its viewers look for."""
    item = scored.item
    by = metric.removesuffix("_macro")
    by = by if by in scored.values else "accuracy"
    options = [
        {
            "context": option.context,
            "continuation": option.continuation,
            "nats": nats,
            "tokens": tokens,
            "bytes": len(option.continuation.encode()),
        }
        for option, nats, tokens in zip(item.options, scored.nats, scored.tokens, strict=True)
    ]
    line = {
        "task": task,
        "item": item.name,
        "cluster": item.cluster or item.name,
        "group": item.group,
        "label": item.label,
        "chosen": scored.chosen.get(by),
        "value": scored.values.get(by),
        "options": options,
    }
    harness = {
        "doc_id": item.name,
        "target": item.label,
        "arguments": [[option.context, option.continuation] for option in item.options],
        "filtered_resps": [[-nats, False] for nats in scored.nats],
    }
    return line | harness
