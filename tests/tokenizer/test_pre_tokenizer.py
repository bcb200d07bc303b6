"""Tokenizers that cut text as Llama 3: exact, the same wherever they encode, and GGUF takes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.documents import text_bytes
from onnuri.export.gguf.vocabulary import read_vocabulary
from onnuri.tokenizer.build import build
from onnuri.tokenizer.config import TokenizerConfig
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.soak import tries
from tests.tokenizer.texts import MIXED

Sample = Callable[[str], str]
SIZE = 1024
SEEN: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def folder(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    SEEN["folder"] = tmp_path_factory.mktemp("llama3") / "tokenizer"
    build(config(sample, SEEN["folder"], pre_tokenizer="llama3"))
    return SEEN["folder"]


def config(sample: Sample, output: Path, **options: str) -> TokenizerConfig:
    return TokenizerConfig(
        input=sample("corpus"), output=str(output), vocab_size=SIZE, workers=1, **options
    )


@settings(max_examples=tries(100, 1600), deadline=None)
@example(text=" (가) ((나 1234 don't\n\n  ㅋㅋㅋㅋㅋ漢字")
@given(text=MIXED)
def test_every_text_comes_back(text: str) -> None:
    tokenizer = load_tokenizer(SEEN["folder"])
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    packed, _ = (
        TokenizerFile(SEEN["folder"]).encoder().encode(*text_bytes(pa.array([text], pa.large_string())))
    )
    np.testing.assert_array_equal(packed, ids)


def test_it_cuts_as_llama_3(folder: Path) -> None:
    cut = load_tokenizer(folder).pre_tokenizer.pre_tokenize_str("연구 (가)는 12345원,\n\n don't ")
    places = [0, *(stop for _, (_, stop) in cut)]
    text = "연구 (가)는 12345원,\n\n don't "
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert pieces == ["연구", " (", "가", ")는", " ", "123", "45", "원", ",\n\n", " don", "'t", " "]


def test_gguf_takes_it(folder: Path) -> None:
    found = read_vocabulary(folder, SIZE)
    assert (found.pre, len(found.tokens)) == ("smaug-bpe", SIZE)


def test_the_default_asks_for_what_it_asked_for_before(
    sample: Sample, folder: Path, tmp_path: Path
) -> None:
    made = build(config(sample, tmp_path / "tokenizer"))
    assert "pre_tokenizer" not in made.settings
    assert manifest.read(folder, "tokenizer").settings["pre_tokenizer"] == "llama3"
    assert made.counts["vocab_size"] == SIZE
    assert (tmp_path / "tokenizer" / "tokenizer.tiktoken").is_file()
    assert not (folder / "tokenizer.tiktoken").exists()


@pytest.mark.parametrize("algorithm", ["superword", "unigram"])
def test_algorithms_with_a_cut_of_their_own(algorithm: str) -> None:
    with pytest.raises(
        UserError, match=f"goes with algorithm=bpe or morpheme, here it is algorithm={algorithm}"
    ):
        TokenizerConfig("a", "b", algorithm=algorithm, pre_tokenizer="llama3")
