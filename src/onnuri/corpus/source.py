"""One source of a recipe: where its text lies, how it is written, and under which terms it may be used.

A source names exactly one place (`input`, `package`, `dataset` or `python`). A file's meaning is decided by
its first bytes and its suffix, or by `format`. `config.mapping` makes a Source of what a recipe says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option
from onnuri.corpus.reading import labels

LEGAL_BASES = ("open-licence", "consent", "legitimate-interest", "public-data", "contract")
"""Korean PIPA, articles 15 and 28; open-licence for text whose authors published it for any use."""
KINDS = ("public", "licensed", "crawled", "user", "synthetic", "programmed")
"""Kinds of source in the public summary that the EU asks for (AI Act, article 53): public data sets, data
under a contract with a third party, text crawled for this corpus, data of users, text written by models.
The summary counts programmed, text written by programs that are no models, among its other sources."""
FORMATS = (
    *(
        "auto",
        "jsonl",
        "json",
        "yaml",
        "csv",
        "tsv",
        "parquet",
        "text",
        "lines",
        "html",
        "warc",
        "hwp",
        "hwpx",
    ),
    "archive",
)
COLUMNS = ("text", "id", "url", "lang", "source", "license", "legal_basis")
"""What a record may say of itself. Its own words win over those of the source."""
FORM = ("format", "records", "columns", "text_column", "encoding", "bad_characters")
PLACES: dict[str, tuple[str, ...]] = {
    "input": FORM,
    "package": ("files", *FORM),
    "dataset": ("dataset_config", "dataset_split", "text_column", "columns"),
    "python": ("max_bytes",),
}
"""Places, and the keys that go with each; those that are not listed go with all."""
PYTHON_TEXTS = ("topics", "docstrings")


@dataclass(frozen=True)
class Source:
    """The keys of a source. Raises UserError for values that do not go together."""

    name: str
    """Name in reports and in the documents, which say it as their `source`."""
    input: str = path_option("")
    """A file, a folder or a glob, here or at a URL that fsspec opens: s3://, hf://datasets/..., https://."""
    package: str = ""
    """Name of an installed distribution."""
    files: str = ""
    """Glob over the distribution's own list of files."""
    dataset: str = path_option("")
    """A name on the Hugging Face hub, or a local folder that `datasets` can load."""
    dataset_config: str = ""
    """Configuration (subset) of the dataset, where it has several."""
    dataset_split: str = "train"
    """Split of the dataset to read."""
    python: str = ""
    """topics: the language reference that comes with Python; docstrings: those of its standard library."""
    max_bytes: int = 0
    """python: stop before this many bytes of text; 0: no limit."""
    format: str = "auto"
    """One of FORMATS; auto goes by the first bytes, then the suffix. lines: a document a line of text."""
    records: str = ""
    """json, yaml: dotted keys from the top of a file to its records; lists on the way are gone through."""
    columns: dict[str, str] = field(default_factory=dict)
    """Name of ours (COLUMNS) to dotted keys of a record; of a list, all elements, joined by line feeds."""
    text_column: str = "text"
    """The same for the text alone."""
    encoding: str = ""
    """Declared character encoding of text files, by a label of reading/labels.py; "" detects it (UTF-8,
    UTF-16, CP949, Johab)."""
    bad_characters: int | float = 0.001
    """A text with at most so many undecodable characters for each byte is kept, with U+FFFD for them."""
    lang: str = ""
    """Language of every document; "" lets describe find it."""
    url: str = ""
    """Where the source, or a document that names no address of its own, can be looked up."""
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
    """When the text was collected, as ISO 8601; a period has a slash (2025-03/2026-01)."""
    kind: str = ""
    """Where the text comes from: one of KINDS, "" when not stated."""
    opt_out: str = path_option("")
    """File with an id, a URL or a host a line; such documents are rejected."""

    def __post_init__(self) -> None:
        if not self.name:
            raise UserError("name is missing")
        places = [place for place in PLACES if getattr(self, place)]
        if len(places) != 1:
            found = " and ".join(places) or "none"
            raise UserError(f"exactly one place ({', '.join(PLACES)}) is needed, found {found}")
        for key in {key for keys in PLACES.values() for key in keys}.difference(PLACES[places[0]]):
            if getattr(self, key) != getattr(Source, key, {}):  # its default
                others = " and ".join(place for place, keys in PLACES.items() if key in keys)
                raise UserError(f"{key} goes with {others}, not with {places[0]}")
        if self.package and not self.files:
            raise UserError("package needs files (a glob over the files of the package)")
        for key, allowed in (
            ("legal_basis", LEGAL_BASES),
            ("kind", KINDS),
            ("format", FORMATS),
            ("python", PYTHON_TEXTS),
        ):
            if getattr(self, key):
                check_choice(key, getattr(self, key), allowed)
        for ours, theirs in self.columns.items():
            check_choice("columns", ours, COLUMNS)
            if not theirs:
                raise UserError(f"columns.{ours} must be dotted keys, found {theirs!r}")
        if not self.unverified and not (self.license and self.legal_basis):
            lacking = "legal_basis" if self.license else "license"
            raise UserError(f"no {lacking}; state license (SPDX) and legal_basis, or unverified: true")
        if self.legal_basis == "consent" and not self.consent_id:
            raise UserError("legal_basis consent needs a consent_id")
        if self.max_bytes < 0:
            raise UserError(f"max_bytes must be at least 0, found {self.max_bytes}")
        if self.encoding:
            labels.check(self.encoding)
        if not 0 <= self.bad_characters < 1:
            raise UserError(f"bad_characters must be at least 0 and below 1, found {self.bad_characters}")
        if self.opt_out and not Path(self.opt_out).expanduser().is_file():
            raise UserError(f"opt_out file {self.opt_out} does not exist")

    @property
    def paths(self) -> dict[str, str]:
        """Our column name to dotted keys of a record."""
        return {name: name for name in COLUMNS} | {"text": self.text_column} | self.columns

    def described(self) -> dict[str, str]:
        """What every document of this source says unless its record says otherwise."""
        return {name: getattr(self, name) for name in ("lang", "license", "legal_basis", "url")} | {
            "source": self.name
        }
