"""A command: its words go through Hydra to a typed dataclass, its mistakes are one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import platform
import re
import sys
import time
import traceback
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from onnuri.base.errors import JobsFailed, UserError
from onnuri.base.location import shipped
from onnuri.base.process import own_rank
from onnuri.config.paths import expand_home, expand_homes
from onnuri.config.schema import config_groups, help_text, options
from onnuri.config.words import prepare, refuse_both_names, refuse_repeated_tables

Config = TypeVar("Config")
CONFIG_ROOT = shipped("configs")
SECONDARY_RANK_GRACE_SECONDS = 10.0
DIRECTORY_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")


@dataclasses.dataclass
class Command:
    """What Hydra calls with the composed config, and what a launcher needs to start it again."""

    schema: type
    run: Callable[[Any], int | None]
    objective: Callable[[str], float | None] | None
    """From a run directory to the number that a sweeper makes small."""
    program: list[str]
    """Arguments of Python that start this command."""
    flags: list[str] = dataclasses.field(default_factory=list)
    words: list[str] = dataclasses.field(default_factory=list)
    """Overrides as they were typed."""
    status: int = 0
    error: UserError | BrokenPipeError | None = None

    @property
    def flags_of_a_job(self) -> list[str]:
        """Those that name config files."""
        return [flag for flag in self.flags if flag not in ("-m", "--multirun", "-r", "--run")]

    def __call__(self, config: Any) -> float | None:
        """Run it; in a sweep within this process (hydra/launcher=basic) return its objective."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from onnuri.config.hydra_settings import refuse_requeued_default

        hydra = HydraConfig.get()
        in_sweep = hydra.mode == RunMode.MULTIRUN
        try:
            names = [option.name for option in options(self.schema)]
            if in_sweep and "TORCHELASTIC_RUN_ID" in os.environ:
                raise UserError(
                    "under torchrun a sweep needs hydra/launcher=processes, which is the default"
                )
            if hydra.job.chdir and "run_dir" in names:
                raise UserError("hydra.job.chdir=true: a run stays in the working directory; use run_dir=")
            with one_line_errors(names):
                typed: Any = to_schema(self.schema, config)
                if getattr(typed, "run_dir", None) == "":
                    if not in_sweep:
                        refuse_requeued_default()
                    folder = hydra.runtime.output_dir if in_sweep else hydra.run.dir
                    typed.run_dir = expand_home("hydra.run.dir", folder)
            status = self.run(typed) or 0
        except (UserError, BrokenPipeError) as error:
            if in_sweep:
                raise
            self.error = error  # Hydra would add lines of its own to it
            return None
        if not in_sweep:
            self.status = status
            return None
        if status:
            raise JobsFailed(f"exit status {status}")
        return self.objective(typed.run_dir) if self.objective else None


def to_schema(schema: type[Config], config: Any) -> Config:
    """The dataclass of a composed config. Raises UserError for what is missing or no option can be."""
    from omegaconf import OmegaConf

    from onnuri.config.hydra_settings import agree_on_now, finite_numbers

    agree_on_now()
    if OmegaConf.get_type(config) is not schema:
        config = OmegaConf.merge(OmegaConf.structured(schema), config)
    if missing := sorted(OmegaConf.missing_keys(config)):
        meanings = {option.name: option.meaning for option in options(schema)}
        needed = "; ".join(f"{key}=... ({meanings.get(key, '')})" for key in missing)
        raise UserError(f"missing option: {needed}")
    expand_homes(config, options(schema))
    finite_numbers(OmegaConf.to_container(config, resolve=True))
    return typing.cast(Config, OmegaConf.to_object(config))


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
    groups = config_groups(config_dir, known)
    refuse_both_names(words)
    prepared = [prepare(word, known, groups) for word in words]

    from hydra import compose as hydra_compose
    from hydra import initialize, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    _store_schema(schema, config_dir, config_name)
    start = (
        initialize(version_base=None, config_path=None)
        if config_dir is None
        else initialize_config_dir(version_base=None, config_dir=str(config_dir))
    )
    with one_line_errors(known), start:
        return to_schema(schema, hydra_compose(config_name, prepared))


def _store_schema(schema: type, config_dir: Path | None, config_name: str) -> None:
    from hydra.core.config_store import ConfigStore

    import onnuri.config.hydra_settings  # noqa: F401 - resolvers, and how presets are read

    name = config_name if config_dir is None else f"{config_name}_schema"
    ConfigStore.instance().store(name=name, node=schema)


@contextlib.contextmanager
def one_line_errors(names: Iterable[str]) -> Iterator[None]:
    """Errors of Hydra and OmegaConf become a UserError."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from onnuri.config.hydra_settings import one_line

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(one_line(error, names)) from error


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain nested dicts, ready for JSON or YAML."""
    return dataclasses.asdict(config)


def print_any_text() -> None:
    """Print what the encoding of a terminal lacks (emoji in EUC-KR, Hangul in ASCII) as `\\uXXXX`.

    Python does so on standard error; on standard output it ends in a traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class _Terminal(logging.Handler):
    """Shows messages as plain lines on standard output, errors on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr if record.levelno >= logging.ERROR else sys.stdout
        print(record.getMessage(), file=stream, flush=True)


def show_messages() -> None:
    """Show what Onnuri's modules log, as a command does; a program that imports them decides for itself."""
    log = logging.getLogger("onnuri")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not log.handlers:
        log.addHandler(_Terminal())


