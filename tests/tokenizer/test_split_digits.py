"""`split_digits`: every digit is a token of its own, whatever the algorithm."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.tokenizer.build import build
from onnuri.tokenizer.config import TokenizerConfig
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import run_command
from tests.tokenizer.algorithms import algorithms

TEXT = "2026년 11월 28일, 1,270원과 3.14159; ①②③ ½ x86 100%"


@pytest.mark.parametrize("algorithm", algorithms("bpe", "superword", "morpheme", "unigram"))
def test_every_digit_is_a_token(algorithm: str, sample: Callable[[str], str], tmp_path: Path) -> None:
    def trained(split: bool) -> tuple[set[str], list[str]]:
        folder = tmp_path / f"{algorithm}-{split}"
        build(
            TokenizerConfig(
                input=sample("corpus"),
                output=str(folder),
                algorithm=algorithm,
                vocab_size=2048,
                split_digits=split,
                workers=1,
            )
        )
        tokenizer = load_tokenizer(folder)
        ids = tokenizer.encode(TEXT).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == TEXT
        return set(tokenizer.get_vocab()), [tokenizer.decode([i]) for i in ids]

    together, split = trained(False), trained(True)
    assert any(re.fullmatch("[0-9]{2,3}", token) for token in together[0])
    assert not [token for token in split[0] if re.search("^[^<]*[0-9]{2}", token)]
    assert [token for token in split[1] if token.isascii() and token.isdigit()] == re.findall("[0-9]", TEXT)
    assert len(split[0]) == len(together[0])


def test_a_grown_tokenizer_still_splits_them(sample: Callable[[str], str], tmp_path: Path) -> None:
    build(
        TokenizerConfig(
            input=sample("corpus"),
            output=str(tmp_path / "old"),
            vocab_size=400,
            split_digits=True,
            workers=1,
        )
    )
    words = [f"input={sample('corpus')}", f"tokenizer={tmp_path / 'old'}", f"output={tmp_path / 'grown'}"]
    run_command("tokenizer", "extend", *words, "new_tokens=1500", "language_shares={ko:0.5,en:0.5}")
    tokenizer = load_tokenizer(tmp_path / "grown")
    assert tokenizer.get_vocab_size() == 1900
    pieces = [tokenizer.decode([i]) for i in tokenizer.encode("1,270원 2026년").ids]
    assert [piece for piece in pieces if piece.isdigit()] == list("12702026")
    assert not [token for token in tokenizer.get_vocab() if re.search("^[^<]*[0-9]{2}", token)]
