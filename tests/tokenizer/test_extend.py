"""Grown tokenizers and models: nothing old moves, Korean gets shorter, every reader takes the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import example, given, settings
from safetensors.torch import load_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri import manifest
from onnuri.corpus.documents import read_documents, text_bytes
from onnuri.errors import UserError
from onnuri.export.grow_embeddings import check_model, grow_rows
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.extend import ExtendConfig, cut_at_known
from onnuri.tokenizer.huggingface import byte_of_character, token_bytes
from tests.conftest import run_door, save_model, untrained_model
from tests.tokenizer.texts import MIXED

Sample = Callable[[str], str]
NEW_TOKENS = 1500
KINDS = ("plain", "ignore_merges", "ours")
GPT_4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UNREACHED = "ê°ľë°ľ"
"""개발 in the letters of byte-level vocabularies: a token that merges do not reach, as Llama 3 has some."""
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<|end|>",
    "chat_template": "{{ messages[0].content }}<|end|>",
}


def texts_of(corpus: str, split: str, language: str) -> list[str]:
    rows = [
        pair
        for batch in read_documents(corpus, split, ["text", "lang"])
        for pair in zip(batch["text"], batch["lang"], strict=True)
    ]
    return [text for text, name in rows if name == language]


def open_tokenizer(texts: list[str], folder: Path, ignore_merges: bool) -> None:
    """What an open model comes with: its added tokens stand behind the vocabulary, not in it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    split = pre_tokenizers.Split(Regex(GPT_4), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if ignore_merges:
        content = json.loads(tokenizer.to_str())
        content["model"]["vocab"][UNREACHED] = 800
        tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(["<|end|>", "IS"])  # the second stands in words of the sample, too
    tokenizer.add_tokens(["<think>", "감사"])
    folder.mkdir()
    content = json.loads(tokenizer.to_str())
    if not ignore_merges:  # as older files have it
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    (folder / "merges.txt").write_text("outdated")


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


def extend(sample: Sample, tokenizer: Path, output: Path, *words: str) -> None:
    inputs = [f"input={sample('corpus')}", f"tokenizer={tokenizer}", f"output={output}"]
    run_door("tokenizer", "extend", *inputs, f"new_tokens={NEW_TOKENS}", *words)


@pytest.fixture(scope="module")
def pairs(old: dict[str, Path], grown: dict[str, Path]) -> dict[str, tuple[Tokenizer, Tokenizer]]:
    return {
        name: (load(old[name] / "tokenizer.json"), load(grown[name] / "tokenizer.json")) for name in KINDS
    }


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def new_tokens(folder: Path) -> dict[int, list[int]]:
    content = json.loads((folder / "new_tokens.json").read_text())
    return {int(number): ids for number, ids in content.items()}


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
@settings(max_examples=300, deadline=None)
@example(text="감사합니다<think>감사<|end|>감사원 개발 연구개발")
@given(text=MIXED)
def test_every_string_comes_back(
    grown: dict[str, Path], pairs: dict[str, tuple[Tokenizer, Tokenizer]], kind: str, text: str
) -> None:
    before, after = pairs[kind]
    ids = after.encode(text).ids
    assert after.decode(ids, skip_special_tokens=False) == text
    assert replaced(ids, new_tokens(grown[kind])) == before.encode(text).ids


@settings(max_examples=300, deadline=None)
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


def test_same_file_for_any_workers_and_up_to_date(
    sample: Sample, old: dict[str, Path], grown: dict[str, Path], tmp_path: Path
) -> None:
    extend(sample, old["plain"], tmp_path / "three", "workers=3")
    assert sealed_files(tmp_path / "three") == sealed_files(grown["plain"])
    words = [f"input={sample('corpus')}", f"tokenizer={old['plain']}", f"output={tmp_path / 'three'}"]
    again = run_door("tokenizer", "extend", *words, f"new_tokens={NEW_TOKENS}")
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


@pytest.mark.parametrize(
    ("tied", "padding", "max_shard_size", "dtype"),
    [
        (True, 0, "1GB", torch.float32),
        (False, 100, "40KB", torch.bfloat16),
        (False, 0, "1GB", torch.float32),
        (True, NEW_TOKENS + 9, "40KB", torch.float32),
    ],
)
def test_grown_model(
    sample: Sample,
    old: dict[str, Path],
    tmp_path: Path,
    *,
    tied: bool,
    padding: int,
    max_shard_size: str,
    dtype: torch.dtype,
) -> None:
    num_old = load(old["plain"] / "tokenizer.json").get_vocab_size()
    folder = tmp_path / "model"
    model = untrained_model(num_old + padding, 64, tied).to(dtype)
    save_model(model, str(old["plain"]), folder)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    if max_shard_size == "40KB":
        (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "LICENSE").write_text("free")
    extend(sample, folder, tmp_path / "out", f"model={folder}")
    result = tmp_path / "out" / "model"

    rows = max(num_old + padding, num_old + NEW_TOKENS)
    assert json.loads((result / "config.json").read_text())["vocab_size"] == rows
    before, after = tensors(folder), tensors(result)
    assert before.keys() == after.keys()
    pieces = new_tokens(tmp_path / "out")
    large = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    for name, value in before.items():
        if name not in large:
            assert torch.equal(after[name], value)
            continue
        assert after[name].shape == (rows, 32)
        assert after[name].dtype == dtype
        assert torch.equal(after[name][:num_old], value[:num_old])
        assert torch.equal(after[name][num_old + NEW_TOKENS :], value[num_old + NEW_TOKENS :])
        for number, ids in pieces.items():
            assert torch.equal(after[name][number], value[ids].float().mean(0).to(dtype))
    if (folder / "model.safetensors.index.json").is_file():
        indices = [json.loads((f / "model.safetensors.index.json").read_text()) for f in (folder, result)]
        assert indices[0]["weight_map"] == indices[1]["weight_map"]
        assert len(set(indices[1]["weight_map"].values())) > 1
        assert indices[1]["metadata"]["total_size"] == sum(value.nbytes for value in after.values())
    assert (result / "LICENSE").read_text() == "free"

    model, loaded = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval() for path in (folder, result)
    )
    tokenizer = AutoTokenizer.from_pretrained(result)
    ids = tokenizer("the of and", return_tensors="pt").input_ids
    assert ids.max() < num_old
    with torch.no_grad():
        expected, got = model(ids).logits, loaded(ids).logits
    assert got.shape[-1] == rows
    torch.testing.assert_close(got[..., :num_old], expected[..., :num_old])
    korean = tokenizer("연구개발비는", return_tensors="pt").input_ids
    assert korean.max() >= num_old
    assert loaded(korean).logits.isfinite().all()


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: value
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def test_rows_of_a_bias_and_of_a_padded_matrix() -> None:
    assert grow_rows(torch.tensor([1.0, 3.0]), [[0, 1]], 2).tolist() == [1, 3, 2]
    padded = torch.tensor([[1.0], [3.0], [7.0], [9.0]])
    assert grow_rows(padded, [[0, 1]], 2).tolist() == [[1], [3], [2], [9]]


