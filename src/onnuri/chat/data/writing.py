"""Conversations into the shards of both splits, and the table of their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base.errors import UserError
from onnuri.chat.data.prepare import Kept
from onnuri.chat.data.rights import Rights
from onnuri.tokens.base_shards import Base
from onnuri.tokens.config import PackConfig
from onnuri.tokens.shards import DOCUMENT, SplitWriter
from onnuri.tokens.vocabulary import Vocabulary

ENOUGH_TO_HOLD_OUT = 50
"""Of more conversations than that at least one is held out, however small the share."""
MOST_SOURCES = 200
"""Each has a file open in both splits."""


class Writer:
    """Takes what is kept, in order."""

    def __init__(
        self,
        config: PackConfig,
        vocabulary: Vocabulary,
        base: Base,
        folder: Path,
        stated: Mapping[str, str],
    ) -> None:
        self.stated = stated
        """What is known of all sources."""
        self.config, self.vocabulary, self.base = config, vocabulary, base
        together = 2 if config.kind == "preference" else 1
        self._splits = {
            split: SplitWriter(folder, split, vocabulary.dtype, config.shard_tokens, together)
            for split in ("train", "heldout")
        }
        self._sources: dict[str, list[Rights]] = {}
        self._languages = {name: number for number, name in enumerate(base.languages)}
        self._kept = 0
        self._last: Kept | None = None
        """As long as nothing is held out: what would be the first. It is not written yet."""
        share = config.heldout_share
        self._threshold = format(min(int(share * 2**64), 2**64 - 1), "016x")
        self._waiting = share > 0

    def add(self, kept: Sequence[Kept]) -> None:
        """Write conversations or pairs. The second half of the hash decides the split, as in a corpus."""
        splits: dict[str, list[Kept]] = {"train": [], "heldout": []}
        for each in kept:
            self._kept += 1
            self._source(each.rights)  # sources are numbered as they come in
            if each.digest[16:] < self._threshold:
                splits["heldout"].append(each)
                self._waiting = False
            elif self._waiting and (self._last is None or each.digest[16:] < self._last.digest[16:]):
                self._last, each_before = each, self._last
                splits["train"] += [each_before] if each_before else []
            else:
                splits["train"].append(each)
        if not self._waiting and self._last:
            splits["train"].append(self._last)
            self._last = None
        for split, found in splits.items():
            self._write(split, found)

    def close(self) -> dict[str, Any]:
        """Finish all shards. Returns the counts of the manifest, without the base's."""
        if self._last:
            self._write("heldout" if self._kept > ENOUGH_TO_HOLD_OUT else "train", [self._last])
        for writer in self._splits.values():
            writer.close()
        train = self._splits["train"]
        if not train.num_shards:
            raise UserError(
                f"{self.config.input}: all of its {self._kept:,} records are held out; take a smaller "
                f"heldout_share= than {self.config.heldout_share:g}"
            )
        languages = list(self._languages)
        return {
            **{name: writer.totals() for name, writer in self._splits.items()},
            **{f"{name}_shards": writer.num_shards for name, writer in self._splits.items()},
            **self.vocabulary.facts(),
            "languages": languages,
            "sources": [
                {
                    "name": name,
                    **_facts(found),
                    **self.stated,
                    "lang": ", ".join(sorted(languages[index] for index in train.languages(number))),
                    **{f"train_{unit}": value for unit, value in train.totals(number).items()},
                    "trained_tokens": train.trained_tokens(number),
                }
                for number, (name, found) in enumerate(self._sources.items(), len(self.base.sources))
            ],
        }

    @property
    def trained_tokens(self) -> int:
        """Of the training split."""
        return self._splits["train"].trained_tokens()

    def _write(self, split: str, kept: Sequence[Kept]) -> None:
        if not kept:
            return
        ids = [each for kept_one in kept for each in kept_one.ids]
        rows = np.zeros(len(ids), dtype=DOCUMENT)
        rows["length"] = [len(each.tokens) for each in ids]
        rows["offset"] = np.cumsum(rows["length"]) - rows["length"]
        rows["bytes"] = [size for each in kept for size in each.sizes]
        rows["source"] = [self._source(each.rights) for each in kept for _ in each.ids]
        languages = [self._languages.setdefault(each.lang, len(self._languages)) for each in kept]
        rows["lang"] = np.repeat(languages, [len(each.ids) for each in kept])
        rows["id"] = [name.encode() for each in kept for name in _ids(each)]
        trained = np.concatenate([each.trained for each in ids])
        trained["offset"] += np.repeat(rows["offset"], [len(each.trained) for each in ids])
        self._splits[split].add(np.concatenate([each.tokens for each in ids]), rows, trained)

    def _source(self, rights: Rights) -> int:
        """The row of a record's source, whose rights are added up."""
        if rights.source not in self._sources:
            self.base.check_names([rights.source], "give the new records another name with source=")
            if len(self._sources) == MOST_SOURCES:
                raise UserError(
                    f"{self.config.input}: the records name more than {MOST_SOURCES} sources; give all of "
                    "them one name with source="
                )
            self._sources[rights.source] = []
        found = self._sources[rights.source]
        if rights not in found:
            found.append(rights)
        return len(self.base.sources) + list(self._sources).index(rights.source)


def _ids(kept: Kept) -> list[str]:
    """Ids of the documents: of a pair the hash with the last digit replaced."""
    return [kept.digest] if len(kept.ids) == 1 else [f"{kept.digest[:31]}{side}" for side in "cr"]


def _facts(found: Sequence[Rights]) -> dict[str, Any]:
    """What the records of a source say together."""

    def joined(name: str) -> str:
        return ", ".join(sorted({getattr(each, name) for each in found} - {""}))

    facts = {
        "license": joined("license"),
        "legal_basis": joined("legal_basis"),
        "unverified": not all(each.license and each.legal_basis for each in found),
    }
    stated = {name: joined(name) for name in ("kind", "made_by")}
    return facts | {name: value for name, value in stated.items() if value}
