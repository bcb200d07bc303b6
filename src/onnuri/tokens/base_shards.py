"""`base=`: the shards of another folder taken along, so that one folder holds old and new sources.

The files are linked, not copied, where the file system allows it, and stay as they are. What they say of
sources and languages are rows of tables, so the base's rows come first in the tables of the new folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.tokens.vocabulary import Vocabulary

SHARD = re.compile(r"(train|heldout)-[0-9-]+\.(tokens|documents|trained)\.npy")
UNITS = ("documents", "tokens", "bytes")


class Base(NamedTuple):
    """A folder of shards to take along; one without any where nothing was given."""

    folder: str = ""
    found: Manifest | None = None
    sources: tuple[dict[str, Any], ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """For the manifest of the new folder."""
        return {"base": self.found.identity} if self.found else {}

    @property
    def chat(self) -> dict[str, Any]:
        """What its counts say of conversations; empty without any."""
        return dict(self.found.counts.get("chat", {})) if self.found else {}

    def check_names(self, names: Iterable[str], way_out: str) -> None:
        """Raise UserError for a new source that has the name of one in the base."""
        if same := sorted({source["name"] for source in self.sources} & set(names)):
            raise UserError(f"base={self.folder} has a source '{same[0]}' already; {way_out}")


def open_base(folder: str, vocabulary: Vocabulary) -> Base:
    """The folder of `base=`, or none for "". Raises UserError if it was packed with another tokenizer."""
    if not folder:
        return Base()
    found = manifest.read_whole(folder, "tokens")
    counts = found.counts
    own = vocabulary.facts() | {"tokenizer_sha256": vocabulary.sha256}
    if any(counts.get(name) != value for name, value in own.items()):
        raise UserError(
            f"base={folder} was packed with another tokenizer than {vocabulary.file.folder}; pack one of "
            "the two again"
        )
    return Base(folder, found, tuple(counts["sources"]), tuple(counts["languages"]))


def take_along(base: Base, folder: Path) -> None:
    """Link the base's shards into a folder, or copy them where that cannot be."""
    for name in base.found.files if base.found else ():
        if SHARD.fullmatch(name):
            try:
                os.link(Path(base.folder).resolve() / name, folder / name)
            except OSError:  # another file system, or one without links
                shutil.copyfile(Path(base.folder) / name, folder / name)


def with_base(counts: dict[str, Any], base: Base) -> dict[str, Any]:
    """Counts of the new shards and the base's together, the base's sources first."""
    if not base.found:
        return counts
    old, total = base.found.counts, dict(counts)
    for split in ("train", "heldout"):
        total[split] = {unit: counts[split][unit] + old[split][unit] for unit in UNITS}
        total[f"{split}_shards"] = counts[f"{split}_shards"] + old[f"{split}_shards"]
    total["sources"] = [*base.sources, *counts["sources"]]
    if "corpus" not in counts and "corpus" in old:
        total["corpus"] = old["corpus"]
    if base.chat:
        total["chat"] = _added(base.chat, counts.get("chat"), base.folder)
    if "chat" in total:
        total["sources"] = [{"trained_tokens": each["train_tokens"]} | each for each in total["sources"]]
    return total


def _added(old: dict[str, Any], new: dict[str, Any] | None, folder: str) -> dict[str, Any]:
    """Counts of the conversations of both."""
    if new is None:
        return old
    for name in ("kind", "template_sha256"):
        if old[name] != new[name]:
            what = name.removesuffix("_sha256")
            raise UserError(
                f"base={folder} has conversations of another {what}; pack those anew, or leave base out"
            )
    refused = {
        reason: old["refused"].get(reason, 0) + new["refused"].get(reason, 0)
        for reason in sorted({*old["refused"], *new["refused"]})
    }
    return {name: old[name] + new[name] for name in ("conversations", "trained_tokens")} | {
        "kind": new["kind"],
        "template_sha256": new["template_sha256"],
        "refused": refused,
    }


def check_unchanged(base: Base, sealed: Manifest) -> None:
    """Raise UserError if a file that was taken along is not the one that the base's manifest lists."""
    for name, facts in base.found.files.items() if base.found else ():
        if SHARD.fullmatch(name) and sealed.files.get(name) != facts:
            raise UserError(
                f"{base.folder}/{name} does not match the hash in {manifest.FILE_NAME}; the file was "
                "changed or damaged"
            )
