"""Encode a corpus into token shards, on all cores.

Text is only ever text: a document that contains "<|endoftext|>" is encoded letter by letter and cannot
forge a document boundary. Worker threads encode parts of the corpus in compiled code; they are written in
the order of the corpus, so the shards do not depend on how many workers there are.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.base.ordered_map import ordered_map
from onnuri.corpus.documents import Part, corpus_parts, read_part, text_bytes
from onnuri.tokens.base_shards import Base, check_unchanged, open_base, take_along, with_base
from onnuri.tokens.config import PackConfig
from onnuri.tokens.shards import DOCUMENT, SplitWriter
from onnuri.tokens.vocabulary import Vocabulary, open_vocabulary

log = logging.getLogger(__name__)

SPLITS = ("train", "heldout")
COLUMNS = ("id", "text", "source", "lang")


PROVENANCE = ("kind", "collected_at", "url", "dataset", "opt_out", "opted_out", "domains", "num_domains")
"""What a corpus says of a source and its shards repeat for the model card; older corpora have none."""


class Encoded(NamedTuple):
    """A batch of documents in tokens."""

    tokens: np.ndarray
    """[tokens] of the stored dtype, a separator after each document."""
    documents: np.ndarray
    """DOCUMENT rows, offsets counting from the first of `tokens`; source and lang index the two lists."""
    sources: list[str]
    languages: list[str]


def pack(config: PackConfig) -> Manifest:
    """Write the shards of a corpus, or do nothing when they answer this request. Returns their manifest.

    `kind` must be text; `onnuri.chat.data.pack` packs conversations.
    """
    if config.kind != "text":
        raise UserError(f"kind={config.kind} is packed by onnuri.chat.data.pack, not by onnuri.tokens.pack")
    corpus = manifest.read_whole(config.input, "corpus")
    tokenizer = manifest.read(config.tokenizer, "tokenizer")
    manifest.verify(config.tokenizer, tokenizer)
    vocabulary = open_vocabulary(config.tokenizer, tokenizer)
    base = open_base(config.base, vocabulary)
    settings = {"shard_tokens": config.shard_tokens}
    inputs = {"corpus": corpus.identity, "tokenizer": tokenizer.identity, **base.inputs}
    if found := manifest.up_to_date(config.output, "tokens", settings, inputs):
        log.info("%s is up to date", config.output)
        return found
    with manifest.building(config.output, "tokens") as partial:
        counts = write_shards(config, corpus, vocabulary, base, partial)
        counts["corpus"] = corpus_facts(corpus)
        counts["tokenizer_sha256"] = vocabulary.sha256
        sealed = manifest.seal(partial, "tokens", settings, inputs, with_base(counts, base))
        check_unchanged(base, sealed)
    train, heldout = counts["train"], counts["heldout"]
    log.info(
        f"{config.output}: {train['tokens']:,} training tokens in {counts['train_shards']} shard(s), "
        f"{heldout['tokens']:,} held out, {counts['dtype']}"
    )
    return sealed


def corpus_facts(corpus: Manifest) -> dict[str, Any]:
    """For the model card: the stages that text went through with their options, and what they did."""
    counted = ("read", "kept", "rejected", "reasons", "personal_data", "contamination")
    return {
        "identity": corpus.identity,
        "stages": corpus.settings.get("recipe", {}).get("stages", []),
        **{name: corpus.counts[name] for name in counted if name in corpus.counts},
    }


def write_shards(
    config: PackConfig, corpus: Manifest, vocabulary: Vocabulary, base: Base, folder: Path
) -> dict[str, Any]:
    """Encode every document of both splits. Returns the counts of the manifest, without the base's."""
    from tqdm import tqdm

    from onnuri.tokenizer.counting import usable_cores

    file, separator, dtype = vocabulary.file, vocabulary.separator, vocabulary.dtype
    sources = dict(sorted(corpus.counts["sources"].items()))
    base.check_names(sources, "rename it in the recipe")
    source_index = {name: index for index, name in enumerate(sources, len(base.sources))}
    language_index = {name: index for index, name in enumerate(base.languages)}
    splits: dict[str, SplitWriter] = {}
    total = sum(entry["documents"] + entry["heldout_documents"] for entry in sources.values())
    take_along(base, folder)

    own = threading.local()

    def encode(part: Part) -> list[Encoded]:
        if not hasattr(own, "encoder"):
            own.encoder = file.encoder()
        return [_encode(own.encoder, batch, separator, dtype) for batch in read_part(part, COLUMNS)]

    with tqdm(total=total, desc="encoding", unit="document", disable=None) as bar:
        for split in SPLITS:
            writer = splits[split] = SplitWriter(folder, split, dtype, config.shard_tokens)
            parts = corpus_parts(config.input, split)
            for batches in ordered_map(encode, parts, config.workers or usable_cores()):
                for tokens, rows, batch_sources, batch_languages in batches:
                    if unknown := sorted(set(batch_sources) - sources.keys()):
                        raise UserError(
                            f"{config.input} has documents of '{unknown[0]}', which its manifest does not "
                            "know; make the folder again"
                        )
                    for language in batch_languages:
                        language_index.setdefault(language, len(language_index))
                    rows["source"] = np.array([source_index[s] for s in batch_sources])[rows["source"]]
                    rows["lang"] = np.array([language_index[name] for name in batch_languages])[
                        rows["lang"]
                    ]
                    writer.add(tokens, rows)
                    bar.update(len(rows))
            writer.close()
    train = splits["train"]
    if not train.num_shards:
        raise UserError(f"{config.input} has no training documents")
    vocabulary.keep(folder)
    languages = list(language_index)
    return {
        **{name: writer.totals() for name, writer in splits.items()},
        **{f"{name}_shards": writer.num_shards for name, writer in splits.items()},
        **vocabulary.facts(),
        "languages": languages,
        "sources": [
            {
                "name": name,
                "license": entry["license"],
                "legal_basis": entry["legal_basis"],
                "unverified": entry["unverified"],
                **{key: entry[key] for key in PROVENANCE if key in entry},
                "lang": ", ".join(sorted(languages[index] for index in train.languages(number))),
                **{f"train_{unit}": value for unit, value in train.totals(number).items()},
            }
            for number, (name, entry) in enumerate(sources.items(), len(base.sources))
        ],
    }


def _encode(encoder: Any, batch: Any, separator: int, dtype: np.dtype) -> Encoded:
    text, offsets = text_bytes(batch["text"])
    ids, ends = encoder.encode(text, offsets, separator)
    rows = np.empty(batch.num_rows, dtype=DOCUMENT)
    rows["length"] = np.diff(ends, prepend=0)
    rows["offset"] = ends - rows["length"]
    rows["bytes"] = np.diff(offsets)
    rows["id"] = np.array(batch["id"].to_pylist(), dtype="S32")
    names = []
    for field, column in (("source", batch["source"]), ("lang", batch["lang"])):
        encoded = column.dictionary_encode()
        rows[field] = encoded.indices.to_pylist()
        names.append(encoded.dictionary.to_pylist())
    return Encoded(ids.astype(dtype), rows, *names)
