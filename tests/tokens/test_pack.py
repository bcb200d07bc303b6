"""Packing through its command: every document, its boundary, its source; damaged input is refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.documents import read_documents
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokens.config import PackConfig
from onnuri.tokens.shards import DOCUMENT, ShardWriter, TokenShards
from tests.conftest import run_command

Sample = Callable[[str], str]


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_documents_come_back_from_the_shards(sample: Sample, split: str) -> None:
    tokenizer = load_tokenizer(sample("tokenizer"))
    shards = TokenShards.open(sample("tokens"), split)
    counts = manifest.read(sample("tokens"), "tokens").counts
    texts = [
        row
        for batch in read_documents(sample("corpus"), split, ["id", "text", "source", "lang"])
        for row in zip(*batch.values(), strict=True)
    ]
    assert len(shards.documents()) == len(texts) == counts[split]["documents"]
    texts.sort(key=lambda row: row[2])  # a source has shards of its own
    for row, (identity, text, source, lang) in zip(shards.documents(), texts, strict=True):
        tokens = shards.read(int(row["offset"]), int(row["length"]))
        assert tokens[-1] == counts["separator"]
        assert counts["separator"] not in tokens[:-1]
        assert tokenizer.decode(tokens[:-1].tolist()) == text
        assert row["bytes"] == len(text.encode())
        assert row["id"].decode() == identity
        assert counts["sources"][row["source"]]["name"] == source
        assert counts["languages"][row["lang"]] == lang


def test_counts_by_source_add_up(sample: Sample) -> None:
    counts = manifest.read(sample("tokens"), "tokens").counts
    for unit in ("documents", "tokens", "bytes"):
        assert sum(s[f"train_{unit}"] for s in counts["sources"]) == counts["train"][unit]
    assert all(source["license"] for source in counts["sources"])


def test_many_small_shards_hold_the_same_stream(sample: Sample, tmp_path: Path) -> None:
    run_command(
        "pack",
        f"input={sample('corpus')}",
        f"tokenizer={sample('tokenizer')}",
        f"output={tmp_path / 'small'}",
        "shard_tokens=50000",
    )
    small, whole = (
        TokenShards.open(tmp_path / "small", "train"),
        TokenShards.open(sample("tokens"), "train"),
    )
    assert len(small.shards) > 10
    assert np.array_equal(small.read(0, small.num_tokens), whole.read(0, whole.num_tokens))
    assert np.array_equal(small.documents(), whole.documents())


def test_separator_in_text_is_no_border(sample: Sample, tmp_path: Path) -> None:
    lines = [{"text": f"문서 {n} <|endoftext|> 아직 같은 문서 <|im_start|>"} for n in range(40)]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    run_command("corpus", "recipe=local", f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'corpus'}")
    words = [f"input={tmp_path / 'corpus'}", f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 't'}"]
    run_command("pack", *words)
    shards = TokenShards.open(tmp_path / "t", "train")
    tokens = shards.read(0, shards.num_tokens)
    assert (tokens == 0).sum() == len(shards.documents())
    assert "up to date" in run_command("pack", *words).stdout


def test_damaged_or_missing_input_is_one_line(sample: Sample, tmp_path: Path) -> None:
    broken = tmp_path / "tokenizer"
    shutil.copytree(sample("tokenizer"), broken)
    with (broken / "tokenizer.json").open("a") as stream:
        stream.write(" ")
    lacking = tmp_path / "lacking"
    shutil.copytree(sample("corpus"), lacking)
    (lacking / "documents" / "train-00001.parquet").unlink()
    edited = tmp_path / "edited"
    shutil.copytree(sample("corpus"), edited)
    content = json.loads((edited / "manifest.json").read_text())
    del content["counts"]["sources"]["python-docstrings"]
    (edited / "manifest.json").write_text(json.dumps(content))
    output = f"output={tmp_path / 'out'}"
    cases = {
        (f"input={edited}", f"tokenizer={sample('tokenizer')}"): "documents of 'python-docstrings', which",
        (f"input={sample('corpus')}", f"tokenizer={broken}"): "the manifest says",
        ("input=/no/such", f"tokenizer={sample('tokenizer')}"): "does not exist",
        (f"input={sample('tokenizer')}", f"tokenizer={sample('tokenizer')}"): "is a tokenizer folder",
        (f"input={lacking}", f"tokenizer={sample('tokenizer')}"): "train-00001.parquet is missing",
    }
    for words, message in cases.items():
        result = run_command("pack", *words, output, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(UserError, match="at least 1024"):
        PackConfig(input="x", tokenizer="y", output="z", shard_tokens=1)


def test_text_that_is_not_utf_8_is_named(sample: Sample, tmp_path: Path) -> None:
    """Parquet promises UTF-8 and checks nothing; compiled code relies on it."""
    corpus = tmp_path / "corpus"
    shutil.copytree(sample("corpus"), corpus)
    victim = max((corpus / "documents").glob("train-*.parquet"), key=lambda path: path.stat().st_size)
    table = pq.read_table(victim)
    texts = table["text"].to_pylist()
    raw = pa.array([text.encode() for text in texts[:-1]] + [b"\xea\xb0 \xf7"], pa.binary())
    broken = pa.chunked_array([raw.view(pa.string())]).cast(table.schema.field("text").type)
    pq.write_table(table.set_column(table.schema.get_field_index("text"), "text", broken), victim)
    facts = manifest.read(corpus, "corpus")
    manifest.seal(corpus, "corpus", facts.settings, facts.inputs, facts.counts)
    words = [f"input={corpus}", f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 'out'}"]
    result = run_command("pack", *words, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"error: {victim} is damaged: " in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_with_holes_in_its_ids(sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(sample("tokenizer"), folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["\u0120\u0120\u0120"] = 70_000
    (folder / "tokenizer.json").write_text(json.dumps(content))
    facts = manifest.read(folder, "tokenizer")
    manifest.seal(folder, "tokenizer", facts.settings, facts.inputs, facts.counts)
    words = [f"input={sample('corpus')}", f"tokenizer={folder}", f"output={tmp_path / 'out'}"]
    run_command("pack", *words)
    counts = manifest.read(tmp_path / "out", "tokens").counts
    assert counts["vocab_size"] == 70_001
    assert counts["dtype"] == "uint32"
    assert len(np.load(tmp_path / "out" / "token_bytes.npy")) == 70_001


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("onnuri.tokens.shards.SYNC_BYTES", 100)
    monkeypatch.setattr(os, "fdatasync", fail)
    writer = ShardWriter(tmp_path, "train", np.dtype("<u2"), 1 << 20)
    rows = np.zeros(1, dtype=DOCUMENT)
    rows["length"] = 500
    writer.add(np.zeros(500, dtype=np.uint16), rows)
    with pytest.raises(OSError, match="Input/output error"):
        writer.close()
