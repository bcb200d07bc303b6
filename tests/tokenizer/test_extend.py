"""Grown tokenizers: nothing old moves, Korean gets shorter, every reader takes the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.documents import read_documents, text_bytes
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.extend import ExtendConfig, cut_at_known
from onnuri.tokenizer.huggingface import byte_of_character, load_tokenizer, token_bytes
from onnuri.tokens.shards import TokenShards
from tests.conftest import run_command
from tests.soak import tries
from tests.tokenizer.growing import (
    NEW_TOKENS,
    Sample,
    error,
    extend,
    load,
    new_tokens,
    open_tokenizer,
    texts_of,
)
from tests.tokenizer.texts import MIXED

KINDS = ("plain", "ignore_merges", "ours")


@pytest.fixture(scope="module")
def old(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tokenizers to grow: two trained on English only, and one made by this project."""
    root = tmp_path_factory.mktemp("old")
    english = texts_of(sample("corpus"), "train", "en")
    for name in KINDS[:-1]:
        open_tokenizer(english, root / name, ignore_merges=name == "ignore_merges")
    return {name: root / name for name in KINDS[:-1]} | {"ours": Path(sample("tokenizer"))}


@pytest.fixture(scope="module")
def grown(
    sample: Sample, old: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("grown")
    for name in KINDS:
        extend(sample, old[name], root / name, "workers=1")
    return {name: root / name for name in KINDS}


@pytest.fixture(scope="module")
def pairs(old: dict[str, Path], grown: dict[str, Path]) -> dict[str, tuple[Tokenizer, Tokenizer]]:
    return {
        name: (load(old[name] / "tokenizer.json"), load(grown[name] / "tokenizer.json")) for name in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_old_tokens_stay_and_new_ones_follow(
    grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str
) -> None:
    before, after = pairs[kind]
    old_ids, new_ids = before.get_vocab(), after.get_vocab()
    assert {name: new_ids[name] for name in old_ids} == old_ids
    added = sorted(number for name, number in new_ids.items() if name not in old_ids)
    assert added == list(range(len(old_ids), len(old_ids) + NEW_TOKENS))
    pieces = new_tokens(grown[kind])
    assert sorted(pieces) == added
    spelled = token_bytes(after)
    for number, ids in pieces.items():
        assert max(ids) < len(old_ids)
        assert b"".join(spelled[i] for i in ids) == spelled[number]
    sealed = manifest.read(grown[kind], "tokenizer")
    assert sealed.counts["new_tokens"] == NEW_TOKENS
    assert sealed.counts["vocab_size"] == len(new_ids)
    content = json.loads((grown[kind] / "tokenizer.json").read_text())
    merges = content["model"]["merges"]
    assert len({str(pair) for pair in merges}) == len(merges)
    assert {type(pair) for pair in merges} == ({str} if kind == "plain" else {list})


def replaced(ids: list[int], pieces: dict[int, list[int]]) -> list[int]:
    """New ids as the old ones that they stand for."""
    return [old for number in ids for old in pieces.get(number, [number])]


@pytest.mark.parametrize("kind", KINDS)
def test_korean_is_shorter_and_made_of_the_old_ids(
    sample: Sample, grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str
) -> None:
    before, after = pairs[kind]
    pieces = new_tokens(grown[kind])
    for split in ("train", "heldout"):
        short, long = 0, 0
        for text in texts_of(sample("corpus"), split, "ko"):
            ids, old_ids = after.encode(text).ids, before.encode(text).ids
            assert replaced(ids, pieces) == old_ids
            short, long = short + len(ids), long + len(old_ids)
        assert short < 0.8 * long


@pytest.mark.parametrize("kind", KINDS)
def test_most_english_keeps_its_ids(
    sample: Sample, grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str
) -> None:
    before, after = pairs[kind]
    pieces = new_tokens(grown[kind])
    new, total = 0, 0
    for text in texts_of(sample("corpus"), "train", "en"):
        ids = after.encode(text).ids
        assert replaced(ids, pieces) == before.encode(text).ids
        new, total = new + sum(number in pieces for number in ids), total + len(ids)
    assert new < 0.1 * total


@pytest.mark.parametrize("kind", KINDS)
def test_every_new_token_is_reached(
    grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str
) -> None:
    before, after = pairs[kind]
    whole = 0
    for number, ids in new_tokens(grown[kind]).items():
        text = after.decode([number])
        if "\ufffd" not in text:
            whole += 1
            assert after.encode(text).ids == [number]
            assert before.encode(text).ids == ids
    assert whole > 0.9 * NEW_TOKENS


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=tries(40, 1200), deadline=None)
@example(text="감사합니다<think>감사<|end|>감사원 개발 연구개발")
@given(text=MIXED)
def test_every_string_comes_back(
    grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str, text: str
) -> None:
    before, after = pairs[kind]
    ids = after.encode(text).ids
    assert after.decode(ids, skip_special_tokens=False) == text
    assert replaced(ids, new_tokens(grown[kind])) == before.encode(text).ids


@settings(max_examples=tries(40, 1200), deadline=None)
@given(text=MIXED)
def test_ours_still_runs_in_compiled_code(grown: dict[str, Path], text: str) -> None:
    file = TokenizerFile(grown["ours"])
    assert file.compiled
    ids, _ = file.encoder().encode(*text_bytes(pa.array([text], pa.large_string())))
    assert ids.tolist() == file.tokenizer.encode(text).ids


@pytest.mark.parametrize("kind", KINDS)
def test_auto_tokenizer(old: dict[str, Path], grown: dict[str, Path], kind: str) -> None:
    before, after = (AutoTokenizer.from_pretrained(folders[kind]) for folders in (old, grown))
    text = "연구개발비는 <think>2024년부터\n\n  Python<|end|>으로 감사"
    assert after(text).input_ids == load(grown[kind] / "tokenizer.json").encode(text).ids
    assert len(after(text).input_ids) < len(before(text).input_ids)
    assert after.eos_token_id == before.eos_token_id
    assert after.get_added_vocab() == before.get_added_vocab()
    assert after.decode(after(text).input_ids) == text
    message = [{"role": "user", "content": "안녕하세요"}]
    chats = [tokenizer.apply_chat_template(message, tokenize=False) for tokenizer in (before, after)]
    assert chats[0] == chats[1]
    assert not (grown[kind] / "merges.txt").exists()


def test_a_grown_tokenizer_packs_with_its_own_separator(
    sample: Sample, grown: dict[str, Path], tmp_path: Path
) -> None:
    words = [f"input={sample('corpus')}", f"tokenizer={grown['plain']}", f"output={tmp_path / 'tokens'}"]
    run_command("pack", *words)
    tokenizer, counts = load_tokenizer(grown["plain"]), manifest.read(tmp_path / "tokens", "tokens").counts
    assert counts["separator"] == tokenizer.token_to_id("<|end|>")
    shards = TokenShards.open(tmp_path / "tokens", "heldout")
    rows = {row["id"].decode(): row for row in shards.documents()}
    for batch in read_documents(sample("corpus"), "heldout", ["id", "text"]):
        for identity, text in zip(batch["id"], batch["text"], strict=True):
            row = rows.pop(identity)
            found = shards.read(int(row["offset"]), int(row["length"])).tolist()
            assert found == [*tokenizer.encode(text, add_special_tokens=False).ids, counts["separator"]]
    assert not rows


def test_same_file_for_any_workers_and_up_to_date(
    sample: Sample, old: dict[str, Path], grown: dict[str, Path], tmp_path: Path
) -> None:
    extend(sample, old["plain"], tmp_path / "three", "workers=3")
    assert sealed_files(tmp_path / "three") == sealed_files(grown["plain"])
    words = [f"input={sample('corpus')}", f"tokenizer={old['plain']}", f"output={tmp_path / 'three'}"]
    again = run_command("tokenizer", "extend", *words, f"new_tokens={NEW_TOKENS}")
    assert "up to date" in again.stdout


def sealed_files(folder: Path) -> dict[str, Any]:
    return manifest.read(folder, "tokenizer").files


def test_pieces_are_cut_where_old_tokens_are_spelled() -> None:
    tokens = [b"a", b"b", b"c", b"bc", b"abc"]
    ids, offsets = np.array([0, 1, 2, 0, 0, 3, 0], dtype=np.int32), np.array([0, 4, 7])
    _, cut, counts = cut_at_known((ids, offsets, np.array([5, 7])), tokens, set(tokens), 32)
    assert cut.tolist() == [0, 2, 4, 5, 7]
    assert counts.tolist() == [5, 5, 7, 7]
    _, cut, _ = cut_at_known((ids, offsets, np.array([5, 7])), tokens, set(tokens), 2)
    assert cut.tolist() == [0, 2, 4, 7]


def test_a_tokenizer_that_is_not_byte_level(sample: Sample, tmp_path: Path) -> None:
    characters = models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    marked = models.BPE(
        {name: i for i, name in enumerate(byte_of_character())}, [], end_of_word_suffix="</w>"
    )
    kinds = {
        "a Unigram model": Tokenizer(models.Unigram([("a", -1.0)], 0)),
        "a WordPiece model": Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1})),
        "BPE over characters": Tokenizer(characters),
        "BPE with marks": Tokenizer(marked),
    }
    for expected, tokenizer in kinds.items():
        tokenizer.normalizer = normalizers.NFC()
        (tmp_path / "other").mkdir(exist_ok=True)
        tokenizer.save(str(tmp_path / "other" / "tokenizer.json"))
        assert expected in error(sample, tmp_path / "other", tmp_path)