def test_vocabulary_size_of_a_language_model_within_another(old: dict[str, Path], tmp_path: Path) -> None:
    num_old = load(old["plain"] / "tokenizer.json").get_vocab_size()
    save_model(untrained_model(num_old, 64), str(old["plain"]), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"text_config": content}))
    check_model(tmp_path / "model", num_old)
    content["tie_word_embeddings"] = False
    path.write_text(json.dumps({"text_config": content}))
    with pytest.raises(UserError, match="no output head"):
        check_model(tmp_path / "model", num_old)


def error(sample: Sample, tokenizer: Path, tmp_path: Path, *words: str) -> str:
    inputs = [f"input={sample('corpus')}", f"tokenizer={tokenizer}", f"output={tmp_path / 'out'}"]
    result = run_door("tokenizer", "extend", *inputs, "new_tokens=10", *words, check=False)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()
    return result.stderr


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
    assert "holds a tokenizer" in error(sample, old["plain"], tmp_path, f"input={sample('tokenizer')}")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "tokenizer.json").write_text('{"model": ')
    assert "cannot be read" in error(sample, tmp_path / "damaged", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    assert "choose another output" in error(sample, old["plain"], tmp_path)
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"
    shutil.rmtree(tmp_path / "out")
    words = ["language_shares={ko:0,en:0}"]
    assert "leave nothing to train on" in error(sample, old["plain"], tmp_path, *words)
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


def test_a_model_that_does_not_fit(sample: Sample, old: dict[str, Path], tmp_path: Path) -> None:
    num_old = load(old["plain"] / "tokenizer.json").get_vocab_size()
    folder = tmp_path / "model"
    words = [f"model={folder}"]
    assert "does not exist" in error(sample, old["plain"], tmp_path, *words)
    folder.mkdir()
    assert "no config.json" in error(sample, old["plain"], tmp_path, *words)
    save_model(untrained_model(num_old - 1, 64), str(old["plain"]), folder)
    assert "belongs to the model" in error(sample, old["plain"], tmp_path, *words)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"vocab_size": num_old}))
    with pytest.raises(UserError, match="gives a vocab_size of"):
        check_model(folder, num_old)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:100])
    assert "cannot be read" in error(sample, old["plain"], tmp_path, *words)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    assert "save it as safetensors" in error(sample, old["plain"], tmp_path, *words)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}')
    with pytest.raises(UserError, match="its own folder"):
        check_model(folder, num_old)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        check_model(folder, num_old)
