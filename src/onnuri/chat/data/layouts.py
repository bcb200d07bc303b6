"""The layouts that conversations come in, each turned into messages with our roles.

messages: `messages: [{role, content, tool_calls?}]`, and it may be `tools`.
ShareGPT: `conversations: [{from, value}]`, and it may be `system` and `tools`.
Alpaca:   `instruction`, `output`, and it may be `input`, `system`, `history: [[question, answer], ...]`.
Pairs:    `chosen` and `rejected`, as answers to a `prompt` (or to what a layout above says), or as two
          whole conversations.

A turn of either naming is read in every list; `weight: 0` or `train: false` keeps it out of the loss. Turns
and tools may be JSON in a text, as tables have it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from onnuri.base.errors import nearest
from onnuri.chat.data import objects
from onnuri.chat.data.refusal import (
    BAD_CALL,
    BAD_WEIGHT,
    BROKEN_JSON,
    MISSING,
    NO_LIST,
    NO_PROMPT,
    NOT_TEXT,
    TWO_LAYOUTS,
    UNKNOWN_ROLE,
    Refused,
)
from onnuri.chat.format import ROLES, Message

FROM = {
    "system": "system",
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
}
"""Speakers of ShareGPT. function_call, an assistant's turn that is a call, is another."""
CALL = "function_call"
MEANT = {
    **FROM,
    **dict.fromkeys(
        ("bot", "ai", "agent", "answer", "response", "챗봇", "답변", "상담사", "모델"), "assistant"
    ),
    **dict.fromkeys(("question", "prompter", "customer", "사용자", "질문", "고객"), "user"),
    **dict.fromkeys(("developer", "instruction", "시스템"), "system"),
    **dict.fromkeys(("function", "도구"), "tool"),
}
"""Names of roles that are met elsewhere, for the hint."""
QUESTIONS = frozenset({"prompt", "question", "query", "user", "질문"})
ANSWERS = frozenset({"completion", "response", "answer", "assistant", "답변"})
"""Columns of two texts that are met elsewhere, for the hint."""
ALMOST = 0.8
"""How like a column's name must be to one of COLUMNS to be taken for a slip."""
COLUMNS = frozenset({"messages", "conversations", "instruction", "output", "prompt", "chosen", "rejected"})


class Conversation(NamedTuple):
    """Messages with our roles, and the tools that the system turn shows."""

    messages: list[Message]
    tools: list[Mapping[str, Any]]


class Pair(NamedTuple):
    """Two conversations that are the same up to their answers."""

    chosen: Conversation
    rejected: Conversation
    num_prompt: int
    """Messages that both begin with."""


def conversation(record: Mapping[str, Any]) -> Conversation:
    """The conversation of a record. Raises Refused."""
    layout = _layout(record)
    if layout == "alpaca":
        if "output" not in record:
            raise Refused(MISSING, "instruction without output")
        answer = {"role": "assistant", "content": record["output"]}
        return Conversation([*_alpaca_prompt(record), answer], _tools(record))
    if not layout:
        raise _missing(record, "messages")
    return _listed(record, layout)


def pair(record: Mapping[str, Any]) -> Pair:
    """The pair of a record. Raises Refused."""
    for name in ("chosen", "rejected"):
        if record.get(name) is None:
            raise _missing(record, name)
    prompt, tools = _prompt(record)
    if not prompt and isinstance(record["chosen"], str):
        raise _missing(record, "prompt")
    chosen, rejected = (_answer(record[name]) for name in ("chosen", "rejected"))
    if not prompt or chosen[0].get("role") != "assistant":
        return _implicit(prompt, chosen, rejected, tools)
    first, second = (Conversation([*prompt, *answer], tools) for answer in (chosen, rejected))
    return Pair(first, second, len(prompt))


def _implicit(prompt: list[Message], chosen: list[Message], rejected: list[Message], tools: Any) -> Pair:
    """Two whole conversations; the prompt is what they have in common up to the last turn of another."""
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    while shared and not all(
        len(each) > shared and each[shared].get("role") == "assistant" for each in (chosen, rejected)
    ):
        shared -= 1
    if not shared:
        raise Refused(NO_PROMPT, "chosen and rejected do not begin with the same turns")
    common = [each for each in chosen[:shared] if each["role"] != "system"]
    if prompt and common != [each for each in prompt if each["role"] != "system"]:
        raise Refused(NO_PROMPT, "prompt is not what chosen and rejected begin with")
    return Pair(Conversation(chosen, tools), Conversation(rejected, tools), shared)


def _prompt(record: Mapping[str, Any]) -> tuple[list[Message], list[Mapping[str, Any]]]:
    """The turns before the answers; none where the answers are whole conversations."""
    layout = _layout(record)
    prompt = record.get("prompt")
    if layout == "alpaca":
        return _alpaca_prompt(record), _tools(record)
    if layout and prompt is None:
        return _listed(record, layout)
    system = _system(record)
    if prompt is None:
        return [], _tools(record)
    if isinstance(prompt, str):
        return [*system, {"role": "user", "content": prompt}], _tools(record)
    return [*system, *_turns(prompt)], _tools(record)


def _answer(value: Any) -> list[Message]:
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    found = _turns([value] if isinstance(value, Mapping) else value)
    if not found:
        raise Refused(MISSING, "an empty list of turns")
    return found


