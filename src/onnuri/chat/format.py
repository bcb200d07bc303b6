"""Conversations as token ids: control tokens are put in by id, and no content can become one.

A chat template makes one string of a conversation, in which a user who types <|im_end|> ends his own turn
and forges the next one. Here every content is encoded by itself, as text. Of contents that hold no such
words, and do not begin with white space, the ids are those of `apply_chat_template`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onnuri.base.errors import UserError
from onnuri.tokenizer.special import TOOLS_HEAD, TOOLS_TAIL, TURN_END, TURN_START

ROLES = ("system", "user", "assistant", "tool")
Message = Mapping[str, Any]


class Span(NamedTuple):
    """The tokens of a turn from its first content on, its <|im_end|> included."""

    start: int
    end: int
    role: str

    @property
    def trained(self) -> bool:
        """Whether a model learns to write it."""
        return self.role == "assistant"


class Rendered(NamedTuple):
    """A conversation in tokens."""

    ids: list[int]
    spans: list[Span]


def render(
    tokenizer: Any,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    add_generation_prompt: bool = False,
) -> Rendered:
    """The ids of a conversation, and where its turns are.

    Args:
        tokenizer: of `onnuri.tokenizer.huggingface.load_tokenizer`, with our control tokens.
        messages: with `role` and `content` (text, or parts of it); assistants' may have `tool_calls`.
        tools: JSON schemas of functions, shown in the system turn.
        add_generation_prompt: end with the beginning of an assistant's turn.

    Raises UserError for a role, content or call that cannot be rendered, or a tokenizer without our tokens.
    """
    start, end = (_control(tokenizer, name) for name in (TURN_START, TURN_END))
    line_end = _encode(tokenizer, "\n")
    ids: list[int] = []
    spans = []
    for role, text in turns(messages, tools):
        ids += [start, *_encode(tokenizer, f"{role}\n")]
        begins = len(ids)
        ids += [*_encode(tokenizer, text), end]
        spans.append(Span(begins, len(ids), role))
        ids += line_end
    if add_generation_prompt:
        ids += [start, *_encode(tokenizer, "assistant\n")]
    return Rendered(ids, spans)


def turns(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[tuple[str, str]]:
    """(role, text) of each turn; tools go into the system turn, calls behind their message's content."""
    found = [(_role(message, number), _text(message, number)) for number, message in enumerate(messages)]
    if tools:
        listed = "".join(f"{json.dumps(tool, ensure_ascii=False)}\n" for tool in tools)
        shown = f"{TOOLS_HEAD}{listed}{TOOLS_TAIL}"
        if found and found[0][0] == "system":
            found[0] = ("system", f"{found[0][1]}\n\n{shown}")
        else:
            found.insert(0, ("system", shown))
    return found


def _role(message: Message, number: int) -> str:
    role = message.get("role")
    if role not in ROLES:
        raise UserError(f"message {number} has the role {role!r}; known are {', '.join(ROLES)}")
    return str(role)


def _text(message: Message, number: int) -> str:
    content: Any = message.get("content") or ""
    if not isinstance(content, str):
        parts: list[Any] = list(content) if isinstance(content, Sequence) else [None]
        if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
            raise UserError(f"message {number} has a content that is not text")
        content = "".join(part["text"] for part in parts)
    calls = message.get("tool_calls") or []
    if calls and message["role"] != "assistant":
        raise UserError(f"message {number} has tool calls, which only the assistant makes")
    pieces = [content] if content else []
    return "\n".join([*pieces, *(_call(call, number) for call in calls)])


def _call(call: Any, number: int) -> str:
    function = (call.get("function") or call) if isinstance(call, Mapping) else {}
    if not isinstance(function, Mapping):
        function = {}
    name, arguments = function.get("name"), function.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, Mapping | str):
        raise UserError(
            f"message {number} has a tool call without a name, or with arguments of another kind"
        )
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    called = f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {arguments}}}'
    return f"<tool_call>\n{called}\n</tool_call>"


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _control(tokenizer: Any, name: str) -> int:
    number = tokenizer.token_to_id(name)
    if number is None:
        raise UserError(f"the tokenizer has no token {name}: it knows no conversations")
    return int(number)
