"""PEFT loads an exported adapter: on the model under it, it computes what the whole export computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from tests.conftest import SCRIPTS, run_command, torchrun

peft = pytest.importorskip("peft", reason="PEFT is not installed: make test-posttrain installs it")

pytestmark = pytest.mark.extra("posttrain")

Sample = Callable[[str], str]


def test_an_adapter_in_peft(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    base, run_dir = tmp_path / "base", tmp_path / "run"
    export(ExportConfig(str(undisturbed), str(base)))
    run_command("tasks", "make", "kind=sft", "families=[josa]", "count=40", f"output={tmp_path / 'sft'}")
    words = [f"input={tmp_path / 'sft'}", f"tokenizer={sample('tokenizer')}", "kind=chat"]
    run_command("pack", *words, f"output={tmp_path / 'chat'}")
    words = [f"train.init_from={base}", f"data={tmp_path / 'chat'}", f"run_dir={run_dir}", "train.steps=8"]
    words += ["data.sequence_length=512", "train.global_batch_size=4", "engine.precision=fp32"]
    torchrun(1, SCRIPTS / "tune.py", *words, "lora.rank=4", "optim.lr=2e-2", "schedule.warmup_steps=0")
    export(ExportConfig(str(run_dir), str(tmp_path / "merged")))
    export(ExportConfig(str(run_dir), str(tmp_path / "adapter"), adapter=True))

    plain, merged = (AutoModelForCausalLM.from_pretrained(each) for each in (base, tmp_path / "merged"))
    ids = torch.randint(0, plain.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = plain(ids).logits
        adapted = peft.PeftModel.from_pretrained(plain, tmp_path / "adapter")
        assert torch.allclose(adapted(ids).logits, merged(ids).logits, atol=1e-5)
        assert not torch.allclose(before, merged(ids).logits, atol=1e-2)
        assert torch.allclose(adapted.merge_and_unload()(ids).logits, merged(ids).logits, atol=1e-5)
    again = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter")
    assert again.peft_config["default"].base_model_name_or_path == str(base.resolve())
