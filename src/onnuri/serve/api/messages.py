"""Conversations of a request, in the form that `onnuri.chat.format.render` takes."""

from __future__ import annotations

import json
from typing import Any

from onnuri.serve.api.fields import Check, Refused, fields, mapping, one_of, sequence, text
from onnuri.serve.errors import invalid

MOST_MESSAGES, MOST_PARTS = 4096, 256
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
NOTHING: tuple[Any, ...] = (None, [], "")
"""Empty fields that clients send back from an answer."""
REFUSED: Refused = {
    "name": ((), "the chat template shows roles alone"),
    "function_call": (NOTHING, "use tool_calls"),
    "audio": (NOTHING, "text only"),
    "refusal": (NOTHING, "text only"),
    "annotations": (NOTHING, "text only"),
}


def content(name: str, value: Any, kinds: tuple[str, ...] = ("text",)) -> str:
    """A text, or a list of parts that are text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise invalid(name, "needed: a string, or a list of text parts")
    pieces = []
    for number, part in enumerate(sequence(name, value, MOST_PARTS)):
        inner = f"{name}[{number}]"
        kind = mapping(inner, part).get("type")
        if kind not in kinds:
            reason = f"not supported: parts of type {str(kind)[:40]}; {' or '.join(kinds)} only"
            raise invalid(f"{inner}.type", reason, "unsupported_parameter")
        known: dict[str, Check] = {"type": one_of(*kinds), "text": text}
        found = fields(inner, part, known, {"annotations": (NOTHING, ""), "logprobs": (NOTHING, "")})
        if "text" not in found:
            raise invalid(inner, "text is missing")
        pieces.append(found["text"])
    return "".join(pieces)


def arguments(name: str, value: Any) -> str:
    """Of a call: the JSON text of an object."""
    try:
        found = json.loads(text(name, value) or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid(name, "needed: the text of a JSON object")
    return str(value) or "{}"


def call(name: str, value: Any) -> dict[str, Any]:
    """A call that an assistant made."""
    known: dict[str, Check] = {"id": text, "type": one_of("function"), "function": mapping}
    found = fields(name, value, known, {"index": (tuple(range(128)), "")})
    # openai's client sends what it parsed of the arguments back with them.
    known = {"name": text, "arguments": arguments, "parsed_arguments": lambda _, value: value}
    function = fields(f"{name}.function", found.get("function"), known)
    if "name" not in function or "id" not in found:
        raise invalid(name, "id or function.name is missing")
    shown = {"name": function["name"], "arguments": function.get("arguments", "{}")}
    return {"id": found["id"], "function": shown}


def calls(name: str, value: Any) -> list[dict[str, Any]]:
    """All calls of a message."""
    return [call(f"{name}[{number}]", each) for number, each in enumerate(sequence(name, value, 128))]


def messages(name: str, value: Any) -> list[dict[str, Any]]:
    """A conversation, as chat completions have it. Raises ApiError."""
    found = [
        _message(f"{name}[{number}]", each)
        for number, each in enumerate(sequence(name, value, MOST_MESSAGES))
    ]
    if not found:
        raise invalid(name, "needed: at least one message")
    check_results(name, found)
    return found


def check_results(name: str, conversation: list[dict[str, Any]]) -> None:
    """Raise ApiError for the result of a call that nobody made."""
    made: set[str] = set()
    for number, message in enumerate(conversation):
        made |= {each["id"] for each in message.get("tool_calls", ())}
        if message["role"] == "tool" and message["tool_call_id"] not in made:
            raise invalid(f"{name}[{number}].tool_call_id", "no message before it has a call with this id")


def _message(name: str, value: Any) -> dict[str, Any]:
    role = mapping(name, value).get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid(f"{name}.role", f"needed: one of {', '.join(ROLES)}")
    known: dict[str, Check] = {"role": text, "content": content}
    if role == "assistant":
        known |= {"tool_calls": calls, "parsed": lambda _, value: value}  # see `call`
    if role == "tool":
        known["tool_call_id"] = text
    found = fields(name, value, known, REFUSED)
    found.pop("parsed", None)
    needed = {"tool": ("content", "tool_call_id")}.get(role, ("content",))
    for key in needed:
        if key not in found and not found.get("tool_calls"):
            raise invalid(f"{name}.{key}", "missing")
    return {"content": "", **found, "role": ROLES[role]}
