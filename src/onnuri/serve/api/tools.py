"""Functions that a model may call: what a request says of them, a grammar that holds calls to it, and calls
in a text as it comes.

A call is written as Hermes 2 Pro does: <tool_call>, a line with a JSON object of name and arguments,
</tool_call> (`onnuri.tokenizer.special.CHAT_TEMPLATE`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from onnuri.serve.api.fields import Check, boolean, fields, mapping, one_of, sequence, text
from onnuri.serve.errors import invalid
from onnuri.serve.held import Held

MOST_TOOLS = 128
NAME = re.compile(r"[\w.-]{1,64}")
BEGIN, END = "<tool_call>", "</tool_call>"


class Tool(NamedTuple):
    """A function."""

    name: str
    parameters: dict[str, Any]
    """JSON schema of its arguments."""
    shown: dict[str, Any]
    """What the model reads."""


class Choice(NamedTuple):
    """Whether calls may or must come."""

    kind: str = "auto"
    """none, auto, required, or named."""
    name: str = ""
    """The function that a named choice calls."""


def _name(name: str, value: Any) -> str:
    if not NAME.fullmatch(text(name, value)):
        raise invalid(name, "needed: 1 to 64 letters, digits, _, - and .")
    return str(value)


FUNCTION: dict[str, Check] = {
    "name": _name,
    "description": text,
    "parameters": mapping,
    "strict": boolean,
}


def tools(name: str, value: Any) -> list[Tool]:
    """Of chat completions: functions in an object of their own."""
    found = []
    for number, each in enumerate(sequence(name, value, MOST_TOOLS)):
        inner = f"{name}[{number}]"
        known: dict[str, Check] = {"type": one_of("function"), "function": mapping}
        function = fields(inner, each, known).get("function")
        found.append(_tool(f"{inner}.function", function))
    return _distinct(name, found)


def flat_tools(name: str, value: Any) -> list[Tool]:
    """Of responses: name and parameters beside the type."""
    found = []
    for number, each in enumerate(sequence(name, value, MOST_TOOLS)):
        inner = f"{name}[{number}]"
        kind = mapping(inner, each).get("type")
        if kind != "function":
            raise invalid(f"{inner}.type", "not supported: functions only", "unsupported_parameter")
        found.append(_tool(inner, {key: one for key, one in each.items() if key != "type"}))
    return _distinct(name, found)


def _tool(name: str, value: Any) -> Tool:
    found = fields(name, value, FUNCTION)
    if "name" not in found:
        raise invalid(f"{name}.name", "missing")
    shown = {key: found[key] for key in ("name", "description", "parameters") if key in found}
    parameters = found.get("parameters") or {"type": "object"}
    return Tool(found["name"], parameters, {"type": "function", "function": shown})


def _distinct(name: str, found: list[Tool]) -> list[Tool]:
    if len({tool.name for tool in found}) < len(found):
        raise invalid(name, "two functions have one name")
    return found


def tool_choice(name: str, value: Any) -> Choice:
    """none, auto, required, or a function: in an object of its own, or beside the type."""
    if isinstance(value, str):
        return Choice(one_of("none", "auto", "required")(name, value))
    known: dict[str, Check] = {"type": one_of("function"), "function": mapping, "name": _name}
    found = fields(name, value, known)
    if "function" in found:
        found |= fields(f"{name}.function", found["function"], {"name": _name})
    if "name" not in found:
        raise invalid(name, "needed: none, auto, required, or the name of a function")
    return Choice("named", found["name"])


def check_choice(choice: Choice, known: Sequence[Tool]) -> None:
    """Raise ApiError for a choice among no functions, or of one that is not there."""
    if choice.kind in ("required", "named") and not known:
        raise invalid("tool_choice", "needed: tools to choose from")
    if choice.kind == "named" and choice.name not in {tool.name for tool in known}:
        raise invalid("tool_choice", f"no tool has the name {choice.name}")


def grammar(known: Sequence[Tool], choice: Choice, parallel: bool, answer: dict[str, Any] | None) -> str:
    """Lark grammar of an answer: text with calls in it, or calls alone.

    `answer` is the schema of an answer without calls; None: any text. `parallel` allows several calls.
    """
    chosen = [tool for tool in known if choice.kind != "named" or tool.name == choice.name]
    several = parallel and choice.kind != "named"
    lines = [f"body: {' | '.join(f'tool_{number}' for number in range(len(chosen)))}"]
    for number, tool in enumerate(chosen):
        head = json.dumps(f'\n{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": ')
        schema = json.dumps(compact(tool.parameters), ensure_ascii=False)
        lines += [
            f"tool_{number}: {head} args_{number} {json.dumps(f'}}{chr(10)}{END}')}",
            f"args_{number}: %json {schema}",
        ]
    forced = f'forced: "{BEGIN}" body' + (f' ("\\n{BEGIN}" body)*' if several else "")
    if choice.kind == "auto" and answer is None:
        start = "start: call* rest" if several else "start: call | rest"
        lines += ["call: head body", f'head[lazy]: TEXT "{BEGIN}"', "rest: TEXT", r"TEXT: /(?s:.*)/"]
    elif choice.kind == "auto":
        start = "start: forced | answer"
        lines += [forced, f"answer: %json {json.dumps(compact(answer or {}), ensure_ascii=False)}"]
    else:
        start = "start: forced"
        lines.append(forced)
    return "\n".join([start, *lines])


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose JSON has no more white space than Python's `json.dumps` writes."""
    spacing = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return {**schema, "x-guidance": spacing}


class Call(NamedTuple):
    """A call that a model made."""

    name: str
    arguments: str
    """JSON text."""


class CallReader:
    """Finds calls in a text as it comes. What is no call of a known function stays text."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)
        self.held = Held((f"\n{BEGIN}", BEGIN))
        self.inside: str | None = None
        """What came after <tool_call>."""
        self.found = False
        """Whether there was a call."""

    def push(self, piece: str) -> list[str | Call]:
        """Text that is no part of a call, and calls that are complete."""
        out: list[str | Call] = []
        while True:
            if self.inside is None:
                shown, mark, piece = self.held.push(piece)
                if shown and not (self.found and not mark and not shown.strip()):
                    out.append(shown)
                if not mark:
                    return out
                self.inside = ""
            self.inside += piece
            call, piece = self._complete()
            if call is None:
                return out
            out.append(call)
            self.found |= isinstance(call, Call)
            self.inside = None

    def _complete(self) -> tuple[Call | str | None, str]:
        """The call, or what looked like one, and what follows it; None if the end has not come."""
        assert self.inside is not None
        end = -1
        while (end := self.inside.find(END, end + 1)) >= 0:
            try:
                content = json.loads(self.inside[:end])
            except (ValueError, RecursionError):
                continue  # the end stands in a string of the arguments
            rest = self.inside[end + len(END) :]
            name = content.get("name") if isinstance(content, dict) else None
            if name in self.names and isinstance(content.get("arguments"), dict):
                return Call(name, json.dumps(content["arguments"], ensure_ascii=False)), rest
            return f"{BEGIN}{self.inside[: end + len(END)]}", rest
        return None, ""

    def finish(self) -> str:
        """What was held back, at the end."""
        rest = self.held.finish()
        if self.inside is not None:
            return f"{BEGIN}{self.inside}"
        return "" if self.found and not rest.strip() else rest
