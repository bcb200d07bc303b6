"""Recipes: YAML files that list the sources of a corpus and the stages that their text goes through.

`RecipeFile`, `Source` and the options of each stage describe the keys. `config.mapping` checks them
and fills in `${input}`, the other text options of the command, and `${oc.env:NAME}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, check_choice
from onnuri.base.location import shipped
from onnuri.config.mapping import as_text, from_mapping
from onnuri.config.paths import PATH
from onnuri.config.schema import field_meanings
from onnuri.corpus.source import Source
from onnuri.corpus.stages.stage import COMMAND
from onnuri.corpus.stages.table import STAGES

RECIPE_FOLDER = shipped("data_recipes")
DEFAULT_MAX_DOCUMENT_BYTES = 4 << 20


@dataclass
class RecipeFile:
    """The keys of a recipe."""

    sources: list[Source]
    """Where the text comes from. Of equal copies the one of the source listed first stays."""
    stages: list[Any] | None = None
    """What is done to the text: names of stages, or {name: options}, in any order; they run in the order of
    `STAGES`. Not given: those with `Stage.by_default`."""
    heldout_share: int | float = 0.02
    """Share of documents kept out of training, chosen by hash of the id."""
    max_document_bytes: int = DEFAULT_MAX_DOCUMENT_BYTES
    """A longer document is rejected. One of 4 MiB (1.4 million syllables, some five novels) takes less than
    a second."""

    def __post_init__(self) -> None:
        if not 0 <= self.heldout_share < 1:
            raise UserError(f"heldout_share={self.heldout_share} must be at least 0 and below 1")
        if not 0 < self.max_document_bytes <= 1 << 30:
            raise UserError(f"max_document_bytes={self.max_document_bytes} must be from 1 to {1 << 30}")


@dataclass(frozen=True)
class ChosenStage:
    """A stage that a recipe asks for, and its options."""

    name: str
    options: Any
    """Of the class `STAGES[name].options`, or what `Stage.prepare` has made of it."""
    given: tuple[str, ...] = ()
    """The options that recipe or command line set; the others have their defaults."""


@dataclass(frozen=True)
class Recipe:
    """The sources of a corpus, what is done to their text, and the share of documents held out."""

    heldout_share: float
    sources: tuple[Source, ...]
    stages: tuple[ChosenStage, ...]
    max_document_bytes: int = DEFAULT_MAX_DOCUMENT_BYTES

    def content(self) -> dict[str, Any]:
        """The recipe as JSON values without the paths on this machine that it reads from."""
        sources = [
            {k: v for k, v in asdict(each).items() if k not in ("input", "opt_out")}
            for each in self.sources
        ]
        for entry in sources:
            if entry["dataset"] and Path(entry["dataset"]).is_dir():
                entry["dataset"] = Path(entry["dataset"]).resolve().name
        stages = [
            {
                stage.name: {
                    each.name: getattr(stage.options, each.name)
                    for each in fields(stage.options)
                    if each.name in stage.given and not each.metadata.get(PATH)
                }
            }
            for stage in self.stages
        ]
        return {
            "heldout_share": self.heldout_share,
            "max_document_bytes": self.max_document_bytes,
            "sources": sources,
            "stages": stages,
        }


def load(name: str, options: Mapping[str, Any]) -> Recipe:
    """Read a recipe by name or path and fill in the command-line options.

    Raises UserError for an unknown recipe, key, place or value, and for an option that the recipe
    needs but was not given, or was given but is not used.
    """
    path = find(name)
    content = _read(path)
    written = str(content)
    for option in ("input", "dataset"):
        check_use(name, written, option, options.get(option))
    texts = {
        option: value.rstrip("/") if f"${{{option}}}/" in written else value
        for option, value in options.items()
        if isinstance(value, str)
    }
    # Sources are checked one by one, so that a mistake names the one that it is in.
    settings = from_mapping(RecipeFile, content | {"sources": []}, f"recipe {path}", texts)
    sources: list[Source] = []
    for number, entry in enumerate(content["sources"], 1):
        called = entry.get("name", number) if isinstance(entry, dict) else number
        if isinstance(entry, dict) and "weight" in entry:
            raise UserError(
                f"source '{called}' of recipe {name}: weight never had an effect and is no key any more; "
                "remove it, and weight sources in training with data.mixture"
            )
        source = from_mapping(Source, entry, f"source '{called}' of recipe {name}", texts)
        if source.dataset and Path(source.name).is_dir():
            source = replace(source, name=Path(source.name).resolve().name)
        if any(source.name == other.name for other in sources):
            raise UserError(f"recipe {path} has more than one source named '{source.name}'")
        sources.append(source)
    share = options.get("heldout_share")
    share = float(settings.heldout_share if share is None else share)
    stages = _stages(content.get("stages"), options, texts, path)
    return Recipe(share, tuple(sources), stages, settings.max_document_bytes)


def check_use(name: str, written: str, option: str, given: Any) -> None:
    """Raise UserError for an option that a recipe needs and was not given, or was given and is not used."""
    used = re.search(rf"\$\{{[^}}]*\b{option}\b", written)
    if used and not given:
        meaning = field_meanings(Source)[option].rstrip(".")
        raise UserError(f"recipe={name} needs {option}=... ({meaning})")
    if given and not used:
        raise UserError(f"recipe={name} does not use {option}; leave it out or choose another recipe")


def read_yaml(path: Path) -> Any:
    """What a recipe's file holds. Raises UserError."""
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"recipe {path} cannot be read: {' '.join(str(error).split())}") from None


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    sources = content.get("sources") if isinstance(content, dict) else None
    if not sources or not isinstance(sources, list):
        raise UserError(f"recipe {path} needs a list named 'sources' with at least one source")
    return dict(content)


