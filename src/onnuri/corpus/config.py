"""Options of the commands corpus, corpus explain and quality."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option


@dataclass
class ExecutionConfig:
    """Where the work is done."""

    name: str = "local"
    """local: processes on this machine; ray: the same code on a Ray cluster."""
    address: str = ""
    """engine=ray: address of the cluster, e.g. auto or ray://HOST:10001; empty starts one here."""
    workers: int = 0
    """Worker processes; 0: one for each processor that this process may use, or that the cluster has."""

    def __post_init__(self) -> None:
        check_choice("engine", self.name, ("local", "ray"))
        if self.workers < 0:
            raise UserError(f"engine.workers={self.workers} must be at least 0")


@dataclass
class CorpusConfig:
    """Which recipe to follow, and where to write."""

    recipe: str = path_option()
    """sample, local, hf (files in data_recipes/), or the path of a recipe of your own
    (.yaml). docs/corpus.md lists the keys of a recipe, under "Keys of a recipe"."""
    output: str = path_option()
    """Folder to write: documents/, rejected/, report.json, manifest.json."""
    input: str = path_option("")
    """recipe=local: a file, a folder, a quoted glob (** goes through folders) or a URL (s3://, hf://):
    .jsonl, .json, .parquet, .txt, .html, .warc, .hwp, .hwpx, .zip, .tar; also .gz, .zst."""
    text_column: str = "text"
    """Name of the field that holds the text (recipe=local and recipe=hf); dots lead into nested fields."""
    dataset: str = path_option("")
    """recipe=hf: a dataset name on the Hugging Face hub, or a local folder of data files."""
    dataset_config: str = ""
    """recipe=hf: configuration (subset) of the dataset, where it has several."""
    dataset_split: str = "train"
    """recipe=hf: split of the dataset to read."""
    stages: list[str] | None = None
    """Stages to run, such as [normalise,describe,pii]; they run in the order that docs/corpus.md lists them
    in. Not given: what the recipe says, and those for which an option below is given."""
    against: list[str] | None = path_option(None)
    """dedup: finished corpus folders; what is in them already counts as a duplicate here."""
    benchmarks: list[str] | None = path_option(None)
    """decontaminate: benchmark files or folders (.json, .jsonl, .csv, .tsv, .parquet, .txt)."""
    quality_model: str = path_option("")
    """quality: folder made by `onnuri quality`."""
    quality_threshold: float | None = None
    """quality: documents that score lower are rejected, from 0 (keeps all) to 1."""
    heldout_share: float | None = None
    """Share of documents kept out of training, chosen by hash of the id. Not given: what the recipe
    says, or 0.02."""

    push: str = ""
    """Dataset on a hub to upload the finished folder to: ORG/NAME or ORG/NAME@BRANCH. Made
    private where it is missing."""
    hub: str = ""
    """Address of the hub (docs/hub.md); empty: HF_ENDPOINT. Never the public hub."""

    engine: ExecutionConfig = field(default_factory=ExecutionConfig)

    def __post_init__(self) -> None:
        if self.heldout_share is not None and not 0 <= self.heldout_share < 1:
            raise UserError(f"heldout_share={self.heldout_share} must be at least 0 and below 1")
        if self.quality_threshold is not None and not 0 <= self.quality_threshold <= 1:
            raise UserError(f"quality_threshold={self.quality_threshold} must be from 0 to 1")


@dataclass
class QualityConfig:
    """The two sets of texts to tell apart."""

    good: str = path_option()
    """Texts as they should be: file, folder or quoted glob of .jsonl, .parquet (.gz, .zst) or .txt, or a
    corpus folder. A .txt file is taken in pieces of about 2,000 characters."""
    random: str = path_option()
    """Texts as they come, in the same languages and on the same subjects as far as can be; same formats."""
    output: str = path_option()
    """Folder to write: the weights and what they mean."""
    text_column: str = "text"
    """Column or key of the text in .parquet and .jsonl."""
    documents: int = 20000
    """At most so many texts of each set, as evenly as can be from all files, from the start of each."""

    def __post_init__(self) -> None:
        if self.documents < 1:
            raise UserError(f"documents={self.documents} must be at least 1")


@dataclass
class ExplainConfig:
    """Which document of which corpus."""

    id: str = "???"
    """Id of the document, or the beginning of it (6 characters or more)."""
    input: str = path_option()
    """A finished corpus folder."""
