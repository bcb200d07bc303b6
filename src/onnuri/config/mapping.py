"""A mapping of a YAML file as a typed dataclass: for a part of a file what Hydra does for a command."""

from __future__ import annotations

import dataclasses
import datetime
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from onnuri.base.errors import UserError, nearest
from onnuri.config.application import one_line_errors
from onnuri.config.paths import expand_homes
from onnuri.config.schema import options

Part = TypeVar("Part")


def from_mapping(schema: type[Part], written: Any, where: str, context: Mapping[str, str]) -> Part:
    """`written` as an instance of `schema`, with `${name}` taken from `context`.

    A value has to be of the type of its field as it stands: YAML reads `lang: no` as false, and the text
    "False" would be a silent mistake. Dates become texts, and integers floats where a float is asked for;
    what an interpolation brings is converted.
    Raises UserError, one line that begins with `where`, also for what `schema` refuses by itself.
    """
    from omegaconf import OmegaConf, flag_override
    from omegaconf.errors import GrammarParseError, OmegaConfBaseException

    if not isinstance(written, dict):
        raise UserError(f"{where} must be a mapping, found {written!r}")
    types = {field.name: field.type for field in dataclasses.fields(typing.cast(Any, schema))}
    node = OmegaConf.structured(schema)
    for key, value in written.items():
        if key not in types:
            raise UserError(f"{where} has the unknown key '{key}'{nearest(str(key), types)}")
        given = value.isoformat() if isinstance(value, datetime.date) else value
        try:
            with flag_override(node, "readonly", False):  # of a frozen dataclass
                node[key] = given
            kept = typing.cast(Any, OmegaConf.to_container(node))[key]
            integer = type(kept) is float and type(given) is int and kept == given
            fits = integer or repr(kept) == repr(given)
        except GrammarParseError as error:
            problem = str(error).partition("\n")[0]
            raise UserError(rf"{where}: {key}: {problem}; for a text with ${{ in it write \${{") from None
        except (OmegaConfBaseException, RecursionError):
            fits = False
        if not fits:
            raise UserError(f"{where}: {key} must be of type {types[key]}, found {value!r}")
    if missing := [key for key in types if OmegaConf.is_missing(node, key)]:
        raise UserError(f"{where}: {missing[0]} is missing")
    root = OmegaConf.create({**{name: as_text(value) for name, value in context.items()}, "part": node})
    try:
        with one_line_errors(context):
            expand_homes(root.part, options(schema))
            return typing.cast(Part, OmegaConf.to_object(root.part))
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('part.')}") from None


def as_text(value: Any) -> Any:
    """A value of the command line, a text or a list of them, with no interpolation in it."""
    if isinstance(value, list):
        return [as_text(each) for each in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value
