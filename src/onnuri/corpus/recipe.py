"""Recipes: YAML files that list the sources of a corpus, with licence and legal basis of each.

A value that is exactly `${option}` takes the command-line option of that name; there is no other
templating. Keys are checked against what the reader understands, so a typo is an error, not a default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from onnuri.errors import UserError, check_choice, nearest

RECIPE_FOLDER = Path(__file__).resolve().parents[3] / "data_recipes"
DEFAULT_HELDOUT_SHARE = 0.02
DESCRIPTION_KEYS = {
    *("name", "reader", "license", "legal_basis", "unverified", "lang", "url"),
    *("consent_id", "third_party_transfer", "collected_at"),
}
LEGAL_BASES = ("open-licence", "consent", "legitimate-interest", "public-data", "contract")
"""Korean PIPA, articles 15 and 28; open-licence for text whose authors published it for any use."""
READER_KEYS = {
    "files": {"input", "text_column"},
    "huggingface": {"dataset", "dataset_config", "dataset_split", "text_column"},
    "package_json": {"package", "files", "records", "text_column"},
    "package_yaml": {"package", "files", "records", "text_column"},
    "python_topics": set(),
    "python_docstrings": {"max_bytes"},
}
REQUIRED_KEYS = {"input", "dataset", "package", "files", "records"}
STAGES = ("normalise", "describe", "filter", "pii", "dedup")
"""In the order they run."""
STAGE_OPTIONS: dict[str, tuple[str, ...]] = {
    "normalise": (),
    "describe": (),
    "filter": ("ko", "en"),
    "pii": ("kinds", "style"),
    "dedup": (),
}
OPTION = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Source:
    """One source of a recipe: what to read, how, and under which terms."""

    name: str
    reader: str
    license: str = ""
    """SPDX expression, "" when unknown."""
    legal_basis: str = ""
    """Why the text may be used: one of LEGAL_BASES."""
    unverified: bool = False
    """Licence or legal basis may be missing; documents, manifest and model card then say so."""
    consent_id: str = ""
    """legal_basis consent: the record of the consent."""
    third_party_transfer: str = ""
    """Who else gets the text, and under which terms; "" for nobody."""
    collected_at: str = ""
    """When the text was collected, as ISO 8601."""
    lang: str = ""
    """Language of every document; "" lets the share of Hangul decide for each."""
    url: str = ""
    input: str = ""
    text_column: str = "text"
    dataset: str = ""
    dataset_config: str = ""
    dataset_split: str = "train"
    package: str = ""
    """Name of an installed distribution."""
    files: str = ""
    """Glob over the distribution's own list of files."""
    records: str = ""
    """Dotted keys from the top of a file to its records; lists on the way are gone through."""
    max_bytes: int = 0
    """Stop before this many bytes of text; 0: no limit."""


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

    def content(self) -> dict[str, Any]:
        """The recipe as JSON values without the places on this machine that it reads from."""
        sources = [{k: v for k, v in asdict(source).items() if k != "input"} for source in self.sources]
        for source in sources:
            if Path(source["dataset"]).is_dir():
                source["dataset"] = Path(source["dataset"]).resolve().name
        stages = [{stage.name: stage.options} for stage in self.stages]
        return {"heldout_share": self.heldout_share, "sources": sources, "stages": stages}


def load(name: str, options: Mapping[str, Any]) -> Recipe:
    """Read a recipe by name or path and fill in the command-line options.

    Raises UserError for an unknown recipe, key, reader or value, and for an option that the recipe
    needs but was not given, or was given but is not used.
    """
    path = _find(name)
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"recipe {path} cannot be read: {' '.join(str(error).split())}") from None
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("sources"), list)
        or not content["sources"]
    ):
        raise UserError(f"recipe {path} needs a list named 'sources' with at least one source")
    top_keys = ("heldout_share", "sources", "stages")
    for key in content:
        if key not in top_keys:
            raise UserError(f"recipe {path} has the unknown key '{key}'{nearest(str(key), top_keys)}")
    used: set[str] = set()
    sources = tuple(
        _source(entry, number, name, options, used) for number, entry in enumerate(content["sources"], 1)
    )
    names = [source.name for source in sources]
    for source_name in names:
        if names.count(source_name) > 1:
            raise UserError(
                f"recipe {path} has more than one source named '{source_name}'; names must differ"
            )
    for option in ("input", "dataset"):
        if options.get(option) and option not in used:
            raise UserError(f"recipe={name} does not use {option}; leave it out or choose another recipe")
    share = options.get("heldout_share")
    if share is None:
        share = content.get("heldout_share", DEFAULT_HELDOUT_SHARE)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise UserError(f"heldout_share={share} in recipe {path} must be a number at least 0 and below 1")
    return Recipe(float(share), sources, _stages(content.get("stages"), options.get("stages"), path))