def test_mistakes(sample: Sample, old: dict[str, Path], tmp_path: Path) -> None:
    assert "does not exist" in error(sample, tmp_path / "none", tmp_path)
    assert "does not exist" in error(sample, old["plain"], tmp_path, f"input={tmp_path / 'none'}")
    assert "is a tokenizer folder" in error(sample, old["plain"], tmp_path, f"input={sample('tokenizer')}")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "tokenizer.json").write_text('{"model": ')
    assert "cannot be read" in error(sample, tmp_path / "damaged", tmp_path)
    shutil.copyfile(old["plain"] / "tokenizer.json", tmp_path / "damaged" / "tokenizer.json")
    (tmp_path / "damaged" / "tokenizer_config.json").write_text("[")
    assert "tokenizer_config.json cannot be read" in error(sample, tmp_path / "damaged", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    assert "choose another output" in error(sample, old["plain"], tmp_path)
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"
    shutil.rmtree(tmp_path / "out")
    words = ["language_shares={ko:0,en:0}"]
    assert "leave nothing to train on" in error(sample, old["plain"], tmp_path, *words)
    assert "nothing to add" in error(sample, old["plain"], tmp_path, "min_frequency=1000000")
    assert "overlaps tokenizer=" in error(sample, old["plain"], tmp_path, f"output={old['plain'] / 'new'}")
    assert "overlaps tokenizer=" in error(sample, old["plain"], tmp_path, f"output={old['plain'].parent}")
    for option in ("new_tokens=0", "min_frequency=0", "max_token_bytes=3", "workers=-1", "source_power=2"):
        name, value = option.split("=")
        with pytest.raises(UserError, match=name):
            ExtendConfig(**{name: int(value)})


def test_a_corpus_without_text(sample: Sample, old: dict[str, Path], tmp_path: Path) -> None:
    facts = manifest.read(sample("corpus"), "corpus")
    with manifest.building(tmp_path / "corpus", "corpus") as partial:
        (partial / "documents").mkdir()
        manifest.seal(partial, "corpus", facts.settings, facts.inputs, facts.counts)
    words = [f"input={tmp_path / 'corpus'}"]
    assert "no training text" in error(sample, old["plain"], tmp_path, *words)
