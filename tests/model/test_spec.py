"""The spec of an architecture says what the model is; one file and one line make a new one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onnuri.base.errors import UserError
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.kernels import REFERENCE
from onnuri.model.config import ModelConfig
from onnuri.model.initialise import initialise
from onnuri.model.spec import ARCHITECTURES, spec_of
from tests.conftest import TINY_MODEL, torchrun
from tests.train.test_pretrain import losses

WORKER = Path(__file__).with_name("toy_worker.py")
SIZES = (256, 64, 2, 4, 2, 16, 96)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "toy", "tests.model.toy")


@pytest.mark.parametrize("architecture", ["decoder", "toy"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_the_spec_is_the_model(architecture: str, tied: bool, norm: bool, toy: None) -> None:
    """Names, shapes, counts, blocks, and values as they are initialised."""
    config = ModelConfig(*SIZES, qk_norm=norm, tie_embeddings=tied, architecture=architecture)
    spec = spec_of(config)
    model = spec.build(config, REFERENCE)
    table = spec.by_name(config)
    actual = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert {name: each.shape for name, each in table.items()} == actual
    assert config.num_parameters() == sum(shape.numel() for shape in actual.values())
    assert sum(isinstance(module, spec.block()) for module in model.modules()) == config.num_layers
    initialise(model, seed=0)
    for name, parameter in model.named_parameters():
        assert spec.find(config, name) == table[name]
        if table[name].kind == "norm":
            assert torch.equal(parameter, torch.ones_like(parameter))
        else:
            assert parameter.detach().std().item() == pytest.approx(table[name].std, rel=0.03)
    matrices = spec.matrices(config)
    assert matrices.keys() == {name for name, each in table.items() if each.kind == "matrix"}
    assert all(sum(rows for rows, _ in each) == actual[name][0] for name, each in matrices.items())


def test_an_architecture_that_is_not_known() -> None:
    with pytest.raises(UserError, match=r"model.architecture=decodre is not known.*did you mean 'decoder'"):
        ModelConfig(architecture="decodre")


def test_a_new_architecture_is_a_file_and_a_line(
    sample: Callable[[str], str], tmp_path: Path, toy: None
) -> None:
    """It trains, ZeRO-3, Muon and recorded like any; export says why it cannot."""
    words = ["model.architecture=toy", "optim=muon", "optim.lr=5e-2", "train.steps=10", "engine.stage=3"]
    words += ["schedule.decay_fraction=0.2"]
    done = torchrun(
        1, WORKER, f"data={sample('tokens')}", f"run_dir={tmp_path / 'run'}", *TINY_MODEL, *words
    )
    assert "6 matrices orthogonalised a step" in done.stdout + done.stderr
    found = losses(tmp_path / "run")
    assert len(found) == 10 and found[10] < found[1] - 0.5
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["config"]["model"]["architecture"] == "toy"
    with pytest.raises(UserError, match=r"model.architecture=toy has no Hugging Face twin") as error:
        export(ExportConfig(checkpoint=str(tmp_path / "run"), output=str(tmp_path / "out")))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