def run_cli(
    schema: type[Config],
    run: Callable[[Config], int | None],
    description: str,
    config_dir: Path | None = None,
    config_name: str = "config",
    command: str = "",
    objective: Callable[[str], float | None] | None = None,
    leave: Callable[[int], typing.NoReturn] = sys.exit,
) -> typing.NoReturn:
    """Parse `sys.argv`, call `run(config)`, and exit: 0 done, 2 for a UserError, 130 for Ctrl-C.

    `command` is the name below `onnuri` ("tokenizer report"), by which a sweep starts its jobs; a script
    without one is started by its path. HYDRA_FULL_ERROR=1 shows where an error came from.
    Under torchrun rank 0 speaks for all: the other ranks wait for torchrun to end them along with it. One
    that is still alive after that has a problem of its own (a folder missing on its node) and says so.
    """
    print_any_text()
    show_messages()
    words = sys.argv[1:]
    rank = own_rank()
    try:
        if any(word in ("-h", "--help") for word in words):
            if rank == 0:
                print(help_text(schema, description, config_dir, config_name), flush=True)
            sys.exit(0)
        module, *part = command.split() or [""]
        program = ["-m", f"onnuri.cli.{module}", *part] if command else [sys.argv[0]]
        app = Command(schema, run, objective, program)
        _run_hydra(app, words, rank, config_dir, config_name, command.replace(" ", "_"))
        if app.error:
            raise app.error
        sys.stdout.flush()
        sys.stderr.flush()
        leave(app.status)
    except (UserError, JobsFailed) as error:
        if rank > 0 and isinstance(error, JobsFailed):
            sys.exit(1)
        if rank > 0:
            time.sleep(SECONDARY_RANK_GRACE_SECONDS)
        if os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0"):
            traceback.print_exc()
        where = f" (rank {rank} on {platform.node()})" if rank > 0 else ""
        print(f"error{where}: {error}", file=sys.stderr, flush=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        if rank == 0:
            print("interrupted", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(130)  # threads of libraries that are still at work abort an orderly exit
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run_hydra(
    app: Command, words: Sequence[str], rank: int, config_dir: Path | None, config_name: str, job_name: str
) -> None:
    """Hand the prepared words to `hydra.main`."""
    import hydra
    import hydra._internal.utils as hydra_utils

    from onnuri.config.hydra_settings import store_defaults

    app.flags, overrides, arguments = parse_flags(words)
    only_shows = arguments.cfg or arguments.info or arguments.hydra_help or arguments.shell_completion
    if only_shows and rank > 0:
        sys.exit(0)
    known = {option.name: option for option in options(app.schema)}
    own = [Path(folder) for folder in (arguments.config_path, arguments.config_dir) if folder]
    for word in overrides:
        if word.startswith("hydra.searchpath=["):
            locations = [each.strip("'\" ").removeprefix("file://") for each in word[18:-1].split(",")]
            for location in locations:
                if "://" not in location and "${" not in location and not Path(location).is_dir():
                    raise UserError(f"hydra.searchpath: folder {location} does not exist")
            own += map(Path, locations)
    groups = config_groups(None if arguments.config_path else config_dir, known, own)
    app.words, sweep = overrides, arguments.multirun or "hydra.mode=MULTIRUN" in overrides
    refuse_both_names(overrides)
    if sweep:
        refuse_repeated_tables(overrides)
    if not arguments.shell_completion:
        overrides = [prepare(word, known, groups, sweep) for word in overrides]
    _store_schema(app.schema, config_dir, config_name)
    store_defaults(job_name or Path(app.program[0]).stem, "run_dir" in known, sweep)
    sys.argv[1:] = [*app.flags, *overrides]
    hydra_utils.run_and_report = lambda call: call()  # its own report is many lines and exit status 1
    decorate = hydra.main(str(config_dir) if config_dir else None, config_name, version_base=None)
    with one_line_errors(known):
        decorate(app)()


def parse_flags(words: Sequence[str]) -> tuple[list[str], list[str], Any]:
    """Flags, overrides, and what Hydra's parser reads. Raises UserError for a flag that Hydra has not.

    Bare `--cfg` means `--cfg job`. Directories are made absolute; Hydra would take them as relative to the
    file of the command.
    """
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> typing.NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if re.match("--local[_-]rank", unknown):
            raise UserError(
                f"'{unknown}' comes from a launcher that passes ranks as words; start with torchrun"
            )
        if unknown != message:
            raise UserError(f"'{unknown}' is no option; options are written key=value, see --help")
        raise UserError(message)

    words = list(words)
    for index, word in enumerate(words):
        after = words[index + 1 : index + 2]
        if word in ("--cfg", "-c") and after not in (["job"], ["hydra"], ["all"]):
            words.insert(index + 1, "job")
        flag, equals, folder = word.partition("=")
        if flag in DIRECTORY_FLAGS and equals:
            words[index] = f"{flag}={_absolute(folder)}"
        elif flag in DIRECTORY_FLAGS:
            words[index + 1 : index + 2] = map(_absolute, after)
    parser = get_args_parser()
    parser.error = refuse
    arguments = parser.parse_intermixed_args(words)
    if arguments.resolve and not arguments.cfg:
        raise UserError("--resolve goes with --cfg")
    modes = (arguments.run, arguments.cfg, arguments.multirun, arguments.shell_completion, arguments.info)
    if sum(map(bool, modes)) > 1:
        raise UserError("give one of --run, --multirun, --cfg, --info and --shell-completion")
    flags, overrides = [], list(arguments.overrides)
    for word in words:
        if overrides and word == overrides[0]:
            overrides.pop(0)
        else:
            flags.append(word)
    return flags, list(arguments.overrides), arguments


def _absolute(folder: str) -> str:
    return folder if "://" in folder else str(Path(folder).expanduser().absolute())
