"""Encode a corpus into token shards.

Text is only ever text: a document that contains "<|endoftext|>" is encoded letter by letter and cannot
forge a document border.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from onnuri import manifest
from onnuri.corpus.documents import read_documents
from onnuri.errors import UserError
from onnuri.manifest import Manifest
from onnuri.tokens.config import PackConfig

SPLITS = ("train", "heldout")


def pack(config: PackConfig) -> int:
    """Write the shards, or do nothing when they answer this request. Returns the exit status."""
    corpus = manifest.read(config.input, "corpus")
    tokenizer = manifest.read(config.tokenizer, "tokenizer")
    manifest.verify(config.tokenizer, tokenizer)
    settings = {"shard_tokens": config.shard_tokens}
    inputs = {"corpus": corpus.identity, "tokenizer": tokenizer.identity}
    if manifest.up_to_date(config.output, "tokens", settings, inputs):
        print(f"{config.output} is up to date")
        return 0
    with manifest.building(config.output, "tokens") as partial:
        counts = write_shards(config, corpus, partial)
        counts["tokenizer_sha256"] = tokenizer.files["tokenizer.json"]["sha256"]
        manifest.seal(partial, "tokens", settings, inputs, counts)
    train, heldout = counts["train"], counts["heldout"]
    print(
        f"{config.output}: {train['tokens']:,} training tokens in {counts['train_shards']} shard(s), "
        f"{heldout['tokens']:,} held out, {counts['dtype']}"
    )
    return 0


def write_shards(config: PackConfig, corpus: Manifest, folder: Path) -> dict[str, Any]:
    """Encode every document of both splits. Returns the counts of the manifest."""
    import numpy as np
    from tqdm import tqdm

    from onnuri.tokenizer.bpe import token_bytes
    from onnuri.tokenizer.build import load_tokenizer
    from onnuri.tokenizer.special import SEPARATOR
    from onnuri.tokens.shards import ShardWriter, token_dtype

    tokenizer: Any = load_tokenizer(config.tokenizer)
    vocab_size = tokenizer.get_vocab_size()
    separator = tokenizer.token_to_id(SEPARATOR)
    if separator is None:
        raise UserError(f"tokenizer {config.tokenizer} has no {SEPARATOR} token")
    dtype = token_dtype(vocab_size)
    sources = dict(sorted(corpus.counts["sources"].items()))
    source_index = {name: index for index, name in enumerate(sources)}
    languages: list[str] = []
    train_counts = np.zeros((len(sources), 3), dtype=np.int64)
    source_languages: list[set[str]] = [set() for _ in sources]
    counts: dict[str, Any] = {}
    total = sum(entry["documents"] + entry["heldout_documents"] for entry in sources.values())
    with tqdm(total=total, desc="encoding", unit="document", disable=None) as bar:
        for split in SPLITS:
            writer = ShardWriter(folder, split, dtype, config.shard_tokens)
            for batch in read_documents(config.input, split, ["id", "text", "source", "lang"]):
                rows = zip(tokenizer.encode_batch_fast(batch["text"]), *batch.values(), strict=True)
                for encoding, identity, text, source, language in rows:
                    if language not in languages:
                        languages.append(language)
                    index, size = source_index[source], len(text.encode())
                    tokens = np.array([*encoding.ids, separator], dtype=dtype)
                    writer.add(tokens, size, index, languages.index(language), identity)
                    if split == "train":
                        train_counts[index] += (1, len(tokens), size)
                        source_languages[index].add(language)
                bar.update(len(batch["text"]))
            writer.close()
            counts[split] = {
                "tokens": writer.num_tokens,
                "documents": writer.num_documents,
                "bytes": writer.num_bytes,
            }
            counts[f"{split}_shards"] = writer.num_shards
    if not counts["train_shards"]:
        raise UserError(f"{config.input} has no training documents")
    (folder / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(config.tokenizer) / name, folder / "tokenizer" / name)
    sizes = np.array([len(piece) for piece in token_bytes(tokenizer)], dtype=np.int32)
    np.save(folder / "token_bytes.npy", sizes)
    return counts | {
        "vocab_size": vocab_size,
        "dtype": dtype.name,
        "separator": separator,
        "languages": languages,
        "sources": [
            {
                "name": name,
                "license": entry["license"],
                "legal_basis": entry["legal_basis"],
                "unverified": entry["unverified"],
                "lang": ", ".join(sorted(source_languages[index])),
                "train_documents": int(train_counts[index, 0]),
                "train_tokens": int(train_counts[index, 1]),
                "train_bytes": int(train_counts[index, 2]),
            }
            for index, (name, entry) in enumerate(sources.items())
        ],
    }
