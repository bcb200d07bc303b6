"""The documents to score, from a corpus folder or from files."""

from __future__ import annotations

import hashlib
import logging
import lzma
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError

log = logging.getLogger(__name__)


@dataclass
class Text:
    """A document to score."""

    text: str
    lang: str
    source: str


def of_corpus(data: str) -> bool:
    """Whether `data=` is a corpus folder; else it is files."""
    return (Path(data) / manifest.FILE_NAME).is_file()


@contextmanager
def _found_by(option: str, data: str) -> Iterator[None]:
    """Name the option that the user gave where files are not found, not that of a corpus."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"input={data}", f"{option}={data}", 1)) from None


def data_identity(data: str, option: str = "data") -> str:
    """Hash of the text behind `option=data`: a corpus manifest's identity, or the hashes of the files."""
    if of_corpus(data):
        return manifest.read_whole(data, "corpus").identity
    from onnuri.corpus.reading import discovery, files

    digest = hashlib.sha256()
    with _found_by(option, data):
        for file, _ in discovery.with_formats(discovery.find(data)):
            digest.update(f"{file.name} {files.identity(file)}\n".encode())
    return digest.hexdigest()


def read_texts(data: str, text_column: str, max_documents: int, option: str = "data") -> list[Text]:
    """The documents, empty ones left out; at most `max_documents` per language when that is not 0.

    Raises UserError, which names `option`, when there are none.
    """
    with _found_by(option, data):
        texts = _from_corpus(data) if of_corpus(data) else _from_files(data, text_column)
    kept: list[Text] = []
    counts: dict[str, int] = {}
    for text in texts:
        counts[text.lang] = counts.get(text.lang, 0) + 1
        if text.text and (not max_documents or counts[text.lang] <= max_documents):
            kept.append(text)
    if not kept:
        raise UserError(f"{option}={data} holds no document with text")
    return kept


def _from_corpus(data: str) -> list[Text]:
    from onnuri.corpus.documents import read_documents

    return [
        Text(text, lang, source)
        for batch in read_documents(data, "heldout", ["text", "lang", "source"])
        for text, lang, source in zip(*batch.values(), strict=True)
    ]


def _from_files(data: str, text_column: str) -> list[Text]:
    import pyarrow.compute as pc

    from onnuri.corpus.execution.units import pieces_of
    from onnuri.corpus.reading import discovery
    from onnuri.corpus.reading.readers import read
    from onnuri.corpus.recipe import DEFAULT_MAX_DOCUMENT_BYTES
    from onnuri.corpus.source import Source
    from onnuri.corpus.stages.describe.measures import describe

    source = Source(name="file", input=data, text_column=text_column, unverified=True)
    texts, problems = [], Counter[str]()
    pieces, found = pieces_of(0, source)
    if passed := discovery.describe(found.counts()):
        log.info(f"{data}: passed over {passed}")
    for batch in read(pieces, source, DEFAULT_MAX_DOCUMENT_BYTES):
        languages = pc.struct_field(describe(batch["text"], batch["lang"]), "lang")
        rows = zip(
            *(column.to_pylist() for column in (batch["text"], languages, batch["source"])), strict=True
        )
        texts += [
            Text(text, lang, name)
            for (text, lang, name), problem in zip(rows, batch["problem"].to_pylist(), strict=True)
            if not problem
        ]
        problems.update(problem for problem in batch["problem"].to_pylist() if problem)
    if problems:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in problems.most_common())
        log.info(f"{problems.total():,} rows of {data} are not scored: {reasons}")
    return texts


def xz_bits_per_byte(texts: list[str]) -> float:
    """What `xz -9e` reaches on the same documents, joined by newlines: the bar a model must beat."""
    plain = "\n".join(texts).encode()
    return 8 * len(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)) / len(plain)
