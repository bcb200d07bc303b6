"""Held-out text in training text: the search of the corpus stage `decontaminate`, passage by passage."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from onnuri.base import manifest
from onnuri.challenge.faults import Refused
from onnuri.corpus.texts import Text
from onnuri.tokens.shards import TokenShards

PASSAGE = 200
"""Characters of a passage, about: lines are joined up to that, longer ones are cut."""
SHARE = 0.5
"""Of a document's passages that must be found: headings and formulas alone are no leak."""
DOCUMENTS_AT_ONCE = 512


def leaked_documents(heldout: Sequence[Text], training: Iterable[str]) -> list[int]:
    """Numbers of the held-out documents of which a good part stands in the training texts.

    Passages that are too short to be looked for, or stand in many held-out documents, do not count. A
    document of only such is looked for whole, as a document or a line. Equal documents are looked for once.
    """
    import pyarrow as pa

    from onnuri.corpus.stages.decontaminate import benchmark_index, cut

    numbers: dict[str, list[int]] = {}
    for number, text in enumerate(heldout):
        numbers.setdefault(" ".join(text.text.split()), []).append(number)
    passages = [
        (whole, each) for whole, same in numbers.items() for each in passages_of(heldout[same[0]].text)
    ]
    with tempfile.TemporaryDirectory(prefix="onnuri-leaks-") as folder:
        path = Path(folder) / "heldout.jsonl"
        lines = (json.dumps({"texts": [each]}, ensure_ascii=False) for _, each in passages)
        manifest.write_text(path, (f"{line}\n" for line in lines))
        index = benchmark_index.build_index([str(path)])
    testable = Counter(whole for item, (whole, _) in enumerate(passages) if index.testable[item])
    short = numbers.keys() - testable.keys() - {""}
    found: set[int] = set()
    leaked: set[str] = set()
    for batch in _batches(training):
        if short:
            pieces = (piece for text in batch for piece in (text, *text.splitlines()))
            leaked.update(short.intersection(" ".join(piece.split()) for piece in pieces))
        *_, hits = cut.decontaminate(pa.array(batch, pa.large_string()), index, "drop")
        found.update(item for each in hits.to_pylist() for item in each)
    counted = Counter(passages[item][0] for item in found)
    leaked.update(whole for whole, count in counted.items() if count >= SHARE * testable[whole])
    return sorted(number for whole in leaked for number in numbers[whole])


def passages_of(text: str) -> Iterator[str]:
    """The lines of a text, short ones joined and long ones cut."""
    passage = ""
    for line in text.splitlines():
        for start in range(0, len(line), PASSAGE):
            passage = f"{passage} {line[start : start + PASSAGE]}".strip()
            if len(passage) >= PASSAGE // 2:
                yield passage
                passage = ""
    if passage:
        yield passage


def texts_of_shards(folder: Path, tokenizer: Path) -> Iterator[str]:
    """The training documents of token shards, decoded."""
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    shards = TokenShards.open(folder, "train")
    for row in shards.documents():
        start, length = int(row["offset"]), int(row["length"])
        yield decoder.decode(shards.read(start, length).tolist(), skip_special_tokens=True)


def check_shards(folder: Path, wanted: str, tokenizer_sha256: str) -> None:
    """Raise Refused unless `folder` holds the shards `wanted`, encoded by the challenge's tokenizer."""
    found = manifest.read(folder, "tokens")
    manifest.verify(folder, found)
    if found.identity != wanted:
        raise Refused("other data", f"data={folder.name} holds other shards than the ledger names")
    if found.counts["tokenizer_sha256"] != tokenizer_sha256:
        raise Refused("other data", "its shards are encoded by another tokenizer than the challenge's")


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == DOCUMENTS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
