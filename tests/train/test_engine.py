"""ZeRO-3 is really on, and it computes what plain AdamW computes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY_MODEL, torchrun

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("zero3_worker.py")


def ranks(sample: Sample, folder: Path, *words: str) -> list[dict]:
    torchrun(2, WORKER, str(folder), f"data={sample('tokens')}", *TINY_MODEL, *words)
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_rank_holds_half_of_master_weights_and_optimizer_state(
    precision: str, sample: Sample, tmp_path: Path
) -> None:
    found = ranks(sample, tmp_path, f"engine.precision={precision}")
    for facts in found:
        assert facts["stage"] == 3
        assert facts["whole_on_this_rank"] == 0, "a parameter is not sharded"
        for name in ("piece_on_this_rank", "master", "exp_avg", "exp_avg_sq"):
            assert facts[name] == pytest.approx(facts["parameters"] / 2, rel=0.01), name
        assert facts["master_dtypes"] == ["torch.float32"]
        assert facts["exp_avg_is_used"] > 0
    if precision == "bf16":
        assert found[0]["losses"] == pytest.approx(found[0]["plain_losses"], rel=5e-3)
        return
    assert found[0]["losses"] == found[1]["losses"]
    assert found[0]["losses"] == pytest.approx(found[0]["plain_losses"], rel=2e-6)
    assert found[0]["losses"][-1] < found[0]["losses"][0] - 0.3
    assert found[0]["losses"][0] == pytest.approx(math.log(1024), rel=0.02)
