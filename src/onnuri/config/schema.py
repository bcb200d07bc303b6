"""The options of a command: a dataclass, whose docstrings below the fields are the help."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import textwrap
import threading
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnuri.config.paths import PATH

FLAGS = """Also, as Hydra has them: +key=value, ~key, group@package=name, and
  -m key=a,b                                     a sweep: one job for each value
  --cfg job|hydra|all [--resolve] [-p PACKAGE]   print the composed config
  --info, --hydra-help                           search path, plugins, Hydra's own options
  --config-dir DIR, --config-name NAME           presets of your own"""


@dataclasses.dataclass(frozen=True)
class Option:
    """One leaf of a config dataclass."""

    name: str
    type: Any
    default: Any
    meaning: str
    is_path: bool = False
    """Whether it names a file or folder, or a list of them."""

    @property
    def optional(self) -> bool:
        """Whether null is a value."""
        return type(None) in typing.get_args(self.type)

    @property
    def kind(self) -> type:
        """bool, int, float or str; list of texts; dict of numbers."""
        kinds = [each for each in typing.get_args(self.type) if each is not type(None)]
        kind = kinds[0] if self.optional else self.type
        return typing.get_origin(kind) or kind


PARSING = threading.Lock()
"""Python 3.11 counts the depth of a syntax tree for all threads together: two that parse at once can raise
SystemError (https://github.com/python/cpython/issues/106905)."""


@functools.cache
def field_meanings(schema: type) -> Mapping[str, str]:
    """Field name to the docstring below it, read from the source of the dataclass and its bases."""
    meanings: dict[str, str] = {}
    for cls in reversed(schema.__mro__[:-1]):
        with PARSING:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        body = tree.body[0].body  # type: ignore[attr-defined]
        for statement, following in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                meanings[statement.target.id] = " ".join(str(following.value.value).split())
    return meanings


def options(schema: type, prefix: str = "") -> Iterator[Option]:
    """Every leaf option of a config dataclass, nested ones by dotted name; inherited ones last."""
    meanings, types = field_meanings(schema), typing.get_type_hints(schema)
    order = [name for cls in schema.__mro__ for name in vars(cls).get("__annotations__", ())]
    for field in sorted(dataclasses.fields(schema), key=lambda each: order.index(each.name)):
        kind = types[field.name]
        if dataclasses.is_dataclass(kind):
            yield from options(typing.cast(type, kind), f"{prefix}{field.name}.")
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        is_path = field.metadata.get(PATH, False)
        yield Option(prefix + field.name, kind, default, meanings.get(field.name, ""), is_path)


def config_groups(
    config_dir: Path | None, known: Iterable[str], own: Sequence[Path] = ()
) -> dict[str, list[str]]:
    """Group to choices: the groups of `config_dir` that these options have a use for, all of `own` folders.

    A choice in a folder of its group has a name like `large/long`.
    """
    parts = {name.partition(".")[0] for name in known} | {"experiment"}
    found: dict[str, set[str]] = {}
    for root in (config_dir, *own):
        for folder in root.iterdir() if root and root.is_dir() else ():
            if folder.is_dir() and (root != config_dir or folder.name in parts):
                files = [file.relative_to(folder) for file in folder.rglob("*.yaml")]
                found.setdefault(folder.name, set()).update(f.with_suffix("").as_posix() for f in files)
    return {group: sorted(found[group]) for group in sorted(found)}


def stated_values(config_dir: Path, config_name: str, chosen: Mapping[str, str]) -> dict[str, Any]:
    """What the file of a command and the files of its default choices state, by option."""
    import yaml

    found: dict[str, Any] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            elif key != "defaults":
                found[prefix + key] = value

    files = {f"{group}.": config_dir / group / f"{choice}.yaml" for group, choice in chosen.items()}
    for prefix, path in {**files, "": config_dir / f"{config_name}.yaml"}.items():
        if path.is_file():
            add(prefix, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return found


def help_text(
    schema: type, description: str, config_dir: Path | None = None, config_name: str = "config"
) -> str:
    """What `--help` prints: purpose, config groups, and every option with type, default, meaning."""
    lines = [inspect.cleandoc(description), ""]
    groups, stated = config_groups(config_dir, [option.name for option in options(schema)]), {}
    if config_dir and groups:
        primary = (config_dir / f"{config_name}.yaml").read_text(encoding="utf-8")
        chosen = dict(re.findall(r"^  - (\w+): (\S+)$", primary, re.MULTILINE))
        stated = stated_values(config_dir, config_name, chosen)
        lines.append("Config groups (group=name); defaults of options are those of the default choices:")
        for group, names in groups.items():
            shown = [f"{name} (default)" if name == chosen.get(group) else name for name in names]
            lines.append(f"  {group:<12} {', '.join(shown)}")
        lines.append("")
    lines.append("Options (key=value; Hydra override syntax):")
    for option in options(schema):
        kind = (
            getattr(option.type, "__name__", str(option.type))
            if not typing.get_args(option.type)
            else str(option.type)
        )
        default = stated.get(option.name, option.default)
        if option.kind is float and isinstance(default, int | str):  # YAML 1.1 takes 2e-5 for a text
            default = float(default)
        required = default is dataclasses.MISSING or default == "???"
        shown_default = "required" if required else f"default {default!r}"
        lines.append(f"  {option.name}  <{kind}>  {shown_default}")
        lines += textwrap.wrap(option.meaning, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join([*lines, "", FLAGS])
