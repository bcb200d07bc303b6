"""Words of the command line to overrides that Hydra can parse.

Hydra's grammar has the last word: what it can parse means what Hydra says. Four things are done before:

- Names are checked, so that a mistake gets the nearest name.
- A text that Hydra's lexer refuses (Hangul, `=`, parentheses) is quoted; lists, tables and sweeps are taken
  apart for that. A text option takes 1e3 or true as they are typed, a number option takes 1e3 for 1000.
- A table with keys that Hydra has no way to write (`{한겨레:2}`) becomes a call of a resolver. So does
  an empty one: Hydra would merge it into the table of a preset, which would stay as it is.
- `data=DIR` means `data.path=DIR`, where a group has a path and no such choice; `engine=ray` means
  `engine.name=ray`, where a part has a name; a path that begins with `~` is in a home directory.
"""

from __future__ import annotations

import functools
import re
import shlex
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.base.errors import UserError, check_choice, nearest
from onnuri.config.former_names import FORMER, refuse_both, rename_references, rename_table, report
from onnuri.config.paths import expand_home
from onnuri.config.schema import Option

WORD = re.compile(
    r"(?P<sign>\+\+|\+|~|)(?P<key>[^=@~+]*)(?P<package>@[^=]*)?(?:=(?P<value>.*))?", re.DOTALL
)
FUNCTION = re.compile(
    r"(bool|choice|extend_list|float|glob|int|interval|json_str|range|shuffle|sort|str|tag)\s*\((.*)\)",
    re.DOTALL,
)
"""A call of a function of Hydra's grammar."""
ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
"""What Hydra unescapes in a value without quotes."""
BOOLEANS = ("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0")
"""What OmegaConf reads as a truth value."""
TABLE_RESOLVER = "onnuri.table"


def prepare(
    word: str, known: Mapping[str, Option], groups: Mapping[str, Sequence[str]], sweep: bool = False
) -> str:
    """One override as Hydra can parse it. Raises UserError for an unknown name or an impossible value."""
    found = WORD.fullmatch(word)
    if not found or (found["value"] is None and found["sign"] != "~") or not found["key"]:
        raise UserError(f"'{word}' is no option; options are written key=value, see --help")
    sign, key, package, value = found["sign"], found["key"], found["package"] or "", found["value"]
    if key in FORMER and FORMER[key] in known:
        report(key)
        word = word.replace(key, FORMER[key], 1)
        key = FORMER[key]
    if value is not None and (renamed := rename_references(value)) != value:
        word = word[: len(word) - len(value)] + renamed
        value = renamed
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UserError(f"{key}: the value is not valid UTF-8") from None
    if value is None:
        _check_name(key, known, groups)
        return word
    if value.startswith("{") and key not in known and any(name.startswith(f"{key}.") for name in known):
        return f"{sign}{key}{package}={_any(rename_table(key, value))}"
    if key in groups:
        chosen = [each.strip() for each in split(value)]
        unknown = [each for each in chosen if not _is_choice(each, groups[key])]
        if not unknown or sign == "~":
            if not sweep:
                _refuse_sweep(key, value, value)
            return word
        if f"{key}.path" not in known or package:
            check_choice(key, unknown[0], groups[key])
        key = f"{key}.path"
    elif key not in known and f"{key}.name" in known:
        key = f"{key}.name"
    elif not key.startswith(("hydra.", "hydra/")):
        _check_name(key, known, groups)
    option = known.get(key)
    if not sweep and option is not None and option.kind in (bool, int, float) and len(split(value)) > 1:
        kind = "truth value" if option.kind is bool else "number"
        raise UserError(f"{key}={value} is a sweep, which needs -m; one {kind} is written without a comma")
    prepared = ",".join(_element(each.strip(), key, value, option) for each in split(value))
    if not sweep:
        _refuse_sweep(key, value, prepared)
    if option is not None and option.kind is dict and not sign and value != "???":
        sign = "++"  # for Hydra, entries that a table does not have by default are new keys
    return f"{sign}{key}{package}={prepared}"


