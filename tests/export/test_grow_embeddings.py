"""Grown models: nothing old moves, new rows are the means of the old ones, every reader takes the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.base.errors import UserError
from onnuri.hf.grow_embeddings import check_model, grow_rows
from tests.conftest import save_model, untrained_model
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


@pytest.fixture(scope="module")
def tokenizer(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the models to grow come with."""
    folder = tmp_path_factory.mktemp("open") / "plain"
    open_tokenizer(texts_of(sample("corpus"), "train", "en"), folder, ignore_merges=False)
    return folder


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
    tokenizer: Path,
    tmp_path: Path,
    *,
    tied: bool,
    padding: int,
    max_shard_size: str,
    dtype: torch.dtype,
) -> None:
    num_old = load(tokenizer / "tokenizer.json").get_vocab_size()
    folder = tmp_path / "model"
    model = untrained_model(num_old + padding, 64, tied).to(dtype)
    save_model(model, str(tokenizer), folder)
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
    reader = AutoTokenizer.from_pretrained(result)
    ids = reader("the of and", return_tensors="pt").input_ids
    assert ids.max() < num_old
    with torch.no_grad():
        expected, got = model(ids).logits, loaded(ids).logits
    assert got.shape[-1] == rows
    torch.testing.assert_close(got[..., :num_old], expected[..., :num_old])
    korean = reader("연구개발비는", return_tensors="pt").input_ids
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


def test_vocabulary_size_of_a_language_model_within_another(tokenizer: Path, tmp_path: Path) -> None:
    num_old = load(tokenizer / "tokenizer.json").get_vocab_size()
    save_model(untrained_model(num_old, 64), str(tokenizer), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"text_config": content}))
    check_model(tmp_path / "model", num_old)
    content["tie_word_embeddings"] = False
    path.write_text(json.dumps({"text_config": content}))
    with pytest.raises(UserError, match="no output head"):
        check_model(tmp_path / "model", num_old)


def test_a_model_that_does_not_fit(sample: Sample, tokenizer: Path, tmp_path: Path) -> None:
    num_old = load(tokenizer / "tokenizer.json").get_vocab_size()
    folder = tmp_path / "model"
    words = [f"model={folder}"]
    assert "does not exist" in error(sample, tokenizer, tmp_path, *words)
    folder.mkdir()
    assert "no config.json" in error(sample, tokenizer, tmp_path, *words)
    save_model(untrained_model(num_old - 1, 64), str(tokenizer), folder)
    assert "belongs to the model" in error(sample, tokenizer, tmp_path, *words)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"vocab_size": num_old}))
    with pytest.raises(UserError, match="gives a vocab_size of"):
        check_model(folder, num_old)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:100])
    assert "cannot be read" in error(sample, tokenizer, tmp_path, *words)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    assert "save it as safetensors" in error(sample, tokenizer, tmp_path, *words)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}')
    with pytest.raises(UserError, match="its own folder"):
        check_model(folder, num_old)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        check_model(folder, num_old)