def _layout(record: Mapping[str, Any]) -> str:
    """messages, conversations, alpaca, or "" for none of them."""
    names = {"messages": "messages", "conversations": "conversations", "instruction": "alpaca"}
    found = [names[name] for name in names if record.get(name) is not None]
    if len(found) > 1:
        raise Refused(TWO_LAYOUTS, " and ".join(name for name in names if record.get(name) is not None))
    return found[0] if found else ""


def _missing(record: Mapping[str, Any], name: str) -> Refused:
    there = [key for key, value in record.items() if value is not None]
    lacking = sorted(COLUMNS - set(there))
    close = (difflib.get_close_matches(str(key), lacking, 1, ALMOST) for key in there)
    near = next((f" (did you mean '{each[0]}'?)" for each in close if each), "")
    answer = next((key for key in there if key in ANSWERS), "")
    if name == "messages" and {"chosen", "rejected"} <= set(there):
        near = " (kind=preference reads pairs)"
    elif name == "messages" and answer:
        question = next((key for key in there if key in QUESTIONS), "the question")
        near = f" (rename {question} to instruction and {answer} to output)"
    elif name == "chosen" and not {"chosen", "rejected"} & set(there) and _layout(record):
        near = " (kind=chat reads conversations)"
    if {"family", "answer"} <= set(there):
        near = f" (onnuri tasks make kind={'sft' if name == 'messages' else 'pairs'} writes these)"
    found = ", ".join(map(str, there[:8])) or "nothing"
    return Refused(MISSING, f"no {name}; found {found[:200]}{near}")


def _listed(record: Mapping[str, Any], layout: str) -> Conversation:
    return Conversation([*_system(record), *_turns(record[layout])], _tools(record))


def _system(record: Mapping[str, Any]) -> list[Message]:
    system = record.get("system")
    return [{"role": "system", "content": system}] if system else []


def _alpaca_prompt(record: Mapping[str, Any]) -> list[Message]:
    found = _system(record)
    history = record.get("history")
    for exchange in [] if history is None else history:
        if not isinstance(exchange, list) or len(exchange) != 2:
            raise Refused(NO_LIST, "history must be pairs of a question and an answer")
        found += [
            {"role": role, "content": text}
            for role, text in zip(("user", "assistant"), exchange, strict=True)
        ]
    parts = [record["instruction"], record.get("input") or ""]
    if not all(isinstance(part, str) for part in parts):
        raise Refused(NOT_TEXT, "instruction or input")
    return [*found, {"role": "user", "content": "\n\n".join(part for part in parts if part.strip())}]


def _turns(value: Any) -> list[Message]:
    value = _parsed(value)
    if not isinstance(value, list):
        raise Refused(NO_LIST, f"a {type(value).__name__}")
    return [_turn(each, number) for number, each in enumerate(value, 1)]


def _turn(turn: Any, number: int) -> Message:
    if not isinstance(turn, Mapping):
        raise Refused(NO_LIST, f"turn {number} is a {type(turn).__name__}")
    ours, theirs = (turn.get(name) is not None for name in ("role", "from"))
    if ours and theirs:
        raise Refused(TWO_LAYOUTS, f"turn {number} has role and from")
    if theirs:
        return _shared(turn, number)
    role = turn.get("role")
    if role not in ROLES:
        raise Refused(UNKNOWN_ROLE, f"turn {number}: {str(role)[:40]!r}{_hint(role, ROLES)}")
    content, calls = turn.get("content"), _parsed(turn.get("tool_calls"))
    if calls and not isinstance(calls, list):
        raise Refused(BAD_CALL, f"turn {number}: tool_calls is a {type(calls).__name__}, not a list")
    message = {"role": role, "content": content, **_weight(turn, number)}
    return message | ({"tool_calls": calls} if calls else {})


def _weight(turn: Mapping[str, Any], number: int) -> Message:
    """`weight: 0` of a turn that shall not be learnt; `train: false` says the same."""
    given = {name: turn[name] for name in ("weight", "train") if turn.get(name) is not None}
    for name, value in given.items():
        if value not in (0, 1):
            raise Refused(BAD_WEIGHT, f"turn {number}: {name} is {str(value)[:40]!r}, not 0 or 1")
    return {} if all(given.values()) else {"weight": 0}


def _shared(turn: Mapping[str, Any], number: int) -> Message:
    speaker, value = turn["from"], turn.get("value")
    if speaker != CALL:
        role = FROM.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            raise Refused(
                UNKNOWN_ROLE, f"turn {number}: {str(speaker)[:40]!r}{_hint(speaker, [*FROM, CALL])}"
            )
        return {"role": role, "content": value, **_weight(turn, number)}
    calls = _parsed(value)
    calls = [calls] if isinstance(calls, Mapping) else calls
    if not isinstance(calls, list) or not calls:
        raise Refused(BAD_CALL, f"turn {number}: {CALL} needs JSON with name and arguments")
    return {"role": "assistant", "content": None, "tool_calls": calls, **_weight(turn, number)}


def _hint(role: Any, allowed: Any) -> str:
    name = str(role).strip().lower()
    meant = MEANT.get(name)
    return f" (did you mean '{meant}'?)" if meant else nearest(name, allowed)


def _tools(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tools = _parsed(record.get("tools")) or []
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise Refused(BAD_CALL, "tools must be a list of objects")
    return tools


def _parsed(value: Any) -> Any:
    """JSON in a text, as tables have it; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return objects.read(value)
        except objects.Twice as error:
            raise Refused(BROKEN_JSON, str(error)) from None
        except (ValueError, RecursionError):
            return value
    return value
