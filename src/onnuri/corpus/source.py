"""One source of a recipe: where its text lies, how it is written, and under which terms it may be used.

A source names exactly one place (`input`, `package`, `dataset` or `python`). What a file means is told by
its suffix, or by `format`. Keys are checked against the place, so a typo is an error and not a default.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from onnuri.errors import UserError, check_choice, nearest

LEGAL_BASES = ("open-licence", "consent", "legitimate-interest", "public-data", "contract")
"""Korean PIPA, articles 15 and 28; open-licence for text whose authors published it for any use."""
FORMATS = ("auto", "jsonl", "json", "yaml", "parquet", "text", "html", "warc", "hwp", "hwpx", "archive")
COLUMNS = ("text", "id", "url", "lang", "source", "license", "legal_basis")
"""What a record may say of itself. Its own words win over those of the source."""
TERMS = {
    *("name", "license", "legal_basis", "unverified", "lang", "url", "weight", "opt_out"),
    *("consent_id", "third_party_transfer", "collected_at"),
}
FORM = {"format", "records", "columns", "text_column", "encoding"}
PLACES: dict[str, set[str]] = {
    "input": {"input", *FORM},
    "package": {"package", "files", *FORM},
    "dataset": {"dataset", "dataset_config", "dataset_split", "text_column", "columns"},
    "python": {"python", "max_bytes"},
}
"""Keys of each place."""
NEEDED = {
    "input": ("input",),
    "package": ("package", "files"),
    "dataset": ("dataset",),
    "python": ("python",),
}
PYTHON_TEXTS = ("topics", "docstrings")
MEANINGS = {
    "input": "a file, a folder or a quoted glob",
    "dataset": "a dataset name or a folder",
    "package": "name of an installed package",
    "files": "glob over the files of the package",
    "python": "topics or docstrings",
}


@dataclass(frozen=True)
class Source:
    """One source of a recipe."""

    name: str
    input: str = ""
    """File, folder or glob; local, or a URL that fsspec opens (s3://, hf://datasets/..., https://)."""
    package: str = ""
    """Name of an installed distribution."""
    files: str = ""
    """Glob over the distribution's own list of files."""
    dataset: str = ""
    """Name on the Hugging Face hub, or a local folder that `datasets` can load."""
    dataset_config: str = ""
    dataset_split: str = "train"
    python: str = ""
    """topics: the language reference that comes with Python; docstrings: those of its standard library."""
    max_bytes: int = 0
    """python: stop before this many bytes of text; 0: no limit."""
    format: str = "auto"
    """One of FORMATS; auto goes by the suffix."""
    records: str = ""
    """json, yaml: dotted keys from the top of a file to its records; lists on the way are gone through."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Name of ours (COLUMNS) to dotted keys of a record; of a list, all elements, joined by line feeds."""
    text_column: str = "text"
    """The same for the text alone."""
    encoding: str = ""
    """Declared character encoding of text files; "" detects it (UTF-8, UTF-16, CP949)."""
    lang: str = ""
    """Language of every document; "" lets describe find it."""
    url: str = ""
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
    opt_out: str = ""
    """File with an id, a URL or a host a line; such documents are rejected."""
    weight: float = 1.0
    """How much of the source a training mixture wants, as a multiple of its size. Only recorded here."""

    @property
    def paths(self) -> dict[str, str]:
        """Our column name to dotted keys of a record."""
        return {name: name for name in COLUMNS} | {"text": self.text_column} | dict(self.columns)

    def described(self) -> dict[str, str]:
        """What every document of this source says unless its record says otherwise."""
        return {name: getattr(self, name) for name in ("lang", "license", "legal_basis", "url")} | {
            "source": self.name
        }


def make(entry: Any, number: int, recipe: str, resolve: Any) -> Source:
    """The source that a recipe's `number`-th entry describes; `resolve(where, value)` fills in options.

    Raises UserError for an unknown key, a wrong type, a missing place, licence or legal basis.
    """
    if not isinstance(entry, dict):
        raise UserError(f"source {number} of recipe {recipe} must be a mapping with a name")
    where = f"source '{entry.get('name', number)}' of recipe {recipe}"
    if not entry.get("name"):
        raise UserError(f"{where} has no name")
    places = [place for place in PLACES if place in entry]
    if len(places) != 1:
        found = " and ".join(places) or "none"
        raise UserError(f"{where} needs exactly one place ({', '.join(PLACES)}), found {found}")
    allowed = TERMS | PLACES[places[0]]
    for key in entry:
        if key not in allowed:
            raise UserError(f"{where} has the unknown key '{key}'{nearest(str(key), allowed)}")
    values = {key: _text_of_date(resolve(where, value)) for key, value in entry.items()}
    for key in NEEDED[places[0]]:
        if not values.get(key):
            raise UserError(f"recipe={recipe} needs {key}=... ({MEANINGS[key]})")
    for key, value in values.items():
        _check_type(where, key, value)
    _check_values(where, values)
    if places[0] == "dataset" and Path(values["name"]).is_dir():
        values["name"] = Path(values["name"]).resolve().name
    return Source(**values)


def _text_of_date(value: Any) -> Any:
    """YAML reads 2026-03-01 as a date."""
    return value.isoformat() if isinstance(value, datetime.date) else value


def _check_type(where: str, key: str, value: Any) -> None:
    kinds: dict[str, Any] = {
        "max_bytes": int,
        "unverified": bool,
        "weight": int | float,
        "columns": dict,
    }
    kind = kinds.get(key, str)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        name = getattr(kind, "__name__", str(kind))
        raise UserError(f"{where}: {key} must be of type {name}, found {value!r}")
    if key == "columns":
        for ours, theirs in value.items():
            check_choice(f"{where}: columns", str(ours), COLUMNS)
            if not isinstance(theirs, str) or not theirs:
                raise UserError(f"{where}: columns.{ours} must be dotted keys, found {theirs!r}")


def _check_values(where: str, values: Mapping[str, Any]) -> None:
    for key, allowed in (("legal_basis", LEGAL_BASES), ("format", FORMATS), ("python", PYTHON_TEXTS)):
        if values.get(key):
            check_choice(f"{where}: {key}", values[key], allowed)
    if not values.get("unverified") and not (values.get("license") and values.get("legal_basis")):
        lacking = "legal_basis" if values.get("license") else "license"
        raise UserError(
            f"{where} has no {lacking}; state license (SPDX) and legal_basis, or unverified: true"
        )
    if values.get("legal_basis") == "consent" and not values.get("consent_id"):
        raise UserError(f"{where}: legal_basis consent needs a consent_id")
    if not 0 <= values.get("weight", 1) < math.inf:
        raise UserError(f"{where}: weight must be at least 0, found {values['weight']}")
    if values.get("max_bytes", 0) < 0:
        raise UserError(f"{where}: max_bytes must be at least 0, found {values['max_bytes']}")
    if values.get("encoding"):
        try:
            "".encode(values["encoding"])
        except (LookupError, ValueError):
            raise UserError(f"{where}: encoding {values['encoding']!r} is not known") from None
    if values.get("opt_out") and not Path(values["opt_out"]).expanduser().is_file():
        raise UserError(f"{where}: opt_out file {values['opt_out']} does not exist")


assert {key for keys in PLACES.values() for key in keys} | TERMS == {f.name for f in fields(Source)}
