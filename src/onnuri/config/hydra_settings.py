"""What Onnuri sets in Hydra: defaults, resolvers, when directories are made, and errors in one line.

Defaults are stored in place of Hydra's own config, below every file and word of the user, so that each can
be overridden in the usual ways.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from hydra._internal.core_plugins import file_config_source as hydra_files
from hydra._internal.sources_registry import SourcesRegistry
from hydra.conf import HydraConf, JobConf, RunDir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from onnuri.base.errors import UserError, nearest
from onnuri.config.former_names import rename_preset
from onnuri.config.paths import expand_home
from onnuri.config.start_time import now
from onnuri.config.words import TABLE_RESOLVER, check_number

RUNS = "runs/${now:%Y%m%d-%H%M%S}"
LAUNCHER = "processes"
COMPOSING = re.compile(r"In '(.+?)': \w+ raised while composing config: (.*)")
NOISE = ("full_key:", "object_type=", "reference_type=", "See https://", "Config search path:", "provider=")


def store_defaults(job_name: str, makes_run_dir: bool, multirun: bool) -> None:
    """Set the defaults of Hydra for a command.

    A single run writes nothing of Hydra's into the working directory. A command with a run directory makes
    it itself, after its checks.
    """
    changed = {"launcher": LAUNCHER, "job_logging": "none"}
    if not multirun:
        changed["hydra_logging"] = "none"
    choices = [next(iter(each.items())) for each in HydraConf().defaults]
    defaults = [{key: changed.get(key, choice)} for key, choice in choices]
    node = HydraConf(
        defaults=defaults,
        run=RunDir(dir=RUNS if makes_run_dir else "."),
        job=JobConf(name=job_name),
        callbacks={"onnuri": {"_target_": f"{__name__}.OutputDirectory"}},
    )
    ConfigStore.instance().store(group="hydra", name="config", node=node, provider="onnuri")


def agree_on_now() -> None:
    """Have all ranks resolve `${now:...}` to the same time. To be called after Hydra has set its own."""
    OmegaConf.register_new_resolver("now", now, use_cache=True, replace=True)


class FileConfigSource(hydra_files.FileConfigSource):
    """Presets on disk, with the option names of today. The registry goes by the class's name."""

    def load_config(self, config_path: str) -> ConfigResult:
        """One file; raises ConfigLoadError if there is none."""
        result = super().load_config(config_path)
        if isinstance(result.config, DictConfig):
            tree = OmegaConf.to_container(result.config)
            if (renamed := rename_preset(tree, config_path)) != tree:
                result.config = OmegaConf.create(renamed)
        return result


SourcesRegistry.instance().types["file"] = FileConfigSource


def _expand_home(config: DictConfig, group: str) -> None:
    """Fill in `~` in the directory of `hydra.run` or `hydra.sweep`, interpolations left as they are."""
    with read_write(config.hydra):
        written = typing.cast(dict[str, str], OmegaConf.to_container(config.hydra[group]))["dir"]
        config.hydra[group].dir = expand_home(f"hydra.{group}.dir", written)


def _table(*pairs: Any) -> dict[str, float]:
    return {unquote(name): number for name, number in zip(pairs[::2], pairs[1::2], strict=True)}


OmegaConf.register_new_resolver(TABLE_RESOLVER, _table, replace=True)
OmegaConf.register_new_resolver("onnuri.absolute", os.path.abspath, replace=True)


class OutputDirectory(Callback):
    """Keep Hydra from making a run directory before its command has checked it, or writing into ".".

    For that moment the output directory is the working directory; the command then finds the real one in
    HydraConfig.
    """

    def __init__(self) -> None:
        self.run_dir, self.subdir = "", None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra makes the output directory."""
        _expand_home(config, "run")
        run_dir = typing.cast(dict[str, str], OmegaConf.to_container(config.hydra.run))["dir"]
        if "run_dir" in config.keys() or run_dir == ".":  # noqa: SIM118 - `in config` resolves interpolations
            with read_write(config.hydra):
                self.run_dir, self.subdir = run_dir, config.hydra.output_subdir
                config.hydra.run.dir, config.hydra.output_subdir = ".", None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra makes the directory of a sweep."""
        agree_on_now()
        _expand_home(config, "sweep")

    def on_job_start(self, config: DictConfig, *, task_function: Any, **kwargs: Any) -> None:
        """After Hydra has made it, before the command runs."""
        hydra = HydraConfig.instance().cfg.hydra
        with read_write(hydra):
            if self.run_dir:
                hydra.run.dir, hydra.output_subdir = self.run_dir, self.subdir
                hydra.runtime.output_dir = "${onnuri.absolute:${hydra.run.dir}}"
            hydra.overrides.task = list(task_function.words)


def refuse_requeued_default() -> None:
    """Raise UserError if a job that Slurm has started again would begin a new run: the default run
    directory is named after the time of each start."""
    run_dir = typing.cast(dict[str, str], OmegaConf.to_container(HydraConfig.instance().cfg.hydra.run))[
        "dir"
    ]
    if run_dir == RUNS and os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        raise UserError(
            "Slurm has started this job again, and without run_dir=DIR it would begin a new run; give the "
            "directory of the run before, or a name that stays"
        )


def one_line(error: BaseException, names: Iterable[str]) -> str:
    """An error of Hydra or OmegaConf for the person at the keyboard."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, HydraException | OmegaConfBaseException):
            error = cause
        cause = cause.__cause__
    lines = [line.strip() for line in str(error).splitlines()]
    key = next((line.split()[1] for line in lines if line.startswith("full_key: ")), "")
    text = " ".join(line for line in lines if line and not line.startswith(NOISE))
    ours = text.partition("UserError raised while resolving interpolation: ")[2]
    if ours:
        return ours
    composing = COMPOSING.fullmatch(text)
    where, inner = (f"{composing[1]}.yaml: ", composing[2]) if composing else ("", text)
    if key and re.match(r"Key '.*' (not in|is not in struct)", inner):
        if key.rpartition(".")[0] in names:  # a table
            return f"{where}{key} is no entry yet; add it with +{key}=..."
        return f"{where}unknown option '{key}'{nearest(key, names)}; --help lists all"
    if inner.startswith("Cannot find primary config"):
        inner += " A file of your own: --config-dir FOLDER --config-name NAME"
    if re.match("Structured config of type .* has missing mandatory value", inner):
        return f"missing option: {key}=..., as its interpolation gives no value"
    if unknown := re.match("Interpolation key '(.+)' not found", inner):
        inner += nearest(unknown[1], names)
    if "nterpolation" in type(error).__name__ + inner:
        inner += r"; for a text with ${ in it write \${"
    return f"{where}{key}: {inner}" if key else f"{where}{inner}"


def finite_numbers(tree: Any, name: str = "") -> None:
    """Raise UserError for a number that no option has a use for: nan, infinity, more than 64 bits."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            finite_numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, int | float):
        check_number(name, tree)
