"""What /v1/responses takes: the fields, and conversations in its form."""

from __future__ import annotations

from typing import Any

from onnuri.serve.api import tools as tools_
from onnuri.serve.api.chat import NOT_STORED
from onnuri.serve.api.fields import (
    SAMPLING,
    Check,
    Refused,
    boolean,
    fields,
    integer,
    mapping,
    sequence,
    text,
)
from onnuri.serve.api.messages import MOST_MESSAGES, ROLES, arguments, check_results, content
from onnuri.serve.api.output_format import responses_text
from onnuri.serve.errors import invalid

STATUS: Refused = {"status": (("completed", "incomplete"), ""), "phase": ((), "answers have one phase")}


def conversation(name: str, value: Any) -> list[dict[str, Any]]:
    """A text, or a list of messages, calls and their results; as messages for the chat template."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    items = sequence(name, value, MOST_MESSAGES)
    if not items:
        raise invalid(name, "needed: at least one item")
    found: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        _add(found, f"{name}[{number}]", mapping(f"{name}[{number}]", item))
    check_results(name, found)
    return found


def _add(found: list[dict[str, Any]], name: str, item: dict[str, Any]) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        role = item.get("role")
        if not isinstance(role, str) or ROLES.get(role, "tool") == "tool":
            raise invalid(f"{name}.role", "needed: one of system, developer, user, assistant")

        def parts(inner: str, value: Any) -> str:
            return content(inner, value, ("input_text", "output_text"))

        known: dict[str, Check] = {"type": text, "role": text, "content": parts, "id": text}
        message = fields(name, item, known, STATUS)
        if "content" not in message:
            raise invalid(f"{name}.content", "missing")
        found.append({"role": ROLES[role], "content": message["content"]})
    elif kind == "function_call":
        known = {"type": text, "id": text, "call_id": text, "name": text, "arguments": arguments}
        call = fields(name, item, known, STATUS)
        if "call_id" not in call or "name" not in call:
            raise invalid(name, "call_id or name is missing")
        made = {
            "id": call["call_id"],
            "function": {"name": call["name"], "arguments": call.get("arguments", "{}")},
        }
        if found and found[-1]["role"] == "assistant":
            found[-1].setdefault("tool_calls", []).append(made)
        else:
            found.append({"role": "assistant", "content": "", "tool_calls": [made]})
    elif kind == "function_call_output":
        known = {"type": text, "id": text, "call_id": text, "output": text}
        result = fields(name, item, known, STATUS)
        if "call_id" not in result or "output" not in result:
            raise invalid(name, "call_id or output is missing")
        found.append({"role": "tool", "content": result["output"], "tool_call_id": result["call_id"]})
    else:
        reason = "not supported: items other than message, function_call and function_call_output"
        raise invalid(f"{name}.type", reason, "unsupported_parameter")


KNOWN: dict[str, Check] = {
    **{name: run for name, run in SAMPLING.items() if name != "stop"},
    "model": text,
    "input": conversation,
    "instructions": text,
    "max_output_tokens": integer(1, 1 << 31),
    "stream": boolean,
    "tools": tools_.flat_tools,
    "tool_choice": tools_.tool_choice,
    "parallel_tool_calls": boolean,
    "text": responses_text,
}
REFUSED: Refused = {
    "background": ((False,), NOT_STORED),
    "context_management": ((), "give the whole conversation"),
    "conversation": ((), NOT_STORED),
    "include": (([],), "answers hold all that there is"),
    "max_tool_calls": ((), "the client runs the tools"),
    "metadata": (({},), NOT_STORED),
    "moderation": ((), "nothing is moderated"),
    "previous_response_id": ((), NOT_STORED),
    "prompt": ((), NOT_STORED),
    "prompt_cache_key": ((), "prefixes are reused by their tokens"),
    "prompt_cache_options": ((), "prefixes are reused by their tokens"),
    "prompt_cache_retention": ((), "prefixes are reused by their tokens"),
    "reasoning": (({},), "the model does not reason apart from its answer"),
    "safety_identifier": ((), "keys identify users"),
    "service_tier": (("auto", "default"), "there is one tier"),
    "store": ((False,), NOT_STORED),
    "stream_options": ((), "usage is part of the last event"),
    "top_logprobs": ((0,), "use /v1/chat/completions"),
    "truncation": (("disabled",), "a conversation that does not fit is an error"),
    "user": ((), "keys identify users"),
}
