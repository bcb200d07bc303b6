"""Recipes: YAML files that list the sources of a corpus and the stages that their text goes through.

A value that begins with `${option}` takes the command-line option of that name there; there is no other
templating. Keys are checked, so a typo is an error, not a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from onnuri.corpus import source
from onnuri.corpus.source import Source
from onnuri.errors import UserError, check_choice, nearest
from onnuri.location import shipped

RECIPE_FOLDER = shipped("data_recipes")
DEFAULT_HELDOUT_SHARE = 0.02
DEFAULT_MAX_DOCUMENT_BYTES = 4 << 20
"""A document of 4 MiB (1.4 million syllables, some five novels) still takes less than a second."""
TOP_KEYS = ("heldout_share", "max_document_bytes", "sources", "stages")
STAGE_OPTIONS: dict[str, dict[str, Any]] = {
    "normalise": {},
    "describe": {},
    "filter": {"ko": dict, "en": dict},
    "pii": {"kinds": list, "style": str},
    "dedup": {"against": list},
    "decontaminate": {"benchmarks": list, "action": str},
    "quality": {"model": str, "threshold": int | float},
}
"""Stages in the order they run, and their options."""
STAGES = tuple(STAGE_OPTIONS)
COMMAND_LINE = {
    "against": ("dedup", "against"),
    "benchmarks": ("decontaminate", "benchmarks"),
    "quality_model": ("quality", "model"),
    "quality_threshold": ("quality", "threshold"),
}
"""Options of scripts/corpus.py that are options of a stage."""
NEEDED = {"decontaminate": "benchmarks", "quality": "model"}
"""Stages that cannot run without this option."""
OPTION = re.compile(r"\$\{(\w+)\}(.*)")


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline, with the options that the recipe gives it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """The sources of a corpus, what is done to their text, and the share of documents held out."""

    heldout_share: float
    sources: tuple[Source, ...]
    stages: tuple[Stage, ...]
    max_document_bytes: int = DEFAULT_MAX_DOCUMENT_BYTES

    def content(self) -> dict[str, Any]:
        """The recipe as JSON values without the places on this machine that it reads from."""
        sources = [
            {k: v for k, v in asdict(each).items() if k not in ("input", "opt_out")}
            for each in self.sources
        ]
        for entry in sources:
            if Path(entry["dataset"]).is_dir():
                entry["dataset"] = Path(entry["dataset"]).resolve().name
        places = ("against", "benchmarks", "model")
        stages = [
            {stage.name: {k: v for k, v in stage.options.items() if k not in places}}
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
    path = _find(name)
    content = _read(path)
    used: set[str] = set()

    def resolve(where: str, written: Any) -> Any:
        placeholder = OPTION.fullmatch(written) if isinstance(written, str) else None
        if not placeholder:
            return written
        option = placeholder[1]
        if option not in options:
            raise UserError(f"{where}: ${{{option}}} is no option of corpus.py{nearest(option, options)}")
        used.add(option)
        value, rest = options[option], placeholder[2]
        if rest and not isinstance(value, str):
            raise UserError(f"{where}: ${{{option}}} is no text that {rest} could follow")
        return value.rstrip("/") + rest if value and rest else value

    sources = tuple(
        source.make(entry, number, name, resolve) for number, entry in enumerate(content["sources"], 1)
    )
    names = [each.name for each in sources]
    for each in names:
        if names.count(each) > 1:
            raise UserError(f"recipe {path} has more than one source named '{each}'; names must differ")
    for option in ("input", "dataset"):
        if options.get(option) and option not in used:
            raise UserError(f"recipe={name} does not use {option}; leave it out or choose another recipe")
    share = options.get("heldout_share")
    if share is None:
        share = content.get("heldout_share", DEFAULT_HELDOUT_SHARE)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise UserError(f"heldout_share={share} in recipe {path} must be a number at least 0 and below 1")
    limit = content.get("max_document_bytes", DEFAULT_MAX_DOCUMENT_BYTES)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= 1 << 30:
        raise UserError(f"max_document_bytes={limit} in recipe {path} must be from 1 to {1 << 30}")
    return Recipe(float(share), sources, _stages(content.get("stages"), options, path), limit)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"recipe {path} cannot be read: {' '.join(str(error).split())}") from None
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("sources"), list)
        or not content["sources"]
    ):
        raise UserError(f"recipe {path} needs a list named 'sources' with at least one source")
    for key in content:
        if key not in TOP_KEYS:
            raise UserError(f"recipe {path} has the unknown key '{key}'{nearest(str(key), TOP_KEYS)}")
    return content


def _stages(written: Any, options: Mapping[str, Any], path: Path) -> tuple[Stage, ...]:
    """The recipe's stages, narrowed or widened to those chosen on the command line, in their order."""
    stages: dict[str, Stage] = {}
    default = [name for name in STAGES if name not in NEEDED]
    if written is not None and not isinstance(written, list):
        raise UserError(f"recipe {path}: stages must be a list, found {written!r}")
    for entry in written if written is not None else default:
        name, given = (
            next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, {})
        )
        check_choice(f"stages of recipe {path}", str(name), STAGES)
        if not isinstance(given, dict | None):
            raise UserError(f"recipe {path}: options of stage {name} must be a mapping, found {given!r}")
        stages[name] = Stage(name, dict(given or {}))
    chosen = options.get("stages")
    for name in chosen or ():
        check_choice("stages", name, STAGES)
    for option, (name, key) in COMMAND_LINE.items():
        if options.get(option) in (None, "", []):
            continue
        if chosen is not None and name not in chosen:
            raise UserError(f"{option}=... is for stage {name}, which stages={chosen} leaves out")
        stage = stages.setdefault(name, Stage(name, {}))
        stages[name] = Stage(name, stage.options | {key: options[option]})
    names = stages if chosen is None else chosen
    ready = tuple(stages.get(name, Stage(name)) for name in STAGES if name in names)
    for stage in ready:
        _check_stage(stage, f"recipe {path}: stage {stage.name}")
    return ready