def refuse_both_names(words: Sequence[str]) -> None:
    """Raise UserError for words that give an option by its former name and by that of today."""
    refuse_both(match["key"] for word in words if (match := WORD.fullmatch(word)))


def refuse_repeated_tables(words: Sequence[str]) -> None:
    """Raise UserError for a table that two words of a sweep set.

    Hydra drops the first (its issue 3106), where a single run merges them.
    """
    found = [match for word in words if (match := WORD.fullmatch(word))]
    tables = [match["key"] for match in found if (match["value"] or "").startswith("{")]
    for key in tables:
        if tables.count(key) > 1:
            raise UserError(f"{key} is set by two words, and a sweep takes the last alone; write one table")


def _is_choice(name: str, choices: Sequence[str]) -> bool:
    return name in choices or name.startswith("[") or bool(FUNCTION.fullmatch(name))


def _check_name(key: str, known: Mapping[str, Option], groups: Mapping[str, Sequence[str]]) -> None:
    """Raise UserError unless a key is an option, an entry of a table, a group or a subgroup."""
    if key in known or key in groups or key.partition("/")[0] in groups:
        return
    parent = known.get(key.rpartition(".")[0])
    if parent and parent.kind is dict:
        return
    inner = [name for name in known if name.startswith(f"{key}.")]
    if inner:
        raise UserError(f"{key} has parts, set one of them: {', '.join(inner)}")
    candidates = list(known) if "." in key else [*known, *groups]
    raise UserError(f"unknown option '{key}'{nearest(key, candidates)}; --help lists all")


def _refuse_sweep(key: str, value: str, prepared: str) -> None:
    from hydra.core.override_parser.types import Glob, Sweep

    if isinstance(parsed(prepared), Sweep | Glob):
        one = shlex.quote(f"{key}={quoted(value)}")
        raise UserError(f"{key}={value} is a sweep, which needs -m; for one text write {one}")


def split(text: str) -> list[str]:
    """The parts of a value between commas outside of quotes and brackets.

    A quote counts where a value begins. A text with an unclosed quote or bracket is one part.
    """
    parts, start, depth, quote, begins = [], 0, 0, "", True
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and begins:
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        begins = not quote and (character in "([{,:=" or (begins and character == " "))
        position += 1
    return [text] if quote or depth else [*parts, text[start:]]


def _element(text: str, key: str, whole: str, option: Option | None) -> str:
    """One value of a sweep, or the only one, as Hydra can parse it."""
    if (call := FUNCTION.fullmatch(text)) and (rewritten := _call(call, key, whole, option)):
        return rewritten
    if option is None:
        return _any(text)
    if option.kind is list or option.kind is dict:
        return _container(text, key, whole, option)
    if option.kind is str:
        if text == "null" and not option.optional:
            raise UserError(f"{key}=null: {key} is a text; for the text null write {key}=\"'null'\"")
        return _text(text, option)
    return _number(text, key, option)


def _call(call: re.Match[str], key: str, whole: str, option: Option | None) -> str:
    """A call with values as Hydra can parse them; "" if it is a text that looks like one."""
    takes_values = call[1] in ("choice", "shuffle", "sort", "tag")

    def argument(text: str) -> str:
        if re.match(r"\w+\s*=", text):
            return text
        return _element(text, key, whole, option) if takes_values else _any(text)

    arguments = ",".join(argument(each.strip()) for each in split(call[2]))
    if call[1] == "choice" and option is not None and option.kind is dict:
        return arguments  # Hydra takes calls of resolvers in it for text
    rewritten = f"{call[1]}({arguments})"
    return rewritten if parsed(rewritten) is not Unparsable else ""


class Unparsable:
    """What `parsed` returns for what Hydra cannot parse."""


@functools.cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def parsed(text: str) -> Any:
    """The value that Hydra reads, or Unparsable."""
    from hydra.errors import HydraException

    try:
        return _parser().parse_override(f"key={text}").value()
    except HydraException:
        return Unparsable


