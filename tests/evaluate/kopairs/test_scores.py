"""KoPairs through the scorer: untrained models get half of the quads; phenomena report what counts."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from transformers import AutoTokenizer

from onnuri.evaluate import suite, task_scores
from onnuri.evaluate.metrics import COUNTED
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import untrained_model

SOAK = bool(os.environ.get("ONNURI_SOAK"))
MODELS, MOST = (6, 0) if SOAK else (1, 1600)


def test_untrained_models_get_half_of_the_quads(sample: Callable[[str], str]) -> None:
    """On average: one model's accidental preferences for words move its own score by 0.02."""
    folder = sample("tokenizer")
    size = load_tokenizer(folder).get_vocab_size()  # type: ignore[attr-defined]
    loaded, tokenizer = suite.load("kopairs", max_items=MOST), AutoTokenizer.from_pretrained(folder)
    model, shares = untrained_model(size, 128), []
    for seed in range(MODELS):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        results, samples = task_scores.score(model, tokenizer, [loaded], 0, 4096)
        quads = [each["value"] for each in samples if len(each["options"]) == 4]
        shares.append(sum(quads) / len(quads))
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.02 if SOAK else 0.05)
    result = results["kopairs"]
    assert result["controls"]["bigram"] > 0.4
    for name, group in result["groups"].items():
        if len(next(e for e in samples if e["group"] == name)["options"]) == 2:
            counts = COUNTED[0] <= group["controls"]["tokens"] <= COUNTED[1]
            assert group["counts"] == counts
    assert result["tiers"]["B"]["controls"]["6-gram"] == 0.5
    assert {"A", "B", "C", "D"} == result["tiers"].keys()
    assert "no native speaker" in result["note"]
