"""The tokenizer loses nothing, forges nothing, and streams whole characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from onnuri.errors import UserError
from onnuri.tokenizer.bpe import byte_of_character, token_bytes
from onnuri.tokenizer.build import load_tokenizer
from onnuri.tokenizer.config import TokenizerConfig
from onnuri.tokenizer.special import SEPARATOR, SPECIAL_TOKENS
from onnuri.tokenizer.stream import Utf8Stream
from tests.conftest import run_door

Sample = Callable[[str], str]
HANGUL = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
JAMO = st.sampled_from("ㄱㅋㅎㅠㅏ각각")
MIXED = st.lists(
    st.one_of(
        st.text(),
        st.text(HANGUL),
        st.text(JAMO),
        st.text("漢字學校國"),
        st.text("👩‍👩‍👧🇰🇷👍🏽"),
        st.text(" \t\n\r\u00a0\u3000\u200b\ufeff"),
        st.sampled_from([*SPECIAL_TOKENS, "010-1234-5678로", "don't", "GPT4는", "3,141,592.65원"]),
    )
).map("".join)


@pytest.fixture(scope="module")
def tokenizer(sample: Sample) -> Any:
    return load_tokenizer(sample("tokenizer"))


@pytest.fixture(scope="module")
def hugging_face(sample: Sample) -> Any:
    return AutoTokenizer.from_pretrained(sample("tokenizer"))


@pytest.fixture(scope="module")
def pieces(tokenizer: Any) -> list[bytes]:
    return token_bytes(tokenizer)


@settings(max_examples=500, deadline=None)
@given(text=MIXED)
def test_every_string_comes_back(tokenizer: Any, pieces: list[bytes], text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert b"".join(pieces[i] for i in ids) == text.encode()


def test_every_syllable_and_every_byte_is_reachable(tokenizer: Any, pieces: list[bytes]) -> None:
    for first in range(0xAC00, 0xD7A4, 28):
        text = "".join(chr(code) for code in range(first, first + 28))
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert {piece for piece in pieces if len(piece) == 1} == {bytes([b]) for b in range(256)}
    assert sorted(byte_of_character().values()) == list(range(256))


def test_text_cannot_forge_a_special_token(tokenizer: Any) -> None:
    special = {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    assert special == set(range(len(SPECIAL_TOKENS)))
    for token in SPECIAL_TOKENS:
        assert not special & set(tokenizer.encode(f"앞 {token} 뒤").ids)


def test_scripts_and_digits_stay_apart(tokenizer: Any) -> None:
    pieces = [
        piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("GPT를 2024년 大韓民國ㅋㅋㅋㅋㅋ!")
    ]
    table = byte_of_character()
    words = [bytes(table[character] for character in piece).decode() for piece in pieces]
    assert words == ["GPT", "를", " ", "202", "4", "년", " 大韓民國", "ㅋㅋㅋㅋ", "ㅋ", "!"]


def test_auto_tokenizer_gives_the_same_ids_and_a_chat(tokenizer: Any, hugging_face: Any) -> None:
    text = "국가연구개발사업의 연구개발비는 2024년부터 Python 3.11로 계산한다.\n\n  들여쓰기 ㅋㅋㅋ"
    assert hugging_face(text)["input_ids"] == tokenizer.encode(text).ids
    assert hugging_face.decode(hugging_face(text)["input_ids"]) == text
    assert hugging_face.eos_token == hugging_face.bos_token == SEPARATOR
    messages = [{"role": "system", "content": "짧게 답한다."}, {"role": "user", "content": "안녕?"}]
    chat = hugging_face.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert chat == (
        "<|im_start|>system\n짧게 답한다.<|im_end|>\n<|im_start|>user\n안녕?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    ids = hugging_face(chat)["input_ids"]
    assert ids.count(hugging_face.convert_tokens_to_ids("<|im_start|>")) == 3


def test_same_corpus_same_file(sample: Sample, tmp_path: Path) -> None:
    again = tmp_path / "again"
    run_door("tokenizer", f"input={sample('corpus')}", f"output={again}", "vocab_size=1024")
    for name in ("tokenizer.json", "tokenizer_config.json", "manifest.json"):
        assert (again / name).read_bytes() == (Path(sample("tokenizer")) / name).read_bytes()


def test_training_learns_korean(tokenizer: Any) -> None:
    text = "연구개발기관은 연구개발비를 사용하여야 한다."
    assert tokenizer.get_vocab_size() == 1024
    assert len(tokenizer.encode(text).ids) < 0.8 * len(text)


@settings(max_examples=200, deadline=None)
@given(text=MIXED, cut=st.integers(0, 40))
def test_streaming_emits_whole_characters(tokenizer: Any, text: str, cut: int) -> None:
    ids = tokenizer.encode(text).ids
    stream = Utf8Stream(tokenizer)
    shown = ""
    for token in ids:
        shown += stream.push(token)
        assert text.startswith(shown)
    assert shown + stream.finish() == text
    stream = Utf8Stream(tokenizer)
    part = "".join(stream.push(token) for token in ids[:cut])
    assert text.startswith(part)
    assert stream.finish() in ("", "\ufffd")


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 1030)))
def test_streaming_any_ids_equals_decoding_their_bytes(
    tokenizer: Any, pieces: list[bytes], ids: list[int]
) -> None:
    """Ids in an order no text has: broken characters become U+FFFD exactly as in bytes.decode."""
    stream = Utf8Stream(tokenizer)
    shown = "".join(stream.push(token) for token in ids) + stream.finish()
    plain = b"".join(pieces[token] for token in ids if token < len(pieces))
    assert shown == plain.decode("utf-8", errors="replace")


def test_mistakes() -> None:
    with pytest.raises(UserError, match="at least 320"):
        TokenizerConfig(input="x", output="y", vocab_size=100)
    with pytest.raises(UserError, match="did you mean 'bpe'"):
        TokenizerConfig(input="x", output="y", algorithm="bp")
    with pytest.raises(UserError, match="does not exist"):
        load_tokenizer("/no/such/folder")


def test_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path)
