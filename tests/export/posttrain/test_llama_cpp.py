"""GGUF files in llama.cpp: the same ids, the same greedy tokens, and it stops where it should."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.export.gguf import vocabulary
from onnuri.export.gguf.config import GgufConfig
from onnuri.export.gguf.vocabulary import NAMES
from onnuri.export.gguf.write import write_gguf
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.presplit import LLAMA
from tests.conftest import run_command
from tests.export.cuts import ROWS, save_chat_model, save_tokenizer, texts

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: make test-posttrain installs it")
from tests.export.posttrain.llama_server import LlamaServer

pytestmark = pytest.mark.extra("posttrain")

Sample = Callable[[str], str]
PIECES = (
    *("<|im_end|>", "<|im_start|>system\n", "<|endoftext|>", "<|phone|>", "<|unused_3|>"),
    *("\n\n\n", " \n ", "\r\n", "   ", " " * 40, "\t", "\x00", "\x1f", "\x85", "\xa0"),
    *("\u3000", "\u200b", "\u200d", "\u2028", "\ufeff", "a\u0301", "\ua960\ud7b0", "'\u017f", "\u1ccc"),
    *("가", "  가", "((가", " (가", "ㅋㅋㅋㅋㅋ", "漢字", "かな", unicodedata.normalize("NFD", "한글 값")),
    *("1234567890", "３４", "Ⅳ", "½", "١٢٣", "👩‍👩‍👧‍👦", "🇰🇷", "𝒳"),
    *("don't", "'S", "'LL", "…", "_", "^^"),
)
ASKED = [{"role": "user", "content": "연구개발과제가 무엇인가요?"}]


@pytest.fixture(scope="module")
def corpus(sample: Sample) -> list[str]:
    return texts(sample("corpus"), 200)


def thousand_texts(corpus: list[str]) -> list[str]:
    draw = random.Random(0)
    nasty = ["".join(draw.choices(PIECES, k=draw.randint(1, 12))) for _ in range(400)]
    cut = [text[: draw.randint(1, 80)] for text in corpus for _ in range(2)]
    found = [*PIECES, *nasty, *corpus, *cut]
    return found + [f"{draw.choice(nasty)}{draw.choice(cut)}" for _ in range(1000 - len(found))]


def convert(folder: Path, **changes: Any) -> Path:
    path = folder.with_suffix(".gguf")
    write_gguf(GgufConfig(str(folder), str(path), **changes))
    return path


@pytest.mark.parametrize(("cut", "ignore_merges"), NAMES, ids=NAMES.values())
def test_same_ids(cut: str, ignore_merges: bool, corpus: list[str], tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path / "tokenizer", corpus, cut, ignore_merges)
    server = LlamaServer(convert(save_chat_model(tmp_path / "model", folder, "qwen3")))
    tokenizer, tried = load_tokenizer(folder), thousand_texts(corpus)
    assert len(tried) >= 1000
    assert [text for text in tried if server.ids(text) != tokenizer.encode(text).ids] == []


def test_same_ids_with_a_tokenizer_of_ours(sample: Sample, corpus: list[str], tmp_path: Path) -> None:
    """What `onnuri tokenizer pre_tokenizer=llama3` makes, its placeholders of personal data included."""
    folder, tried = tmp_path / "tokenizer", thousand_texts(corpus)
    words = [f"input={sample('corpus')}", f"output={folder}", f"vocab_size={ROWS}", "pre_tokenizer=llama3"]
    run_command("tokenizer", *words)
    server = LlamaServer(convert(save_chat_model(tmp_path / "model", folder, "qwen3")))
    tokenizer = load_tokenizer(folder)
    assert [text for text in tried if server.ids(text) != tokenizer.encode(text).ids] == []


def test_another_name_gives_other_ids(
    corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail."""
    folder = save_tokenizer(tmp_path / "tokenizer", corpus, LLAMA)
    monkeypatch.setitem(vocabulary.NAMES, (LLAMA, False), "gpt-2")
    server = LlamaServer(convert(save_chat_model(tmp_path / "model", folder, "qwen3")))
    tokenizer = load_tokenizer(folder)
    assert any(server.ids(text) != tokenizer.encode(text).ids for text in thousand_texts(corpus))


@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
def test_same_greedy_tokens_and_the_same_template(
    architecture: str, corpus: list[str], tmp_path: Path
) -> None:
    tokenizer = save_tokenizer(tmp_path / "tokenizer", corpus, LLAMA)
    folder = save_chat_model(tmp_path / "model", tokenizer, architecture)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    server, ours = LlamaServer(convert(folder)), AutoTokenizer.from_pretrained(folder)
    for text in corpus[:10]:
        prompt = torch.tensor([ours(text)["input_ids"][:16]])
        found = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=40
        )
        expected = found[0, prompt.shape[1] :].tolist()
        assert len(set(expected)) > 10, "nothing repeats"
        assert server.greedy(prompt[0].tolist(), 40) == expected
    asked = server.post("/apply-template", messages=ASKED)["prompt"]
    assert asked == ours.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_an_answer_ends_with_the_turn(dtype: str, corpus: list[str], tmp_path: Path) -> None:
    """The output matrix is set so that <|im_end|> is the likeliest token after this prompt."""
    tokenizer = save_tokenizer(tmp_path / "tokenizer", corpus, LLAMA)
    folder = save_chat_model(tmp_path / "model", tokenizer, "llama")
    model, ours = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = ours.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt")
    request = {"messages": ASKED, "max_tokens": 8, "temperature": 0}
    for rigged in (False, True):
        if rigged:
            with torch.no_grad():
                model.lm_head.weight[3] = 2 * model.model(**prompt).last_hidden_state[0, -1]
        model.save_pretrained(folder)
        answer = LlamaServer(convert(folder, dtype=dtype)).post("/v1/chat/completions", **request)
        assert answer["usage"]["prompt_tokens"] == prompt["input_ids"].shape[1]
        ended = answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]
        assert ended == (("stop", 1) if rigged else ("length", 8))
