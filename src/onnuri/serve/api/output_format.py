"""What a request asks of the form of a text: a JSON schema, a regular expression, a grammar."""

from __future__ import annotations

from typing import Any, NamedTuple

from onnuri.serve.api.fields import Check, boolean, fields, mapping, one_of, sequence, text
from onnuri.serve.errors import invalid


class OutputFormat(NamedTuple):
    """The form, as one of the kinds that `onnuri.serve.grammar` compiles."""

    kind: str
    """json (a schema), regex, lark or choice."""
    value: Any


def _schema_name(name: str, value: Any) -> str:
    return text(name, value)[:64]


_SCHEMA: dict[str, Check] = {
    "name": _schema_name,
    "description": text,
    "schema": mapping,
    "strict": boolean,
}
ANY_OBJECT: dict[str, Any] = {"type": "object"}


def response_format(name: str, value: Any) -> OutputFormat | None:
    """Of chat completions: text, json_object, or json_schema with the schema in an object of its own."""
    known = {"type": one_of("text", "json_object", "json_schema"), "json_schema": mapping}
    found = fields(name, value, known)
    if found.get("type") == "json_schema":
        inner = fields(f"{name}.json_schema", found.get("json_schema"), _SCHEMA)
        return OutputFormat("json", inner.get("schema", ANY_OBJECT))
    if "type" not in found or "json_schema" in found:
        raise invalid(name, "needed: type, and json_schema only with type json_schema")
    return OutputFormat("json", ANY_OBJECT) if found["type"] == "json_object" else None


def responses_text(name: str, value: Any) -> OutputFormat | None:
    """Of responses: the same in `format`, with the schema beside the type."""
    known: dict[str, Check] = {"format": mapping}
    form = fields(name, value, known, {"verbosity": (("medium",), "answers are as long as they are")}).get(
        "format"
    )
    if form is None:
        return None
    found = fields(
        f"{name}.format", form, {"type": one_of("text", "json_object", "json_schema"), **_SCHEMA}
    )
    if found.get("type") == "json_schema":
        return OutputFormat("json", found.get("schema", ANY_OBJECT))
    if "type" not in found or "schema" in found:
        raise invalid(f"{name}.format", "needed: type, and schema only with type json_schema")
    return OutputFormat("json", ANY_OBJECT) if found["type"] == "json_object" else None


def _choice(name: str, value: Any) -> list[str]:
    found = sequence(name, value, 1000)
    if not found or not all(isinstance(each, str) and each for each in found):
        raise invalid(name, "needed: texts to choose from")
    return found


def structured_outputs(name: str, value: Any) -> OutputFormat:
    """As vLLM has it: one of json, json_object, regex, choice, grammar (Lark)."""
    known: dict[str, Check] = {
        "json": mapping,
        "json_object": boolean,
        "regex": text,
        "choice": _choice,
        "grammar": text,
    }
    found = fields(name, value, known)
    if len(found) != 1 or found.get("json_object") is False:
        raise invalid(name, f"needed: one of {', '.join(known)}")
    ((kind, form),) = found.items()
    if kind == "json_object":
        return OutputFormat("json", ANY_OBJECT)
    return OutputFormat({"grammar": "lark"}.get(kind, kind), form)
