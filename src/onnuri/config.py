"""From `key=value` words on the command line to a typed dataclass, through Hydra.

The dataclass is the single source of names, types, defaults and help: the string below each field is
its meaning, and `--help` prints it without composing anything. Doors with config groups (`configs/`)
name a folder; the others are composed from the dataclass alone, so `model=DIR` stays a plain value.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import os
import platform
import re
import sys
import textwrap
import time
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from onnuri.errors import UserError, nearest
from onnuri.location import shipped

Config = TypeVar("Config")
CONFIG_ROOT = shipped("configs")
SECONDARY_RANK_GRACE_SECONDS = 10.0
BOOLEANS = ("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0")
"""What OmegaConf reads as a truth value."""
ENTRY = re.compile(r"""(?:'[^']*'|"[^"]*"|[^,])+""")
"""An entry of a list or table: up to a comma outside of quotes."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One leaf of a config dataclass."""

    name: str
    type: Any
    default: Any
    meaning: str


def field_meanings(schema: type) -> dict[str, str]:
    """Field name to the docstring below it, read from the source of the dataclass and its bases."""
    meanings: dict[str, str] = {}
    for cls in reversed(schema.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
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
    """Every leaf option of a config dataclass, nested ones by dotted name."""
    meanings, types = field_meanings(schema), typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind = types[field.name]
        if dataclasses.is_dataclass(kind):
            yield from options(typing.cast(type, kind), f"{prefix}{field.name}.")
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield Option(prefix + field.name, kind, default, meanings.get(field.name, ""))


def _groups(config_dir: Path | None, known: Iterable[str]) -> dict[str, list[str]]:
    """Names in the folders of `config_dir` that a door with these options has a use for."""
    if config_dir is None:
        return {}
    parts = {name.partition(".")[0] for name in known} | {"experiment"}
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(config_dir.iterdir())
        if folder.is_dir() and folder.name in parts
    }


def help_text(schema: type, description: str, config_dir: Path | None = None) -> str:
    """What `--help` prints: purpose, config groups, and every option with type, default, meaning."""
    lines = [inspect.cleandoc(description), ""]
    groups = _groups(config_dir, [option.name for option in options(schema)])
    if groups:
        lines.append("Config groups (choose with group=name; defaults below may be replaced by them):")
        lines += [f"  {group:<12} {', '.join(names)}" for group, names in groups.items()]
        lines.append("")
    lines.append("Options (key=value; Hydra override syntax):")
    for option in options(schema):
        kind = (
            getattr(option.type, "__name__", str(option.type))
            if not typing.get_args(option.type)
            else str(option.type)
        )
        required = option.default is dataclasses.MISSING or option.default == "???"
        shown = "required" if required else f"default {option.default!r}"
        lines.append(f"  {option.name}  <{kind}>  {shown}")
        lines += textwrap.wrap(option.meaning, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["", "  --help  this text        --cfg  print the composed config and exit"]
    return "\n".join(lines)


def _prepare_override(word: str, known: dict[str, Option], config_dir: Path | None) -> str:
    """Check one command-line word: a known key, a known choice, valid text.

    A path given to a config group (`data=DIR`) means that group's `path` option, and a value given to a
    part that has a `name` (`engine=ray`) means that.
    """
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"'{word}' is no option; options are written key=value, see --help")
    bare = key.lstrip("+~")
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UserError(f"{bare}: the value is not valid UTF-8") from None
    choices = _groups(config_dir, known).get(bare)
    if choices is not None:
        if value in choices:
            return word
        if f"{bare}.path" not in known:
            raise UserError(
                f"{bare}={value} is not known; allowed: {', '.join(choices)}{nearest(value, choices)}"
            )
        key = bare = f"{bare}.path"
    names = list(known)
    if bare not in known:
        inner = [name for name in names if name.startswith(bare + ".")]
        if f"{bare}.name" in inner:
            return _prepare_override(f"{bare}.name={value}", known, config_dir)
        if inner:
            raise UserError(f"{bare} has parts, set one of them: {', '.join(inner)}")
        candidates = names if "." in bare else [*names, *_groups(config_dir, known)]
        raise UserError(f"unknown option '{bare}'{nearest(bare, candidates)}; --help lists all")
    if known[bare].type is bool and value.lower() not in BOOLEANS:
        raise UserError(f"{bare}={value} must be true or false")
    return f"{key}={value}"


def _is_ours(override: str, known: dict[str, Option]) -> bool:
    """True for a checked override of a text, a list of texts or a table.

    Hydra's grammar must not read them: it knows neither Hangul nor most punctuation outside of quotes.
    """
    option = known.get(override.partition("=")[0])
    return option is not None and (option.type is str or _container(option) is not None)


