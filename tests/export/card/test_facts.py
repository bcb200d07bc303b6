"""Sums over the ledger, the estimate of energy, and words that depend on what is known."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from onnuri.base.devices import nominal_watts_of
from onnuri.export.card import eu_summary, wording
from onnuri.export.card.config import Statements
from onnuri.export.card.energy import energy
from onnuri.export.card.facts import Source
from onnuri.export.card.training import sums
from tests.conftest import REPOSITORY


def line(event: str, time: float, step: int, **facts: Any) -> dict[str, Any]:
    start = {"world_size": 4, "environment": {"processor": "NVIDIA H200"}, "code": {}}
    more = start if event in ("start", "resume") else {}
    flops = {"flops": 10 * step} if event == "step" else {}
    return {"event": event, "time": time, "step": step, "hash": f"{time}"} | more | flops | facts


def test_steps_that_were_run_again_count_as_compute() -> None:
    lines = [
        line("start", 0, 0),
        *(line("step", step, step) for step in (1, 2, 3)),
        line("checkpoint", 4, 2),
    ]
    lines += [line("resume", 100, 2, world_size=2), line("step", 101, 3), line("step", 102, 4)]
    found = sums(lines)
    assert (found["flops"], found["flops_run"], found["steps_run"]) == (40, 50, 5)
    assert [segment["seconds"] for segment in found["segments"]] == [4, 2]
    assert [segment["device_seconds"] for segment in found["segments"]] == [16, 4]


def test_a_ledger_that_begins_again_counts_what_came_before() -> None:
    found = sums([line("resume", 0, 7), line("step", 1, 8), line("step", 2, 9)])
    assert (found["flops"], found["flops_run"]) == (90, 90)


def segment(name: str, device_seconds: float) -> dict[str, Any]:
    return {"environment": {"processor": name}, "device_seconds": device_seconds}


def test_energy() -> None:
    hours = [segment("NVIDIA H200", 3600), segment("NVIDIA H100 80GB HBM3", 7200)]
    found = energy(hours, 0)
    assert found.kwh == pytest.approx(0.7 + 1.4)
    assert found.basis.startswith("estimated, not measured: devices x nominal power (700 W each)")
    assert energy(hours, 350).kwh == pytest.approx(0.35 * 3)
    unknown = energy([*hours, segment("AVX512", 10)], 0)
    assert (unknown.kwh, "no nominal power is known for the device 'AVX512'" in unknown.basis) == (
        None,
        True,
    )
    assert energy([], 700).kwh is None
    assert nominal_watts_of("NVIDIA H200 NVL") == 600


def source(name: str, **facts: Any) -> Source:
    values: dict[str, Any] = dict.fromkeys(
        ("kind", "period", "url", "dataset", "licence", "legal_basis"), ""
    )
    values |= {"languages": "ko", "unverified": False, "documents": 1, "tokens": 2, "bytes": 3}
    values |= {"opt_out": None, "opted_out": 0, "domains": {}, "num_domains": 0}
    return Source(name=name, **values | facts)


def test_the_largest_tenth_of_the_domains() -> None:
    one = source("a", domains={f"{n}.kr": 100 - n for n in range(30)}, num_domains=30)
    two = source("b", domains={"0.kr": 5}, num_domains=1)
    assert eu_summary.domains([one, two]) == [
        "- The largest 3 of 30 domains or more: 0.kr (105 bytes), 1.kr (99 bytes), 2.kr (98 bytes)"
    ]
    assert "To be completed by the provider" in eu_summary.domains([source("c")])[0]


@pytest.mark.parametrize(
    ("licence", "is_one"),
    [
        ("Apache-2.0", True),
        ("(MIT OR GPL-2.0+) AND CC-BY-4.0", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("AI Hub terms", False),
        ("MIT, BSD-3-Clause", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_licence_expressions(licence: str, is_one: bool) -> None:
    assert wording.is_expression(licence) is is_one


def test_the_docs_list_every_statement() -> None:
    docs = (REPOSITORY / "docs" / "model_card.md").read_text(encoding="utf-8")
    assert [each.name for each in fields(Statements) if f"`{each.name}`" not in docs] == []


def test_size_bands() -> None:
    bands = [wording.size_band(n) for n in (10**9 - 1, 10**9, 10**13, 10**13 + 1)]
    assert bands[1] == bands[2] == "1 billion to 10 trillion tokens"
    assert len(set(bands)) == 3
