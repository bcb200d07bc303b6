"""`onnuri pack kind=chat` and `kind=preference`: conversations and pairs into token shards.

A conversation is a document: the ids of `onnuri.chat.format.render`, then the separator. What is trained on
lies beside the tokens (`onnuri.tokens.shards.TRAINED`). The two answers of a pair are documents in a row,
2i the chosen one and 2i + 1 the rejected one, always in the same shard. Records are read once and in order;
threads encode them. Memory: some batches, and 100 bytes a conversation to know duplicates by.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.base.ordered_map import ordered_map
from onnuri.chat.data import records
from onnuri.chat.data.prepare import Kept, Prepared, batches, prepare
from onnuri.chat.data.recipe import Recipe
from onnuri.chat.data.records import Raw
from onnuri.chat.data.refusal import CUT_OFF, DUPLICATE, WAYS_OUT, Refused
from onnuri.chat.data.rendering import Frame
from onnuri.chat.data.writing import Writer
from onnuri.corpus.reading import files
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.raw_text import storable
from onnuri.tokenizer.counting import usable_cores
from onnuri.tokenizer.special import CHAT_TEMPLATE
from onnuri.tokens.base_shards import check_unchanged, open_base, take_along, with_base
from onnuri.tokens.config import CONVERSATIONS_ONLY, PackConfig
from onnuri.tokens.vocabulary import open_vocabulary

log = logging.getLogger(__name__)

REFUSED_FILE = "refused.jsonl"
FILES_NAMED = 1000
TEMPLATE_SHA256 = hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest()


def pack(config: PackConfig) -> Manifest:
    """Write the shards, or do nothing when they answer this request. Returns their manifest.

    Raises UserError when no record can be used, more are refused than `most_refused` allows, or one is with
    on_error=stop.
    """
    vocabulary = open_vocabulary(config.tokenizer)
    frame = Frame(vocabulary)
    base = open_base(config.base, vocabulary)
    recipe = Recipe(config) if config.recipe else None
    chosen, passed = recipe.find() if recipe else records.find(config.input)
    names = ("kind", "shard_tokens", *(name for name in CONVERSATIONS_ONLY if name != "recipe"))
    settings = {name: getattr(config, name) for name in names} | {"template_sha256": TEMPLATE_SHA256}
    settings |= {"recipe": recipe.content()} if recipe else {}
    config = replace(config, unverified=config.unverified or bool(recipe and recipe.source.unverified))
    inputs = {**_hashes(chosen), "tokenizer": vocabulary.identity, **base.inputs}
    if found := manifest.up_to_date(config.output, "tokens", settings, inputs):
        log.info("%s is up to date", config.output)
        return found
    if passed:
        log.info(f"{config.input or config.recipe}: passed over {passed}")
    own = threading.local()

    def work(batch: list[Raw]) -> list[Prepared]:
        if not hasattr(own, "encoder"):
            own.encoder = vocabulary.file.encoder()
        return prepare(batch, config, frame, own.encoder)

    with manifest.building(config.output, "tokens") as partial:
        writer = Writer(config, vocabulary, base, partial, recipe.stated() if recipe else {})
        with (partial / REFUSED_FILE).open("w", encoding="utf-8") as stream:
            account = Account(config, stream)
            found_records = recipe.read(chosen) if recipe else records.read(chosen, config.encoding)
            raws = batches(found_records)
            for prepared in ordered_map(work, raws, config.workers or usable_cores()):
                writer.add(account.kept(prepared))
        account.check()
        counts = writer.close() | {"tokenizer_sha256": vocabulary.sha256}
        counts["chat"] = {
            "template_sha256": TEMPLATE_SHA256,
            "kind": config.kind,
            "conversations": counts["train"]["documents"] + counts["heldout"]["documents"],
            "trained_tokens": writer.trained_tokens,
            "refused": dict(sorted(account.refused.items())),
        }
        vocabulary.keep(partial)
        take_along(base, partial)
        sealed = manifest.seal(partial, "tokens", settings, inputs, with_base(counts, base))
        check_unchanged(base, sealed)
    _report(config, counts, account)
    return sealed


class Account:
    """What became of the records."""

    def __init__(self, config: PackConfig, stream: TextIO) -> None:
        self.config, self.stream = config, stream
        self.read = 0
        self.refused: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        """The first record that was refused for each reason."""
        self.notes: Counter[str] = Counter()
        self._seen: set[bytes] = set()

    def kept(self, prepared: Sequence[Prepared]) -> list[Kept]:
        """Those that are written: neither refused nor seen before."""
        found = []
        for each in prepared:
            self.read += 1
            if isinstance(each, Raw):
                self._refuse(each, each.refused or Refused("unknown"))
                continue
            digest = bytes.fromhex(each.digest)
            if digest in self._seen:
                self._refuse(each.raw, Refused(DUPLICATE))
                continue
            self._seen.add(digest)
            self.notes[each.raw.note.partition(":")[0]] += bool(each.raw.note)
            found.append(each)
        return found

    def _refuse(self, raw: Raw, refused: Refused) -> None:
        where = f"{raw.file}:{raw.place}"
        if self.config.on_error == "stop" and refused.reason != DUPLICATE:
            raise UserError(storable(f"{where}: {refused}{_way_out(refused.reason)}"))
        self.refused[refused.reason] += 1
        self.first.setdefault(refused.reason, storable(f"{where}: {refused}"))
        facts = {"file": raw.file, "line": raw.place, **raw.record}
        facts |= {"reason": refused.reason, "detail": refused.detail}
        self.stream.write(storable(json.dumps(facts, ensure_ascii=False)) + "\n")

    def check(self) -> None:
        """Raise UserError if nothing is left, or too much was refused."""
        wrong = self.refused.total() - self.refused[DUPLICATE]
        what = self.config.input or f"recipe {self.config.recipe}"
        if not self.read:
            raise UserError(f"{what} holds no record")
        if self.refused[CUT_OFF] and self.config.most_refused < 1:
            raise UserError(f"{self.first[CUT_OFF]}{_way_out(CUT_OFF)}")
        if len(self._seen) and wrong <= self.config.most_refused * self.read:
            return
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in self.refused.most_common())
        worst = next(reason for reason, _ in self.refused.most_common() if reason != DUPLICATE)
        more = f"; most_refused={self.config.most_refused:g} allows fewer" if self._seen else ""
        more += f", with most_refused=1 {REFUSED_FILE} lists them" if self._seen and wrong > 1 else ""
        raise UserError(
            f"{what}: {wrong:,} of {self.read:,} records are refused ({reasons}), such as "
            f"{self.first[worst]}{_way_out(worst)}{more}"
        )


def _way_out(reason: str) -> str:
    return f"; {WAYS_OUT[reason]}" if reason in WAYS_OUT else ""


def _hashes(chosen: list[tuple[File, str]]) -> dict[str, str]:
    """Of the input files, by name; many in one line."""
    found = {f"input/{file.name}": files.identity(file) for file, _ in chosen}
    return (
        found if len(found) <= FILES_NAMED else {f"input ({len(found)} files)": manifest.hash_json(found)}
    )


def _report(config: PackConfig, counts: dict[str, Any], account: Account) -> None:
    train, heldout, chat = counts["train"], counts["heldout"], counts["chat"]
    per, what = (1, "conversations") if config.kind == "chat" else (2, "pairs")
    tokens = train["tokens"] + heldout["tokens"]
    log.info(
        f"{config.output}: {train['documents'] // per:,} {what} to train on and "
        f"{heldout['documents'] // per:,} held out, {tokens:,} tokens; {chat['trained_tokens']:,} of "
        f"{train['tokens']:,} training tokens are the assistant's"
    )
    if account.refused:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in account.refused.most_common())
        log.info(
            f"{account.refused.total():,} of {account.read:,} records refused: {reasons}; "
            f"{Path(config.output) / REFUSED_FILE} lists them"
        )
    if notes := +account.notes:
        log.info(
            "kept with damage: " + ", ".join(f"{what} in {n:,} record(s)" for what, n in notes.items())
        )
