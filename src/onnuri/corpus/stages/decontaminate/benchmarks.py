"""The items of benchmark files, read by one rule instead of a reader for each task.

An item is a record: a line of JSONL, CSV, TSV or text, a row of Parquet, an element of a JSON list. Its
texts are all strings in it, however deep, except what cannot be a question, passage, choice or answer:
values of keys that name ids, sources and annotators, web addresses, and strings without a space that are
all ASCII (labels, hashes, file names). Short leftovers such as "entailment" or "B" do no harm, because
`stages.decontaminate` tests no text that short and none that stands in many items. So a new benchmark needs
no code. Readers for each task, as in lm-evaluation-harness, would know its prompt as well, but leaked items
are copies of the files, not of the prompts.

JSON files nest in two ways. Below `data`, `paragraphs`, `qas` and the like (SQuAD, KLUE-MRC) every inner
record is an item with the texts around it, so that each question has its passage. A mapping that holds
nothing but records and lists of them ({"test": [...]}, {"item-1": {...}}) is gone through.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.reading import discovery, files

log = logging.getLogger(__name__)

NESTS = frozenset({"data", "paragraphs", "qas", "questions", "examples", "instances"})
NOT_TEXT = re.compile(
    r"(?:.*[_-])?(?:gu|uu|q|p|hash|file)?id|idx|index|(?:file)?name|path|url|uri|link|source|author|licen[cs]e"
    r"|annotat\w*|labels?|label\d|gold_label|version|split|language|lang|domains?|(?:sub)?category|genre",
    re.IGNORECASE,
)
NO_PROSE = re.compile(r"(?:https?://|www\.)\S+|[!-~]+")
MOST_HEADER_CHARACTERS = 40
"""A first row of CSV or TSV with a longer cell is a record; many test sets have no header."""
ABOUT = re.compile(r"\.|readme|licen[cs]e|dataset_infos?\b", re.IGNORECASE)
"""Files of a folder that tell about a benchmark."""
MOST_LEVELS = 64


class Item(NamedTuple):
    """One record of a benchmark: `number` counts from 0 in its file, or through the files of its folder."""

    benchmark: str
    number: int
    texts: list[str]


def read(path: str, name: str = "") -> Iterator[Item]:
    """The items of a file, or of all files of known suffix in a folder, which then are one benchmark.

    The benchmark goes by `name`, else by the file's name without its suffixes, or the folder's name.
    Records without a text give an item without texts, so that numbers stay those of the file. Raises
    UserError, in one line, if the path is missing, of no known kind, empty, or damaged.
    """
    name = name or names([path])[0]
    number = 0
    for each in _files(Path(path).expanduser())[0]:
        for texts in _texts(each):
            yield Item(name, number, texts)
            number += 1
    if not number:
        raise UserError(f"benchmark {path} holds no items")


def names(paths: Sequence[str]) -> list[str]:
    """A name for each path: the file without suffixes or the folder, after its parent if two are alike."""
    resolved = [Path(path).expanduser().resolve() for path in paths]
    short = [path.name if path.is_dir() else _stem(path) for path in resolved]
    long = [f"{path.parent.name}/{name}" for path, name in zip(resolved, short, strict=True)]
    return [one if short.count(one) == 1 else other for one, other in zip(short, long, strict=True)]


def hashes(path: str) -> dict[str, str]:
    """Name to sha256 of every file that `read` would read. Logs which files it would not."""
    root = Path(path).expanduser()
    found, passed_over = _files(root)
    if passed_over:
        log.info(f"benchmark {path}: passed over {passed_over}")
    return {file.relative_to(root.parent).as_posix(): manifest.hash_file(file) for file in found}


def _stem(path: Path) -> str:
    return path.name.removesuffix(_packing(path)).removesuffix(_suffix(path)) or path.name


def _packing(path: Path) -> str:
    return path.suffix if path.suffix.lower() in (".gz", ".zst") else ""


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(_packing(path))).suffix


def _files(path: Path) -> tuple[list[Path], str]:
    """The files of a benchmark, and in one line those of its folder that are not."""
    known = ", ".join(READERS)
    if not path.exists():
        raise UserError(f"benchmark {path} does not exist")
    if path.is_file():
        if _suffix(path).lower() not in READERS:
            raise UserError(f"benchmark {path} is of no known kind; known: {known} (.gz, .zst)")
        return [path], ""
    inside = discovery.below(path, f"benchmark {path}")
    found = []
    for file in inside.files:
        each = Path(file.path)
        if any(ABOUT.match(part) for part in each.relative_to(path).parts):
            inside.pass_over("about the benchmark", file.name)
        elif _suffix(each).lower() not in READERS:
            inside.pass_over(discovery.UNKNOWN, file.name)
        else:
            found.append(each)
    if not found:
        raise UserError(f"benchmark {path} has no file of a known kind; known: {known} (.gz, .zst)")
    return sorted(found), discovery.describe(inside.counts())


def _texts(path: Path) -> Iterator[list[str]]:
    """The texts of each record of a file."""
    try:
        with files.open_bytes(str(path)) as stream:
            for record in READERS[_suffix(path).lower()](stream):
                yield from _expanded(record, [])
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(f"benchmark {path} is not UTF-8: {files.one_line(error)}") from None
    except RecursionError:
        raise UserError(f"benchmark {path} is nested too deep") from None
    except Exception as error:  # Damaged files make the libraries below raise all sorts of errors.
        raise UserError(f"benchmark {path} cannot be read: {files.one_line(error)}") from None


def _lines(stream: BinaryIO) -> Iterator[str]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        yield from text


def _json(stream: BinaryIO) -> Iterator[Any]:
    """One value; or one a line, which many files named .json hold."""
    text = stream.read().decode("utf-8-sig")
    try:
        return iter([json.loads(text)])
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
    return _json_lines(text.split("\n"))


def _json_lines(lines: Iterable[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error}") from None


def _table(rows: Iterable[list[str]]) -> Iterator[Any]:
    """A mapping for each row; without a header the columns have numbers."""
    header: list[str] | None = None
    for row in rows:
        if not row:
            continue
        if header is None:
            header = [cell.strip() for cell in row]
            if max(map(len, header)) > MOST_HEADER_CHARACTERS:
                header = []
            else:
                continue
        yield {header[at] if at < len(header) else f"column {at}": cell for at, cell in enumerate(row)}


def _csv(stream: BinaryIO) -> Iterator[Any]:
    return _table(csv.reader(_lines(stream), strict=True))


def _tsv(stream: BinaryIO) -> Iterator[Any]:
    """KorNLI and NSMC have lone quotation marks, so they mean nothing; comparison ignores them anyway."""
    return _table(line.rstrip("\r\n").split("\t") for line in _lines(stream))


def _parquet(stream: BinaryIO) -> Iterator[Any]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(stream).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


READERS: dict[str, Callable[[BinaryIO], Iterator[Any]]] = {
    ".json": _json,
    ".jsonl": lambda stream: _json_lines(_lines(stream)),
    ".ndjson": lambda stream: _json_lines(_lines(stream)),
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".txt": lambda stream: (line.strip() for line in _lines(stream) if line.strip()),
}
"""Suffix to what gives the records of a file."""


def _expanded(value: Any, around: list[str], level: int = 0) -> Iterator[list[str]]:
    """The texts of each record in a value; `around` are texts of the records that it lies in."""
    if level > MOST_LEVELS:
        raise RecursionError
    if isinstance(value, list):
        for each in value:
            yield from _expanded(each, around, level + 1)
    elif not isinstance(value, dict):
        yield [*around, *_leaves(value)]
    else:
        nests = [key for key, inner in value.items() if key in NESTS and _holds_records(inner)]
        if not nests and value and all(map(_holds_records, value.values())):
            nests = list(value)
        own = [*around, *_leaves({key: inner for key, inner in value.items() if key not in nests})]
        for key in nests:
            yield from _expanded(value[key], own, level + 1)
        if not nests:
            yield own


def _holds_records(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(v, dict) for v in value))


def _leaves(value: Any, level: int = 0) -> list[str]:
    """The strings in a value that may be text."""
    if level > MOST_LEVELS:
        raise RecursionError
    if isinstance(value, str):
        return [] if not value.strip() or NO_PROSE.fullmatch(value.strip()) else [value]
    if isinstance(value, list):
        return [text for each in value for text in _leaves(each, level + 1)]
    if isinstance(value, dict):
        fields = (each for key, each in value.items() if not NOT_TEXT.fullmatch(str(key)))
        return [text for each in fields for text in _leaves(each, level + 1)]
    return []
