"""Bits per byte against the definition, one document at a time."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.corpus.texts import data_identity, read_texts, xz_bits_per_byte
from onnuri.evaluate.score import cut_windows, document_nats
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import run_command, save_model, untrained_model

Sample = Callable[[str], str]
CONTEXT = 16


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    return untrained_model(100, CONTEXT)


DOCUMENTS = [
    torch.randint(2, 100, (n,), generator=torch.Generator().manual_seed(n)).tolist()
    for n in (1, 2, 15, 16, 17, 24, 25, 40, 100, 0, 7)
]


def naive_nats(model: Qwen3ForCausalLM, document: list[int]) -> float:
    """Every token scored alone, with the history its window gives it."""
    stream, total, half = [0, *document], 0.0, CONTEXT // 2
    for place in range(1, len(stream)):
        window = 0 if place <= CONTEXT else -(-(place - CONTEXT) // half)
        history = torch.tensor([stream[window * half : place]])
        with torch.no_grad():
            logits = model(history).logits[0, -1]
        total -= float(F.log_softmax(logits.double(), -1)[stream[place]])
    return total


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_batched_windows_equal_the_definition(model: Qwen3ForCausalLM, batch_tokens: int) -> None:
    found = document_nats(model, DOCUMENTS, 0, CONTEXT, batch_tokens)
    assert found == pytest.approx([naive_nats(model, document) for document in DOCUMENTS], rel=1e-5)


def test_every_token_is_scored_once_with_enough_history() -> None:
    for length in range(60):
        scored = []
        for window in cut_windows(list(range(length)), -1, CONTEXT):
            assert len(window.tokens) <= CONTEXT + 1
            for place in range(window.first_scored, len(window.tokens) - 1):
                scored.append(window.tokens[place + 1])
                assert place + 1 >= min(scored[-1] + 1, CONTEXT // 2)
        assert scored == list(range(length))


def test_xz_bar_is_what_the_tool_would_write() -> None:
    texts = ["연구개발과제 " * 50, "research and development " * 50]
    packed = lzma.compress("\n".join(texts).encode(), preset=9 | lzma.PRESET_EXTREME)
    assert xz_bits_per_byte(texts) == 8 * len(packed) / len("\n".join(texts).encode())


def test_command_on_corpus_and_files(sample: Sample, tmp_path: Path) -> None:
    """A model that gives every token the same chance: bits per byte are tokens x log2(V) / bytes."""
    folder = tmp_path / "model"
    size = load_tokenizer(sample("tokenizer")).get_vocab_size()  # type: ignore[attr-defined]
    flat = untrained_model(size, 128, tie_embeddings=False)
    flat.lm_head.weight.data.zero_()
    save_model(flat, sample("tokenizer"), folder)
    rows = [
        {"body": "국가연구개발혁신법 <|endoftext|> 시행령", "lang": "ko"},
        {"body": "Hello, world.", "lang": "en"},
        {"body": ""},
    ]
    data = tmp_path / "texts.jsonl"
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    words = [f"model={folder}", f"data={data}", "text_column=body", f"output={tmp_path / 'a.json'}"]
    result = run_command("evaluate", *words)
    scored = json.loads((tmp_path / "a.json").read_text())
    found = scored["languages"]
    tokenizer = load_tokenizer(sample("tokenizer"))
    for row in rows[:2]:
        count = len(tokenizer.encode(row["body"]).ids)  # type: ignore[attr-defined]
        expected = count * math.log2(size) / len(row["body"].encode())
        assert found[row["lang"]]["bits_per_byte"] == pytest.approx(expected, rel=1e-5)
        assert found[row["lang"]]["tokens_per_character"] == count / len(row["body"])
        assert f"{expected:.3f}" in result.stdout
    total = sum(row["bits_per_byte"] * row["bytes"] for row in found.values())
    assert scored["total"]["all"]["documents"] == 2
    assert scored["total"]["all"]["bits_per_byte"] == pytest.approx(total / scored["total"]["all"]["bytes"])
    run_command("evaluate", f"model={folder}", f"data={sample('corpus')}", "max_documents=5")
    stored = json.loads((folder / "evaluation.json").read_text())
    assert {name: row["documents"] for name, row in stored["languages"].items()} == {"ko": 5, "en": 5}
    assert stored["languages"]["ko"]["xz_bits_per_byte"] > 1
    stamp = (folder / "evaluation.json").stat().st_mtime_ns
    run_command("evaluate", f"model={folder}", f"data={sample('corpus')}", "max_documents=5")
    assert (folder / "evaluation.json").stat().st_mtime_ns == stamp


def test_mistakes_are_one_line(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.jsonl").write_text("")
    cases = {
        ("model=/no/such", f"data={sample('corpus')}"): "model=/no/such does not exist",
        (f"model={tmp_path / 'empty'}", f"data={sample('corpus')}"): "no config.json",
    }
    for words, message in cases.items():
        result = run_command("evaluate", *words, check=False)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    with pytest.raises(Exception, match="holds no document"):
        read_texts(str(tmp_path / "none.jsonl"), "text", 0)
    with pytest.raises(UserError, match=r"^data=/no/such does not exist"):
        data_identity("/no/such")