def _container(option: Option) -> type | None:
    """list for an option that holds texts, dict for a table of numbers by name, else None."""
    kinds = [option.type, *typing.get_args(option.type)]
    if any(kind == list[str] for kind in kinds):
        return list
    return dict if typing.get_origin(option.type) is dict else None


def _set_ours(config: Any, override: str, option: Option) -> None:
    """Put the value of such an option into the composed config exactly as it was typed."""
    from omegaconf import OmegaConf

    key, _, value = override.partition("=")
    if value == "???":
        raise UserError(f"{key}=??? is a placeholder, not a value")
    container = _container(option)
    if container is None:
        OmegaConf.update(config, key, _literal(value))
        return
    if container is list and value == "null":
        OmegaConf.update(config, key, None)
        return
    brackets = "[]" if container is list else "{}"
    if len(value) < 2 or value[0] + value[-1] != brackets:
        example = "[one,two]" if container is list else "{name:1.5,other:0}"
        raise UserError(f"{key}={value} must be written as {key}={example}")
    entries = [entry.strip() for entry in ENTRY.findall(value[1:-1]) if entry.strip()]
    if container is list:
        OmegaConf.update(config, key, [_literal(_unquoted(entry)) for entry in entries])
        return
    table = {}
    for entry in entries:
        name, _, number = entry.rpartition(":")
        try:
            table[_unquoted(name.strip())] = float(number)
        except ValueError:
            raise UserError(f"{key}: '{entry}' must be a name, a colon and a number") from None
    OmegaConf.update(config, key, table, merge=False, force_add=True)


def _literal(text: str) -> str:
    """A text in which OmegaConf finds no ${...} to fill in."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", text)


def _unquoted(text: str) -> str:
    """Without the quotes around it, if it has some."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def compose(
    schema: type[Config],
    words: Sequence[str],
    config_dir: Path | None = None,
    config_name: str = "config",
) -> Config:
    """Compose `schema` from defaults, config groups and `key=value` words.

    Raises UserError, in one line, for an unknown key, a wrong type or a missing required option.
    """
    known = {option.name: option for option in options(schema)}
    overrides = [_prepare_override(word, known, config_dir) for word in words]

    from hydra import compose as hydra_compose
    from hydra import initialize, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    name = config_name if config_dir is None else f"{config_name}_schema"
    ConfigStore.instance().store(name=name, node=schema)
    start = (
        initialize(version_base=None, config_path=None)
        if config_dir is None
        else initialize_config_dir(version_base=None, config_dir=str(config_dir))
    )
    try:
        with start:
            ours = [override for override in overrides if _is_ours(override, known)]
            config = hydra_compose(config_name, [o for o in overrides if o not in ours])
            for override in ours:
                _set_ours(config, override, known[override.partition("=")[0]])
            missing = sorted(OmegaConf.missing_keys(config))
            if missing:
                needed = "; ".join(f"{key}=... ({known[key].meaning})" for key in missing)
                raise UserError(f"missing option: {needed}")
            return typing.cast(Config, OmegaConf.to_object(config))
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        raise UserError(" ".join(str(cause).split())) from None


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain nested dicts, ready for JSON or YAML."""
    return dataclasses.asdict(config)


def run_cli(
    schema: type[Config],
    main: Callable[[Config], int | None],
    description: str,
    config_dir: Path | None = None,
    config_name: str = "config",
) -> typing.NoReturn:
    """Parse `sys.argv`, call `main(config)`, and exit: 0 done, 2 for a UserError, 130 for Ctrl-C.

    Under torchrun rank 0 speaks for all: the other ranks wait for torchrun to end them along with it. One
    that is still alive after that has a problem of its own (a folder missing on its node) and says so.
    """
    words = sys.argv[1:]
    rank = int(os.environ.get("RANK", "0"))
    try:
        if any(word in ("-h", "--help") for word in words):
            if rank == 0:
                print(help_text(schema, description, config_dir), flush=True)
            sys.exit(0)
        show = "--cfg" in words
        config = compose(schema, [w for w in words if w != "--cfg"], config_dir, config_name)
        if show and rank > 0:
            sys.exit(0)
        if show:
            from omegaconf import OmegaConf

            print(OmegaConf.to_yaml(OmegaConf.structured(config)), end="")
            sys.exit(0)
        sys.exit(main(config) or 0)
    except UserError as error:
        if rank > 0:
            time.sleep(SECONDARY_RANK_GRACE_SECONDS)
        where = f" (rank {rank} on {platform.node()})" if rank > 0 else ""
        print(f"error{where}: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        if rank == 0:
            print("interrupted", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(130)  # threads of libraries that are still at work abort an orderly exit
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


run_door = run_cli  # the name under which tests/train call it