def _check_stage(stage: Stage, where: str) -> None:
    known = STAGE_OPTIONS[stage.name]
    for key, value in stage.options.items():
        if key not in known:
            raise UserError(f"{where} has the unknown option '{key}'{nearest(str(key), known)}")
        kind = known[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            name = getattr(kind, "__name__", "number")
            raise UserError(f"{where}: {key} must be of type {name}, found {value!r}")
        if kind is list and not all(isinstance(each, str) for each in value):
            raise UserError(f"{where}: {key} must list names, found {value!r}")
    needed = NEEDED.get(stage.name)
    if needed and not stage.options.get(needed):
        option = next(name for name, place in COMMAND_LINE.items() if place == (stage.name, needed))
        raise UserError(f"stage {stage.name} needs {option}=...")
    threshold = stage.options.get("threshold", 0)
    if not 0 <= threshold <= 1:
        raise UserError(f"{where}: threshold={threshold} must be from 0 to 1")
    if stage.name == "decontaminate":
        check_choice(f"{where}: action", stage.options.get("action", "cut"), ("cut", "drop"))
    if stage.name == "filter":
        _check_rules(stage, where)
    if stage.name == "pii":
        from onnuri.corpus.stages.personal_data import KINDS, STYLES

        for kind in stage.options.get("kinds", ()):
            check_choice(f"{where}: kinds", kind, KINDS)
        check_choice(f"{where}: style", stage.options.get("style", STYLES[0]), STYLES)


def _check_rules(stage: Stage, where: str) -> None:
    from onnuri.corpus.stages.filter import RULES

    for lang, thresholds in stage.options.items():
        names = vars(RULES[lang])
        for key, value in thresholds.items():
            if key not in names:
                raise UserError(f"{where}: {lang} has no threshold '{key}'{nearest(str(key), names)}")
            if not _alike(value, names[key]):
                raise UserError(f"{where}: {lang}.{key} must be like {names[key]!r}, found {value!r}")


def _alike(value: Any, known: Any) -> bool:
    """Whether a value of a recipe has the shape of a known threshold."""
    if isinstance(known, bool):
        return isinstance(value, bool)
    if isinstance(known, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(known, tuple):
        if not isinstance(value, list):
            return False
        pair = len(known) == 2 and not isinstance(known[0], tuple | str)
        return (not pair or len(value) == 2) and all(_alike(each, known[0]) for each in value)
    return isinstance(value, type(known))


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        try:
            found = Path(name).expanduser().is_file()
        except OSError:
            found = False
        if not found:
            raise UserError(f"recipe file {name} does not exist")
        return Path(name).expanduser()
    known = sorted(path.stem for path in RECIPE_FOLDER.glob("*.yaml"))
    check_choice("recipe", name, known)
    return RECIPE_FOLDER / f"{name}.yaml"
