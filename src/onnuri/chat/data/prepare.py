"""A batch of raw records to what is written: refused with a reason, or tokens and facts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from onnuri.chat.data.check import Turn, checked
from onnuri.chat.data.layouts import conversation, pair
from onnuri.chat.data.records import Raw
from onnuri.chat.data.refusal import EQUAL, OVER, UNREADABLE, Refused
from onnuri.chat.data.rendering import Frame, Ids
from onnuri.chat.data.rights import Rights, rights
from onnuri.corpus.stages.describe.measures import describe
from onnuri.tokenizer.encoder import DocumentEncoder
from onnuri.tokens.config import PackConfig

BATCH_RECORDS = 256
BATCH_CHARACTERS = 1 << 20


class Kept(NamedTuple):
    """A conversation, or a pair, that may be written."""

    raw: Raw
    digest: str
    """Hash of its turns, 32 hex digits: the same with any tokenizer."""
    rights: Rights
    lang: str
    ids: list[Ids]
    """Of the conversation, or of chosen and rejected."""
    sizes: list[int]
    """UTF-8 bytes of trained text of each."""


Prepared = Kept | Raw
"""A Raw has its refusal."""


def batches(raws: Iterable[Raw]) -> Iterator[list[Raw]]:
    """Records in batches of bounded number and size."""
    batch: list[Raw] = []
    characters = 0
    for raw in raws:
        batch.append(raw)
        try:
            characters += _characters(raw.record)
        except RecursionError:
            characters += BATCH_CHARACTERS
        if len(batch) == BATCH_RECORDS or characters > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def prepare(
    batch: Sequence[Raw], config: PackConfig, frame: Frame, encoder: DocumentEncoder
) -> list[Prepared]:
    """What becomes of each record, in order."""
    found: list[Raw | tuple[Raw, Rights, list[list[Turn]]]] = []
    for raw in batch:
        try:
            if raw.refused:
                raise raw.refused
            turns = _conversations(raw.record, config.kind)
            found.append((raw, rights(raw.record, config), turns))
        except Refused as refused:
            found.append(_refused(raw, refused))
        except RecursionError:
            found.append(_refused(raw, Refused(UNREADABLE, "values nested too deeply")))
    good = [each for each in found if not isinstance(each, Raw)]
    ids = iter(frame.encode(encoder, [turns for _, _, conversations in good for turns in conversations]))
    texts = ["\n".join(_trained(conversations[0])) for _, _, conversations in good]
    given = [_lang(raw.record) for raw, _, _ in good]
    measured = describe(pa.array(texts, pa.large_string()), pa.array(given, pa.string()))
    languages = iter(measured.field("lang").to_pylist() if good else [])
    return [
        each if isinstance(each, Raw) else _kept(*each, next(languages), ids, config.max_tokens)
        for each in found
    ]


def _conversations(record: dict[str, Any], kind: str) -> list[list[Turn]]:
    if kind == "chat":
        return [checked(conversation(record))]
    found = pair(record)
    both = [checked(each, found.num_prompt) for each in (found.chosen, found.rejected)]
    if both[0] == both[1]:
        raise Refused(EQUAL)
    return both


def _kept(
    raw: Raw, own: Rights, conversations: list[list[Turn]], lang: str, ids: Iterator[Ids], most: int
) -> Prepared:
    encoded = [next(ids) for _ in conversations]
    longest = max(len(each.tokens) for each in encoded)
    if most and longest > most:
        return _refused(raw, Refused(OVER, f"{longest:,} tokens"))
    turns = [[(turn.role, turn.text, turn.trained) for turn in each] for each in conversations]
    content = json.dumps(turns, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    sizes = [sum(len(text.encode()) for text in _trained(each)) for each in conversations]
    return Kept(raw._replace(record=_named(raw)), digest, own, lang, encoded, sizes)


def _refused(raw: Raw, refused: Refused) -> Raw:
    return raw._replace(record=_named(raw), refused=refused)


def _named(raw: Raw) -> dict[str, Any]:
    """Of the record only its id."""
    own = raw.record.get("id")
    return {"id": own[:200] if isinstance(own, str) else own} if isinstance(own, str | int) else {}


def _trained(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.trained]


def _lang(record: dict[str, Any]) -> str:
    lang = record.get("lang")
    return lang if isinstance(lang, str) and re.fullmatch(r"[A-Za-z-]{2,16}", lang) else ""
