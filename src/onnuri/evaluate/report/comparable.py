"""Whether results may stand beside each other: only if they answer the same questions in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.base.errors import UserError

TEXT_FACTS = ("data", "text_column", "max_documents")


def check_comparable(results: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError that names the task and the fact in which two results differ.

    A point of a curve has the hash alone, so there the message can name no fact.
    """
    seen: dict[str, tuple[str, Mapping[str, Any]]] = {}
    curves: dict[str, tuple[str, str]] = {}
    for result in results:
        name = model_name(result)
        for task, entry in (result.get("tasks") or {}).items():
            other, first = seen.setdefault(task, (name, entry))
            if entry["protocol"] != first["protocol"]:
                raise _refusal(f"task {task}", other, name, _difference(first, entry))
        for point in result.get("curve") or []:
            for task, entry in point["tasks"].items():
                other, protocol = curves.setdefault(task, (name, entry["protocol"]))
                if entry["protocol"] != protocol:
                    facts = f"the protocol is {protocol[:12]} and {entry['protocol'][:12]}"
                    raise _refusal(f"the curve of task {task}", other, name, facts)
    _check_text([result for result in results if result.get("languages")])


def model_name(result: Mapping[str, Any]) -> str:
    """What a result calls its model."""
    return str((result.get("model") or {}).get("name") or "model")


def _check_text(results: Sequence[Mapping[str, Any]]) -> None:
    for result in results[1:]:
        for fact in TEXT_FACTS:
            one, other = (each.get("request", {}).get(fact) for each in (results[0], result))
            if one != other:
                names = model_name(results[0]), model_name(result)
                raise _refusal("bits per byte", *names, f"{fact} is {_short(one)} and {_short(other)}")


def _difference(first: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    one, other = first.get("facts", {}), entry.get("facts", {})
    # What the items are comes last: it differs with the subset, and says less.
    for fact in sorted(one.keys() | other.keys(), key=lambda name: (name == "items", name)):
        if one.get(fact) != other.get(fact):
            return f"{fact} is {_short(one.get(fact))} and {_short(other.get(fact))}"
    return f"the protocol is {first['protocol'][:12]} and {entry['protocol'][:12]}"


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:60]}…"


def _refusal(what: str, first: str, second: str, difference: str) -> UserError:
    who = f"{first} and {second}" if first != second else f"two results of {first}"
    return UserError(
        f"{what}: {who} cannot be compared, {difference}; evaluate them again with the same settings"
    )
