"""The texts of a set, from files of any kind, evenly and without repeats.

Small files give all they have, and what they leave is spread over the larger ones. Only the start of a file
is read, so a set of any size costs what `most` texts cost; a file that is sorted should be shuffled first.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from itertools import islice

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.reading import discovery, files
from onnuri.corpus.stages.quality.features import windows
from onnuri.corpus.stages.quality.model import CHARACTERS

log = logging.getLogger(__name__)

LEAST_CHARACTERS = 20
"""Shorter texts say too little to learn from."""
PIECE_CHARACTERS = 2000
MOST_BYTES = 1 << 26
"""Of a .txt file, of which no more is read."""


def read(option: str, pattern: str, column: str, most: int) -> list[str]:
    """At most `most` different texts that `pattern` means, of long ones only what the model looks at.

    `option` is the name that errors call the pattern by. `column` holds the text, but for corpus folders.
    Raises UserError if there is no text.
    """
    found = _find(option, pattern)
    if manifest.kind_of(files.local(pattern)) == "corpus":
        column = "text"
    texts: dict[str, None] = {}
    for index, (file, form) in enumerate(found):
        quota = -(-(most - len(texts)) // (len(found) - index))
        seen = len(texts)
        for text in _texts(option, file, form, column):
            if len(texts) - seen >= quota:
                break
            if len(text) >= LEAST_CHARACTERS:
                texts[windows(text, CHARACTERS)] = None
    if not texts:
        raise UserError(f"{option}={pattern} has no text of {LEAST_CHARACTERS} or more characters")
    return list(texts)


def _find(option: str, pattern: str) -> list[tuple[files.File, str]]:
    """The files to read and their formats, small ones first."""
    folder = files.local(pattern)
    corpus = manifest.kind_of(folder) == "corpus"
    if corpus:
        manifest.read_whole(folder, "corpus")
        pattern = str(folder / "documents")
    try:
        found = discovery.find(pattern)
        detected = discovery.with_formats(found)
    except UserError as error:
        raise UserError(str(error).replace("input=", f"{option}=", 1)) from None
    known = [(file, form) for file, form in detected if form in READERS]
    for file, form in detected:
        if form not in READERS:
            found.pass_over(f"of a format that {option} does not read", file.name)
    if corpus:
        known = [(file, form) for file, form in known if file.name.startswith("train-")]
    if not known:
        raise UserError(
            f"{option}={pattern} has no .jsonl, .parquet or .txt file, found {detected[0][0].name}"
        )
    if passed := discovery.describe(found.counts()):
        log.info(f"{option}={pattern}: passed over {passed}")
    return sorted(known, key=lambda each: (each[0].size, each[0].name))


def _texts(option: str, file: files.File, form: str, column: str) -> Iterator[str]:
    """The texts of one file, in its order."""
    try:
        yield from READERS[form](file.path, column)
    except KeyError as error:
        (keys,) = error.args
        raise UserError(
            f"{option}: {file.path} has no text_column={column}; it has {', '.join(map(str, keys))}"
        ) from None
    except UserError:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{option}: {file.path} cannot be read: {files.one_line(error)}") from None


def _jsonl(path: str, column: str) -> Iterator[str]:
    """Lines that are no JSON object with a text are passed over; the first object must have the column."""
    first = True
    with files.open_bytes(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", "replace") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                if first and column not in record:
                    raise KeyError(list(record))
                first = False
                if isinstance(value := record.get(column), str):
                    # A lone surrogate is legal JSON but no text.
                    yield value.encode("utf-8", "replace").decode()


def _parquet(path: str, column: str) -> Iterator[str]:
    import pyarrow.parquet as pq

    with files.open_raw(path) as stream, pq.ParquetFile(stream) as table:
        if column not in table.schema_arrow.names:
            raise KeyError(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=256, columns=[column]):
            yield from (value for value in batch.column(0).to_pylist() if isinstance(value, str))


def _pieces(path: str, column: str) -> Iterator[str]:
    """Whole lines, PIECE_CHARACTERS or a little more at a time; UTF-8, or else CP949."""
    with files.open_bytes(path) as stream:
        raw = stream.read(MOST_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp949", "replace")
    lines = iter(text.splitlines(keepends=True))
    while piece := "".join(_until_long(lines)):
        yield piece


def _until_long(lines: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in islice(lines, PIECE_CHARACTERS):
        yield line
        size += len(line)
        if size >= PIECE_CHARACTERS:
            return


READERS: dict[str, Callable[[str, str], Iterator[str]]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
    "text": _pieces,
}
"""Format to a function of path and text column."""
