"""KoPairs through the scorer: a model that knows nothing gets half of the quads; what counts is said."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from transformers import AutoTokenizer

from onnuri.evaluate import suite, task_scores
from onnuri.evaluate.metrics import COUNTED
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import untrained_model

MOST = 0 if os.environ.get("ONNURI_SOAK") else 1600


def test_an_untrained_model_gets_half_of_the_quads(sample: Callable[[str], str]) -> None:
    folder = sample("tokenizer")
    size = load_tokenizer(folder).get_vocab_size()  # type: ignore[attr-defined]
    loaded = suite.load("kopairs", max_items=MOST)
    results, samples = task_scores.score(
        untrained_model(size, 128), AutoTokenizer.from_pretrained(folder), [loaded], 0, 4096
    )
    quads = [each["value"] for each in samples if len(each["options"]) == 4]
    assert sum(quads) / len(quads) == pytest.approx(0.5, abs=0.02 if MOST == 0 else 0.05)
    result = results["kopairs"]
    assert result["controls"]["bigram"] > 0.4
    for name, group in result["groups"].items():
        if len(next(e for e in samples if e["group"] == name)["options"]) == 2:
            counts = COUNTED[0] <= group["controls"]["tokens"] <= COUNTED[1]
            assert group["counts"] == counts
    assert result["tiers"]["B"]["controls"]["6-gram"] == 0.5
    assert {"A", "B", "C", "D"} == result["tiers"].keys()
    assert "no native speaker" in result["note"]
