"""`import onnuri` in a notebook or a program."""

from __future__ import annotations

import io
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import onnuri
from onnuri.generate.config import GenerateConfig
from tests.conftest import save_model, untrained_model

Sample = Callable[[str], str]


def test_the_import_brings_no_torch_and_lists_its_names() -> None:
    code = (
        "import sys, onnuri; assert {'torch', 'transformers', 'numpy'}.isdisjoint(sys.modules); "
        "assert set(onnuri.__all__) <= set(dir(onnuri)); onnuri.load_tokenizer; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'load_models'"):
        onnuri.load_models  # noqa: B018


def test_a_decoder_has_weights_and_wants_a_vocabulary() -> None:
    config = onnuri.ModelConfig(
        vocab_size=64,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=16,
        intermediate_size=48,
    )
    model, again, other = onnuri.Decoder(config), onnuri.Decoder(config), onnuri.Decoder(config, seed=1)
    tokens = torch.arange(12).view(2, 6)
    loss = model(tokens, tokens.roll(-1, 1))
    assert loss.mean().item() == pytest.approx(np.log(64), rel=0.05)
    assert torch.equal(model(tokens), again(tokens)) and not torch.equal(model(tokens), other(tokens))
    copy = pickle.loads(pickle.dumps(model))
    assert torch.equal(model(tokens), copy(tokens)) and copy.kernels == model.kernels
    with pytest.raises(onnuri.UserError, match="vocab_size must be given"):
        onnuri.Decoder(onnuri.ModelConfig())
    assert issubclass(onnuri.UserError, ValueError)
    with pytest.raises(ValueError, match="hidden_size=0"):
        onnuri.ModelConfig(hidden_size=0)


def test_tokens_model_and_text(sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loader = onnuri.open_tokens(sample("tokens"), batch_size=4, sequence_length=32)
    batch = loader.rows(0, 0, 4)
    assert batch.tokens.shape == batch.targets.shape == (4, 32)
    tokenizer = onnuri.load_tokenizer(sample("tokenizer"))
    save_model(untrained_model(tokenizer.get_vocab_size(), 64), sample("tokenizer"), tmp_path)
    model, _ = onnuri.load_model(str(tmp_path))
    assert model.config.max_position_embeddings == 64
    text = onnuri.generate_text(tmp_path, "연구개발", max_tokens=8, seed=3)
    assert text == onnuri.generate_text(tmp_path, "연구개발", max_tokens=8, seed=3)
    found = onnuri.evaluate_model(tmp_path, sample("corpus"), max_documents=3)
    assert {row["documents"] for row in found["languages"].values()} == {3}
    assert found["total"]["all"]["bits_per_byte"] > 1
    assert not (tmp_path / "evaluation.json").exists()
    assert "bits" not in capsys.readouterr().out


def test_a_loader_goes_with_its_caller(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To worker processes, as a few kilobytes, and to other working directories."""
    monkeypatch.chdir(Path(sample("tokens")).parent)
    loader = onnuri.open_tokens("tokens", batch_size=4, sequence_length=32)
    monkeypatch.chdir(tmp_path)
    stored = pickle.dumps(loader)
    assert len(stored) < 20_000 < loader.shards.num_tokens
    copy = pickle.loads(stored)
    assert np.array_equal(copy.rows(3, 0, 4).tokens, loader.rows(3, 0, 4).tokens)
    assert copy.document_ids(3) == loader.document_ids(3)
    with pytest.raises(onnuri.UserError, match="step=-1 must be at least 0"):
        loader.rows(-1, 0, 4)


def test_an_evaluation_is_kept_where_asked(sample: Sample, tmp_path: Path) -> None:
    """And no message names a file that is gone."""
    save_model(untrained_model(1024, 64), sample("tokenizer"), tmp_path / "model")
    log, written = logging.getLogger("onnuri"), io.StringIO()
    handler, level = logging.StreamHandler(written), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        once = onnuri.evaluate_model(tmp_path / "model", sample("corpus"), max_documents=1)
        assert "wrote" not in written.getvalue()
        kept = tmp_path / "kept.json"
        again = onnuri.evaluate_model(tmp_path / "model", sample("corpus"), max_documents=1, output=kept)
        assert f"wrote {kept}" in written.getvalue() and kept.is_file() and once == again
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_temperature_that_is_none(value: float) -> None:
    with pytest.raises(onnuri.UserError, match="temperature >= 0"):
        GenerateConfig(temperature=value)


UNGUARDED = """
from onnuri.corpus.config import CorpusConfig
from onnuri.corpus.execution.build import build

build(CorpusConfig(recipe="sample", output="corpus"))
"""


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    result = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "runs the script that started it once more; put the calls" in result.stderr
    assert "lacks if __name__ == '__main__':" in result.stderr.splitlines()[-1]