def _stages(
    written: list[Any] | None, options: Mapping[str, Any], texts: Mapping[str, str], path: Path
) -> tuple[ChosenStage, ...]:
    """The recipe's stages, narrowed or widened to those chosen on the command line, in their order."""
    given: dict[str, dict[str, Any]] = {}
    settings: Any
    default = [stage.name for stage in STAGES.values() if stage.by_default]
    for entry in default if written is None else written:
        name, settings = entry, {}
        if isinstance(entry, dict) and len(entry) == 1:
            ((name, settings),) = entry.items()
        check_choice(f"stages of recipe {path}", str(name), STAGES)
        if not isinstance(settings, dict | None):
            raise UserError(f"recipe {path}: options of stage {name} must be a mapping, found {settings!r}")
        given[name] = settings or {}
    chosen = options.get("stages")
    for name in chosen or ():
        check_choice("stages", name, STAGES)
    for option, name, key in _command_options():
        if options.get(option) in (None, "", []):
            continue
        if chosen is not None and name not in chosen:
            raise UserError(f"{option}=... is for stage {name}, which stages={chosen} leaves out")
        given[name] = given.get(name, {}) | {key: as_text(options[option])}
    stages = []
    for name, stage in STAGES.items():
        if name in (given if chosen is None else chosen):
            settings = given.get(name, {})
            made: Any = from_mapping(stage.options, settings, f"recipe {path}: stage {name}", texts)
            stages.append(ChosenStage(name, made, tuple(settings)))
    whole = [stage.name for stage in stages if STAGES[stage.name].needs_all_documents]
    if len(whole) > 1:
        raise UserError(f"recipe {path}: only one of the stages {' and '.join(whole)} can run in a corpus")
    return tuple(stages)


def _command_options() -> Iterator[tuple[str, str, str]]:
    """Options of the command that are options of a stage: their name, the stage, and their name there."""
    for stage in STAGES.values():
        for each in fields(stage.options):
            if COMMAND in each.metadata:
                yield each.metadata[COMMAND], stage.name, each.name


def find(name: str, folder: Path = RECIPE_FOLDER) -> Path:
    """The file of a recipe: one of `folder` by its name, or any by its path. Raises UserError."""
    if name.endswith((".yaml", ".yml")):
        try:
            found = Path(name).expanduser().is_file()
        except OSError:
            found = False
        if not found:
            raise UserError(f"recipe file {name} does not exist")
        return Path(name).expanduser()
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    check_choice("recipe", name, known)
    return folder / f"{name}.yaml"
