"""What a request leaves open is as the model's folder says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from onnuri.base.errors import UserError

pytest.importorskip("llguidance", reason="the extra serve is not installed")
from onnuri.serve.api.sampling import generator_requests
from onnuri.serve.models import DEFAULTS, ServedModel

pytestmark = pytest.mark.extra("serve")


def served(folders: Path, tmp_path: Path, **described: object) -> ServedModel:
    folder = Path(shutil.copytree(folders / "chat", tmp_path / "model"))
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **described}), encoding="utf-8")
    return ServedModel("chat", str(folder))


def test_the_folder_says_how_to_sample(folders: Path, tmp_path: Path) -> None:
    model = served(folders, tmp_path, temperature=0.25, top_p=0.5, top_k=None, do_sample=True)
    assert model.defaults == {**DEFAULTS, "temperature": 0.25, "top_p": 0.5}
    (plain,) = generator_requests(model, [[1, 2]], {}, 4)
    assert (plain.temperature, plain.top_p, plain.top_k) == (0.25, 0.5, 0)
    (asked,) = generator_requests(model, [[1, 2]], {"temperature": 1.5, "top_k": 7}, 4)
    assert (asked.temperature, asked.top_p, asked.top_k) == (1.5, 0.5, 7)


@pytest.mark.parametrize("wrong", [{"temperature": "hot"}, {"top_p": 0}, {"top_k": 1.5}])
def test_a_value_that_means_nothing(wrong: dict[str, object], folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"generation_config.json: {next(iter(wrong))}: "):
        served(folders, tmp_path, **wrong)
