"""The law of scores, and what a plan suggests from it."""

from __future__ import annotations

import re

import pytest

from onnuri.config import CONFIG_ROOT, compose
from onnuri.plan.config import PlanConfig, spread
from onnuri.plan.law import Law, Point, fit, largest_error, load
from onnuri.plan.report import report
from onnuri.plan.suggestions import adamw_rate, batch_tokens, muon_rate

TRUE = Law(0.8, 60.0, 0.3, 700.0, 0.4)


def points(law: Law) -> list[Point]:
    return [Point(n, d, law.bits_per_byte(n, d)) for n in (1e6, 4e6, 2e7) for d in (1e6, 8e6, 6e7)]


def test_a_law_is_found_again() -> None:
    found = fit(points(TRUE))
    assert found == pytest.approx(TRUE, rel=1e-6)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="4 runs do not determine"):
        fit(points(TRUE)[:4])
    with pytest.raises(ValueError, match="more tokens or more parameters hurt"):
        fit([Point(n, d, 1e-9 * n + 1e-9 * d) for n in (1e6, 1e7, 1e8) for d in (1e6, 1e7, 1e8)])


def test_best_tokens_spend_flops_best() -> None:
    parameters = 5e6
    tokens = TRUE.best_tokens(parameters)
    flops = 6 * parameters * tokens

    def score(scale: float) -> float:
        return TRUE.bits_per_byte(parameters * scale, flops / (6 * parameters * scale))

    assert score(1.0) < min(score(0.98), score(1.02))


def test_the_stored_law_is_that_of_its_runs() -> None:
    stored = load()
    assert len(stored["runs"]) >= 8 and len(stored["held_out"]) >= 2
    assert set(stored["laws"]) == {"en", "ko"}
    for language, law in stored["laws"].items():
        runs = [Point(run["parameters"], run["tokens"], run[language]) for run in stored["runs"]]
        assert fit(runs) == pytest.approx(law, rel=1e-6)
        cost = [run["parameters"] * run["tokens"] for run in (*stored["runs"], *stored["held_out"])]
        assert cost == sorted(cost), "the largest runs are held out"
        assert largest_error(law, stored["runs"], language) < 0.02


def test_formulas_of_the_step_law() -> None:
    """Worked by hand: 1e9 parameters on 1e11 tokens."""
    assert batch_tokens(1e11) == pytest.approx(1.1077e6, rel=1e-4)
    assert adamw_rate(1e9, 1e11) == pytest.approx(1.6325e-3, rel=1e-4)


def test_muon_rates_are_the_same_update() -> None:
    """A square matrix of width n: rms 0.2 in each entry is a spectral norm of 0.2 sqrt(n)."""
    for width in (256, 4096):
        assert 0.2 * width**0.5 * muon_rate("rms", width) == pytest.approx(muon_rate("spectral", width))


@pytest.mark.parametrize(
    "words", [["optim=muon"], ["optim=adamw"], ["optim=muon", "optim.update_scale=spectral"]]
)
def test_a_plan_suggests(words: list[str]) -> None:
    given = spread(["model=1b", "cluster=h100x64", "tokens=2e10", "train.global_batch_size=512", *words])
    text, _ = report(compose(PlanConfig, given, CONFIG_ROOT, "plan"))
    assert "20 a parameter; this run has " in text
    assert "train.global_batch_size=" in text
    assert "optim.lr=" in text
    assert re.search("not to be believed: [0-9,]+ times beyond the runs that it was fitted to", text)
