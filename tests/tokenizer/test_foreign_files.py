"""A tokenizer.json from elsewhere: compiled code runs it only where it gives the ids of HF tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.corpus.documents import text_bytes
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.huggingface import byte_of_character, load_tokenizer
from onnuri.tokenizer.presplit import PHRASES, WORDS
from tests.soak import tries

CHARACTERS = {byte: character for character, byte in byte_of_character().items()}
LETTERS = [CHARACTERS[byte] for byte in sorted(set("ab 1\n<|>가각".encode()))]
TEXTS = st.lists(
    st.one_of(st.text("ab 1\n<|>가각x"), st.sampled_from(["<|a|>", "<|ab|>", "x<|", "<|a", "<0x41>"]))
).map("".join)
MERGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=25)


def token(name: str, number: int, special: bool, **options: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
    return {"id": number, "content": name, "special": special, **flags, **options}


ADDED = st.lists(
    st.builds(
        token,
        st.sampled_from(["<|a|>", "<|ab|>", "<|a", "x<|", "<b>", "<|a\nb|>", "<|a\0b|>", "ab"]),
        st.integers(0, 3),
        st.booleans(),
        lstrip=st.sampled_from([False, False, False, True]),
        normalized=st.sampled_from([False, False, False, True]),
    ),
    max_size=3,
    unique_by=lambda entry: entry["content"],
)


def write(
    folder: Path, model: dict[str, Any], pattern: str, added: list[dict[str, Any]], **more: Any
) -> None:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    bpe = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": bpe if model["type"] == "BPE" else split,
        "post_processor": None,
        "decoder": None,
        "model": model,
        **more,
    }
    (folder / "tokenizer.json").write_text(json.dumps(content))


def bpe_model(merges: list[tuple[int, int]], added: list[dict[str, Any]]) -> dict[str, Any]:
    """All bytes, then what random merges of the letters at hand join; equal pairs may come twice."""
    vocab = {CHARACTERS[byte]: byte for byte in range(256)}
    names, pairs = list(LETTERS), []
    for left, right in merges:
        pair = (names[left % len(names)], names[right % len(names)])
        pairs.append(pair)
        if "".join(pair) not in vocab:
            vocab["".join(pair)] = len(vocab)
            names.append("".join(pair))
    for entry in added:  # some as the vocabulary has them, some not
        if entry["id"]:
            entry["id"] = vocab.setdefault(entry["content"], len(vocab)) + (entry["id"] == 3)
        else:
            entry["id"] = len(vocab) + 7
    return {"type": "BPE", "vocab": vocab, "merges": pairs}


def same_ids(folder: Path, texts: list[str]) -> bool:
    """Compare where compiled code is taken. Returns whether it was."""
    try:
        file = TokenizerFile(folder)
        tokenizer = file.tokenizer
    except UserError:
        return False  # HF tokenizers refuses the file
    if not file.compiled:
        return False
    text, offsets = text_bytes(pa.array(texts, pa.large_string()))
    ids, ends = file.encoder().encode(text, offsets)
    found = [part.tolist() for part in np.split(ids, ends[:-1])]
    assert found == [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return True


@settings(max_examples=tries(100, 1600), deadline=None)
@given(merges=MERGES, added=ADDED, phrases=st.booleans(), texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_random_byte_level_files(
    tmp_path_factory: pytest.TempPathFactory,
    merges: list[tuple[int, int]],
    added: list[dict[str, Any]],
    phrases: bool,
    texts: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("bpe")
    write(folder, bpe_model(merges, added), PHRASES if phrases else WORDS, added)
    compiled = same_ids(folder, texts)
    assert compiled or added, "a plain file is compiled"


@settings(max_examples=tries(75, 1200), deadline=None)
@given(
    pieces=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["a", "가", "ab", "<0x41>", "<|a|>"]), st.text("ab 가각<|>", min_size=1)
            ),
            st.sampled_from([-1.5, -3.25, -90.0, -300.0, -1500.0]),
        ),
        max_size=15,
    ),
    ascii_too=st.booleans(),
    byte_score=st.sampled_from([-1000.0, -1000.0, -5.0]),
    texts=st.lists(TEXTS, min_size=1, max_size=4),
)
def test_random_unigram_files(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[tuple[str, float]],
    ascii_too: bool,
    byte_score: float,
    texts: list[str],
) -> None:
    vocab = [(f"<0x{byte:02X}>", byte_score) for byte in range(256)]
    vocab += [(chr(code), -9.0 - code / 64) for code in range(33, 127)] if ascii_too else []
    vocab += pieces
    model = {"type": "Unigram", "vocab": vocab, "unk_id": 0, "byte_fallback": True}
    folder = tmp_path_factory.mktemp("unigram")
    write(folder, model, WORDS, [])
    plain = {"a", "<0x41>", "<|a|>"}.isdisjoint(name for name, _ in pieces) and ascii_too
    distinct = len({name for name, _ in vocab}) == len(vocab)
    likely = all(score > -100 for _, score in pieces)
    compiled = same_ids(folder, texts)
    assert compiled or not (plain and distinct and likely and byte_score == -1000), (
        "a plain file is compiled"
    )


@pytest.mark.parametrize("number", [-1, 2**31, 2**70, "x", None])
def test_ids_that_are_none(tmp_path: Path, number: Any) -> None:
    model = bpe_model([], [])
    model["vocab"]["가"] = number
    write(tmp_path, model, WORDS, [])
    assert not TokenizerFile(tmp_path).compiled


def test_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    file = TokenizerFile(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        file.encoder()


def test_truncation_and_padding_in_a_file_do_not_touch_texts(tmp_path: Path) -> None:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    padding |= {"pad_type_id": 0, "pad_token": "a"}
    model = bpe_model([], [])
    for pattern in (WORDS, r"\s"):  # the second is none of ours: HF tokenizers encodes
        write(tmp_path, model, pattern, [], truncation=truncation, padding=padding)
        file = TokenizerFile(tmp_path)
        assert file.compiled == (pattern == WORDS)
        text, offsets = text_bytes(pa.array(["abcdefgh", "a"], pa.large_string()))
        ids, ends = file.encoder().encode(text, offsets, separator=7)
        assert ids.tolist() == [*b"abcdefgh", 7, *b"a", 7]
        assert ends.tolist() == [9, 11]
    assert len(load_tokenizer(tmp_path).encode("abcdefgh").ids) == 8