def quoted(text: str) -> str:
    """A text in quotes, for Hydra."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _text(text: str, option: Option) -> str:
    if option.is_path:
        text = expand_home(option.name, text)
        inner = parsed(text) if text[:1] in ("'", '"') else None
        if isinstance(inner, str) and inner.startswith("~"):
            text = quoted(expand_home(option.name, inner))
    if text in ("null", "???"):
        return text
    value = parsed(text) if text else Unparsable
    if value is Unparsable:
        return quoted(ESCAPED.sub(r"\1", text))
    if isinstance(value, str):
        return quoted(value) if text.endswith("\\") else text  # it would escape the bracket of a list
    return quoted(text)


def _any(text: str) -> str:
    """A value of a type that is not known here: of Hydra's own options, or a pattern."""
    if parsed(text) is not Unparsable:
        return text
    if text[:1] == "[" and text[-1:] == "]":
        return f"[{','.join(_any(each.strip()) for each in split(text[1:-1]))}]"
    return quoted(ESCAPED.sub(r"\1", text))


def _number(text: str, key: str, option: Option) -> str:
    value, kind = parsed(text), option.kind
    if text == "???" or (isinstance(value, str) and "${" in value) or (text == "null" and option.optional):
        return text
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise UserError(f"{key}={text} must be true or false")
        return text
    if isinstance(value, str):
        value = parsed(value)  # a number in quotes
    if kind is int and isinstance(value, float) and value.is_integer():
        check_number(key, int(value))
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise UserError(f"{key}={text} must be a {'whole ' if kind is int else ''}number")
    check_number(key, value)
    return text


def check_number(name: str, value: float) -> None:
    """Raise UserError for a number that no option has a use for: nan, infinity, more than 64 bits."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise UserError(f"{name}={value} must be a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError(f"{name}={value} must fit in 64 bits")


def _container(text: str, key: str, whole: str, option: Option) -> str:
    """A list of texts, or a table of numbers by name."""
    value = parsed(text)
    if text == "???" or (text == "null" and option.optional) or (isinstance(value, str) and "${" in value):
        return text
    whole_numbers = option.kind is dict and typing.get_args(option.type)[1:] == (int,)
    brackets, example = ("[]", "[one,two]") if option.kind is list else ("{}", "{name:1.5,other:0}")
    example = "{0:8,200:16}" if whole_numbers else example
    if len(text) < 2 or text[0] + text[-1] != brackets:
        raise UserError(f"{key}={whole} must be written as {key}={example}")
    entries = [entry for each in split(text[1:-1]) if (entry := each.strip())]
    if option.kind is list:
        return f"[{','.join(_text(entry, option) for entry in entries)}]"
    return _table(entries, key, whole_numbers)


def _table(entries: Sequence[str], key: str, whole_numbers: bool) -> str:
    pairs = []
    for entry in entries:
        name, _, number = (each.strip() for each in entry.rpartition(":"))
        value = parsed(number)
        if not name or isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{key}: '{entry}' must be a name, a colon and a number")
        check_number(f"{key}.{name}", value)
        if whole_numbers and int(value) != value:
            raise UserError(f"{key}.{name}={number} must be a whole number")
        pairs.append((name, str(int(value)) if whole_numbers else number))
    plain = f"{{{','.join(f'{name}:{number}' for name, number in pairs)}}}"
    read = parsed(plain)
    if pairs and isinstance(read, dict) and all(isinstance(name, str) for name in read):
        return plain
    arguments = [
        f"{_table_name(name)},{number if whole_numbers else float(number)}" for name, number in pairs
    ]
    return f'"${{{TABLE_RESOLVER}:{",".join(arguments)}}}"'


def _table_name(name: str) -> str:
    """In quotes, with no quote, brace or backslash in it: the resolver puts them back."""
    if name[0] in "'\"" and name[0] == name[-1]:
        name = name[1:-1]
    return "'" + re.sub(r"""[\'"\\{}$%]""", lambda found: f"%{ord(found[0]):02X}", name) + "'"
