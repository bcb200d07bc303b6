"""GGUF files: what is in them, and what is refused. tests/export/posttrain runs them in llama.cpp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from onnuri.base.errors import UserError
from onnuri.export.gguf.config import GgufConfig
from onnuri.export.gguf.vocabulary import read_vocabulary
from onnuri.export.gguf.write import write_gguf
from onnuri.tokenizer.presplit import LLAMA
from onnuri.tokenizer.special import CHAT_TEMPLATE, CONTROL_TOKENS, PLACEHOLDERS
from tests.conftest import run_command, save_model, untrained_model
from tests.export.cuts import ROWS, save_chat_model, save_tokenizer, texts

Sample = Callable[[str], str]


@pytest.fixture(scope="module")
def models(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Hugging Face folders by architecture."""
    root = tmp_path_factory.mktemp("models")
    tokenizer = save_tokenizer(root / "tokenizer", texts(sample("corpus"), 60), LLAMA)
    return {name: save_chat_model(root / name, tokenizer, name) for name in ("qwen3", "llama")}


def fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def tensors(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
def test_what_is_in_it(architecture: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, path = models[architecture], tmp_path / "model.gguf"
    write_gguf(GgufConfig(str(folder), str(path)))
    found, config = fields(path), json.loads((folder / "config.json").read_text())
    shape = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": config["head_dim"],
        "attention.value_length": config["head_dim"],
        "rope.dimension_count": config["head_dim"],
        "rope.freq_base": config["rope_parameters"]["rope_theta"],
        "vocab_size": ROWS,
    }
    assert found["general.architecture"] == architecture
    assert {name: found[f"{architecture}.{name}"] for name in shape} == shape
    tokenizer = {name.removeprefix("tokenizer.ggml."): value for name, value in found.items()}
    assert (tokenizer["model"], tokenizer["pre"]) == ("gpt2", "smaug-bpe")
    roles = {"bos": 0, "eos": 3, "eot": 3, "padding": 1}
    assert {role: tokenizer[f"{role}_token_id"] for role in roles} == roles
    assert tokenizer["add_bos_token"] is tokenizer["add_eos_token"] is False
    assert found["tokenizer.chat_template"] == CHAT_TEMPLATE
    types = dict(zip(tokenizer["tokens"], tokenizer["token_type"], strict=True))
    assert {types[name] for name in CONTROL_TOKENS} == {3}
    assert {types[name] for name in PLACEHOLDERS} == {4}
    assert sum(kind == 1 for kind in types.values()) == ROWS - 64
    stored, theirs = tensors(path), load_file(folder / "model.safetensors")
    assert len(stored) == len(theirs)
    down = stored["blk.1.ffn_down.weight"]
    np.testing.assert_array_equal(down.data, theirs["model.layers.1.mlp.down_proj.weight"].numpy())
    query = theirs["model.layers.0.self_attn.q_proj.weight"].numpy()
    if architecture == "llama":  # rows i and i + 8 of a head of 16 are next to each other
        query = query[
            [head * 16 + half * 8 + i for head in range(4) for i in range(8) for half in range(2)]
        ]
    np.testing.assert_array_equal(stored["blk.0.attn_q.weight"].data, query)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_that_of_torch(dtype: str, models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(GgufConfig(str(models["qwen3"]), str(path), dtype))
    stored, theirs = tensors(path), load_file(models["qwen3"] / "model.safetensors")
    up = theirs["model.layers.0.mlp.up_proj.weight"].to(getattr(torch, dtype))
    found = torch.from_numpy(stored["blk.0.ffn_up.weight"].data.copy()).view(up.dtype)
    assert torch.equal(found, up)
    assert stored["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32


def test_the_command(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.gguf"
    words = ["gguf", f"model={models['qwen3']}", f"output={path}"]
    assert "pre-tokenizer smaug-bpe" in run_command("export", *words).stdout
    first = path.read_bytes()
    run_command("export", *words)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == ["model.gguf"]


def test_a_base_model_stops_at_the_separator(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["qwen3"], tmp_path / "base")
    edit(folder / "generation_config.json", eos_token_id=0)
    roles = read_vocabulary(folder, ROWS).roles
    assert roles == {"bos": 0, "eos": 0, "padding": 1}


def test_rows_without_tokens_are_not_used(models: dict[str, Path]) -> None:
    found = read_vocabulary(models["qwen3"], ROWS + 2)
    assert (found.tokens[-1], found.types[-3:]) == (f"<|unused_{ROWS + 1}|>", [1, 5, 5])
    with pytest.raises(UserError, match="has a token with the id 1023, the model has 1000 rows"):
        read_vocabulary(models["qwen3"], 1000)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": {"type": "Unigram"}}, "only byte-level BPE is supported, it is Unigram"),
        ({"decoder": None}, "only byte-level BPE is supported, its tokens are not bytes"),
        ({"normalizer": {"type": "Lowercase"}}, r"it changes text before it cuts it \(Lowercase\)"),
        ({"pre_tokenizer": None}, "it cuts text in a way that llama.cpp does not know, so"),
    ],
)
def test_tokenizers_that_llama_cpp_would_read_otherwise_are_refused(
    changes: dict[str, Any], error: str, models: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(models["qwen3"], tmp_path / "model")
    edit(folder / "tokenizer.json", **changes)
    with pytest.raises(UserError, match=error):
        write_gguf(GgufConfig(str(folder), str(tmp_path / "model.gguf")))
    assert not list(tmp_path.glob("*.gguf*"))


def test_a_model_that_cannot_stop_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["qwen3"], tmp_path / "model")
    edit(folder / "generation_config.json", eos_token_id=[])
    with pytest.raises(UserError, match=r"has no eos_token_id: llama\.cpp would never stop"):
        write_gguf(GgufConfig(str(folder), str(tmp_path / "model.gguf")))


def test_what_a_tokenizer_puts_before_a_text(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["qwen3"], tmp_path / "model")
    processor = {"type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}]}
    for token, number in (("<|endoftext|>", 0), ("<|pad|>", 1)):
        single = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        special = {token: {"id": token, "ids": [number], "tokens": [token]}}
        added = processor | {"single": single, "special_tokens": special}
        edit(folder / "tokenizer.json", post_processor=added)
        if number == 0:
            assert read_vocabulary(folder, ROWS).add_bos
        else:
            with pytest.raises(UserError, match="it adds tokens to a text other than its first"):
                read_vocabulary(folder, ROWS)


def test_normalisation_is_said(
    models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(models["qwen3"], tmp_path / "model")
    edit(folder / "tokenizer.json", normalizer={"type": "NFC"})
    assert read_vocabulary(folder, ROWS) == read_vocabulary(models["qwen3"], ROWS)
    assert [each.message for each in caplog.records] == [
        "warning: the tokenizer makes text NFC, llama.cpp does not: give it text in NFC"
    ]


def test_our_own_cut_is_refused(sample: Sample, tmp_path: Path) -> None:
    save_model(untrained_model(ROWS, 64), sample("tokenizer"), tmp_path / "model")
    words = ["gguf", f"model={tmp_path / 'model'}", f"output={tmp_path / 'model.gguf'}"]
    result = run_command("export", *words, check=False)
    assert result.returncode == 2
    assert "a way that llama.cpp does not know (that of Onnuri's bpe and morpheme)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_file_is_left_where_it_fails(models: dict[str, Path], tmp_path: Path) -> None:
    folder, path = shutil.copytree(models["qwen3"], tmp_path / "model"), tmp_path / "model.gguf"
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path.write_bytes(b"GGUF of yesterday")
    with pytest.raises(
        UserError, match=r"up_proj.weight has values that float16 cannot hold; use dtype=bf"
    ):
        write_gguf(GgufConfig(str(folder), str(path), "float16"))
    assert path.read_bytes() == b"GGUF of yesterday"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model", "model.gguf"]
    path.write_bytes(b"my thesis")
    with pytest.raises(UserError, match="exists and is no GGUF file"):
        write_gguf(GgufConfig(str(folder), str(path)))
    with pytest.raises(UserError, match=r"must end with \.gguf"):
        GgufConfig("model", "model.bin")


def test_without_the_package(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match=r"needs the package gguf: pip install 'onnuri\[gguf\]'"):
        write_gguf(GgufConfig(str(models["qwen3"]), str(tmp_path / "model.gguf")))
