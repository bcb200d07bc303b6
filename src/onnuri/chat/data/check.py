"""What a conversation must be to be trained on, and its turns as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onnuri.base.errors import UserError
from onnuri.chat.data import objects
from onnuri.chat.data.layouts import Conversation
from onnuri.chat.data.refusal import (
    BAD_CALL,
    EMPTY,
    NO_ASSISTANT,
    NOT_ALTERNATING,
    NOT_LAST,
    NOT_TEXT,
    Refused,
)
from onnuri.chat.format import Message, turns
from onnuri.corpus.reading.raw_text import storable


class Turn(NamedTuple):
    """A turn as the template writes it."""

    role: str
    text: str
    trained: bool


def checked(conversation: Conversation, num_prompt: int = 0) -> list[Turn]:
    """The turns of a conversation; the first `num_prompt` messages, and those of weight 0, are not trained
    on. Raises Refused.

    A system turn without content, as some tables have it in every row, is left out.
    """
    messages = list(conversation.messages)
    for number, message in enumerate(messages, 1):
        _check_content(message, number)
        if message.get("tool_calls"):
            messages[number - 1] = _with_calls(message, number)
    if messages and messages[0]["role"] == "system" and not _has_text(messages[0]):
        messages.pop(0)
        num_prompt = max(0, num_prompt - 1)
    _check_order(messages)
    try:
        texts = turns(messages, conversation.tools)
    except (UserError, TypeError) as error:  # TypeError: of JSON, for tools as a table may hold them
        raise Refused(BAD_CALL, str(error)) from None
    shift = len(texts) - len(messages)  # the system turn that tools make
    for number, (role, text) in enumerate(texts, 1 - shift):
        if not text.strip():
            raise Refused(EMPTY, f"turn {number} ({role})")
    trained = [
        message["role"] == "assistant" and number >= num_prompt and message.get("weight") != 0
        for number, message in enumerate(messages)
    ]
    if not any(trained):
        raise Refused(NO_ASSISTANT, "all have a weight of 0")
    return [
        Turn(role, storable(text), learnt)
        for (role, text), learnt in zip(texts, [False] * shift + trained, strict=True)
    ]


def _check_content(message: Message, number: int) -> None:
    content: Any = message.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, Sequence) or not all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        raise Refused(NOT_TEXT, f"turn {number} ({message['role']}) holds {_kind(content)}")


def _with_calls(message: Message, number: int) -> Message:
    """A message whose calls have a name and, as arguments, a JSON object; none are an empty one."""
    if message["role"] != "assistant":
        raise Refused(
            BAD_CALL, f"turn {number} ({message['role']}) has tool calls, which only the assistant makes"
        )
    calls = []
    for call in message["tool_calls"]:
        function = (call.get("function") or call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise Refused(BAD_CALL, f"turn {number} has a call without a name")
        calls.append({"name": function["name"], "arguments": _arguments(function, number)})
    return {**message, "tool_calls": calls}


def _arguments(function: Mapping[str, Any], number: int) -> str | Mapping[str, Any]:
    """Text that is JSON stays as it is written: models learn to write what stands there."""
    given = function.get("arguments")
    if given is None or (isinstance(given, str) and given.strip() in ("", "null")):
        return {}
    try:
        value = objects.read(given) if isinstance(given, str) else given
        if isinstance(value, Mapping):
            json.dumps(value, allow_nan=False)
            return given
        found = f"a {type(value).__name__}"
        found += ", not an object"
    except objects.Twice as error:
        found = f"unclear: {error}"
    except (ValueError, TypeError) as error:
        found = f"no JSON ({error}), not an object"
    raise Refused(BAD_CALL, f"turn {number}: the arguments of {function['name'][:40]} are {found}")


def _kind(content: Any) -> str:
    if isinstance(content, list):
        kinds = [part.get("type") for part in content if isinstance(part, dict)]
        return f"a list with {', '.join(sorted({str(kind) for kind in kinds})) or 'no text'}"[:80]
    return f"a {type(content).__name__}"


def _has_text(message: Message) -> bool:
    content: Any = message.get("content") or ""
    whole = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return bool(whole.strip())


def _check_order(messages: Sequence[Message]) -> None:
    """System first or not at all, then user and assistant in turn; tools answer an assistant's calls."""
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        raise Refused(NO_ASSISTANT, f"{len(roles)} turn(s)")
    before = "start"
    for number, message in enumerate(messages, 1):
        role = message["role"]
        allowed = {
            "start": ("system", "user"),
            "system": ("user",),
            "user": ("assistant",),
            "assistant": ("user",),
            "calls": ("tool", "user"),
            "tool": ("tool", "assistant"),
        }[before]
        if role not in allowed:
            raise Refused(NOT_ALTERNATING, f"turn {number} ({role}) after {before}")
        before = "calls" if role == "assistant" and message.get("tool_calls") else role
    if roles[-1] != "assistant":
        raise Refused(NOT_LAST, f"it is the {roles[-1]}'s")