def _stages(written: Any, chosen: list[str] | None, path: Path) -> tuple[Stage, ...]:
    """The recipe's stages in their order, narrowed or widened to the ones chosen on the command line."""
    stages: dict[str, Stage] = {}
    for entry in written if written is not None else STAGES:
        name, given = (
            next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, {})
        )
        check_choice(f"stages of recipe {path}", str(name), STAGES)
        if not isinstance(given, dict | None):
            raise UserError(f"recipe {path}: options of stage {name} must be a mapping, found {given!r}")
        given = given or {}
        for key in given:
            if key not in STAGE_OPTIONS[name]:
                raise UserError(
                    f"recipe {path}: stage {name} has the unknown option '{key}'"
                    f"{nearest(str(key), STAGE_OPTIONS[name])}"
                )
        stages[name] = Stage(name, given)
    names = list(stages)
    if chosen is not None:
        for name in chosen:
            check_choice("stages", name, STAGES)
        names = chosen
    return tuple(stages.get(name, Stage(name)) for name in STAGES if name in names)


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).expanduser().is_file():
            raise UserError(f"recipe file {name} does not exist")
        return Path(name).expanduser()
    known = sorted(path.stem for path in RECIPE_FOLDER.glob("*.yaml"))
    check_choice("recipe", name, known)
    return RECIPE_FOLDER / f"{name}.yaml"


def _source(entry: Any, number: int, recipe: str, options: Mapping[str, Any], used: set[str]) -> Source:
    if not isinstance(entry, dict):
        raise UserError(f"source {number} of recipe {recipe} must be a mapping with a name and a reader")
    where = f"source '{entry.get('name', number)}' of recipe {recipe}"
    for key in ("name", "reader"):
        if not entry.get(key):
            raise UserError(f"{where} has no {key}")
    reader = str(entry["reader"])
    if reader not in READER_KEYS:
        raise UserError(
            f"{where}: reader '{reader}' is not known; allowed: {', '.join(READER_KEYS)}"
            f"{nearest(reader, READER_KEYS)}"
        )
    allowed = DESCRIPTION_KEYS | READER_KEYS[reader]
    values: dict[str, Any] = {}
    for key, written in entry.items():
        if key not in allowed:
            raise UserError(f"{where} has the unknown key '{key}'{nearest(str(key), allowed)}")
        value = written
        placeholder = OPTION.fullmatch(written) if isinstance(written, str) else None
        if placeholder:
            option = placeholder[1]
            if option not in options:
                raise UserError(
                    f"{where}: ${{{option}}} is no option of corpus.py{nearest(option, options)}"
                )
            used.add(option)
            value = options[option]
        kind = {"max_bytes": int, "unverified": bool}.get(key, str)
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise UserError(f"{where}: {key} must be of type {kind.__name__}, found {value!r}")
        values[key] = value
    if values.get("legal_basis"):
        check_choice(f"{where}: legal_basis", values["legal_basis"], LEGAL_BASES)
    if not values.get("unverified") and not (values.get("license") and values.get("legal_basis")):
        lacking = "legal_basis" if values.get("license") else "license"
        raise UserError(
            f"{where} has no {lacking}; state license (SPDX) and legal_basis, or unverified: true"
        )
    if values.get("legal_basis") == "consent" and not values.get("consent_id"):
        raise UserError(f"{where}: legal_basis consent needs a consent_id")
    for key in sorted(READER_KEYS[reader] & REQUIRED_KEYS):
        if not values.get(key):
            raise UserError(f"recipe={recipe} needs {key}=... ({_meaning(key)})")
    if reader == "huggingface" and Path(values["name"]).is_dir():
        values["name"] = Path(values["name"]).resolve().name
    assert set(values) <= {field.name for field in fields(Source)}
    return Source(**values)


def _meaning(key: str) -> str:
    return {
        "input": "a file, a folder or a quoted glob",
        "dataset": "a dataset name or a folder",
        "package": "name of an installed package",
        "files": "glob over the files of the package",
        "records": "dotted keys that lead to the records",
    }[key]
