"""Invented results in the form of `evaluation.json`, for tests of what reads them."""

from __future__ import annotations

import random
from typing import Any

from onnuri.base import manifest

PHENOMENA = {
    "A": ["josa_object", "josa_subject", "josa_direction", "vowel_harmony"],
    "B": ["counter", "honorific_subject"],
    "C": ["negative_polarity", "locative", "tense_adverb"],
    "D": ["register_endings", "spacing_noun"],
}


def score(value: float, half: float = 0.03) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "stderr": half / 1.96}


def task(title: Any, value: float, metric: str = "accuracy_bytes", chance: float = 0.5, **more: Any) -> Any:
    facts = {"scorer": 1, "items": "ab" * 32, "shots": 0, "subset": 0, **more.pop("facts", {})}
    low_high = {end: (number - chance) / (1 - chance) for end, number in score(value).items()}
    return {
        "title": title,
        "licence": "CC-BY-SA-4.0",
        "formulation": "cloze",
        "protocol": manifest.hash_json(facts),
        "facts": facts,
        "metric": metric,
        "items": 1000,
        "clusters": 950,
        "chance": chance,
        "metrics": {metric: score(value), "bits_per_byte": score(1.4, 0.05)},
        "centred": low_high,
        "contamination": None,
        **more,
    }


def kopairs(shift: float = 0.0) -> Any:
    rng = random.Random(5)
    groups: dict[str, Any] = {}
    for tier, names in PHENOMENA.items():
        for name in names:
            value = min(0.96, 0.55 + 0.35 * rng.random() + shift)
            controls = {"bigram": rng.choice([0.5, 0.9]), "6-gram": 0.4 + 0.5 * rng.random(), "tokens": 0.5}
            groups[name] = {"tier": tier, "items": 200, "clusters": 67, "chance": 0.5, "controls": controls}
            groups[name] |= score(value, 0.04) | {"counts": name != "vowel_harmony"}
    tiers = {tier: {"phenomena": 3, "chance": 0.5, **score(0.7, 0.02)} for tier in PHENOMENA}
    return task(
        "KoPairs",
        0.71 + shift,
        "accuracy_macro",
        groups=groups,
        tiers=tiers,
        controls={"bigram": 0.66, "6-gram": 0.71},
        formulation="sentences",
        contamination={"items": 12, "value_without": 0.7, "items_without": 988},
    )


def curve(points: int, shift: float = 0.0) -> list[dict[str, Any]]:
    protocol = kopairs()["protocol"]
    found = []
    for step in range(1, points + 1):
        value = 0.5 + 0.25 * (1 - 0.8**step) + shift
        names = [name for names in PHENOMENA.values() for name in names]
        groups = {name: min(1.0, value + 0.03 * place - 0.15) for place, name in enumerate(names)}
        entry = {**score(value, 0.015), "protocol": protocol, "groups": groups, "tiers": {"A": value}}
        copa = {**score(0.49 + 0.008 * step), "protocol": task("", 0.5)["protocol"]}
        point = {"step": 200 * step, "tokens": 25_000_000 * step}
        found.append(point | {"tasks": {"kopairs": entry, "kobest_copa": copa}})
    return found


def result(name: str = "onnuri-30m", shift: float = 0.0) -> dict[str, Any]:
    return {
        "format": 2,
        "request": {"model": "cd" * 32, "data": "ef" * 32},
        "model": {
            "name": name,
            "identity": "cd" * 32,
            "step": 2400,
            "tokens": 3e8,
            "parameters": 30_112_000,
        },
        "tasks": {
            "kopairs": kopairs(shift),
            "kobest_copa": task({"en": "KoBEST COPA", "ko": "KoBEST COPA(인과)"}, 0.56 + shift),
            "kmmlu_cloze": task("KMMLU, cloze", 0.27 + shift, chance=0.25),
            "paws_ko": task(
                "PAWS-X, Korean", 0.5 + shift, metric="macro_f1", note="Labels are by translation."
            ),
        },
    }


def with_text(entry: dict[str, Any]) -> dict[str, Any]:
    """With bits per byte of held-out text."""
    row = {"documents": 120, "bytes": 1_204_551, "bits_per_byte": 1.312, "tokens_per_character": 0.61}
    text = {"languages": {"ko": row | {"xz_bits_per_byte": 2.1}, "en": row}, "sources": {"regs": row}}
    return entry | text | {"total": {"all": row | {"low": 1.28, "high": 1.35}}}


def comparison(low: float, high: float, metric: str = "accuracy_macro", **more: Any) -> dict[str, Any]:
    found = {"task": "kopairs", "metric": metric, "other": "baseline", "difference": (low + high) / 2}
    found |= {"low": low, "high": high, "p": 0.004, "p_holm": 0.012, "smallest_effect": 0.028}
    return found | {"items": 8000, "clusters": 2400} | more


def option(text: str, nats: float, context: str = "") -> dict[str, Any]:
    size = len(text.encode())
    return {"context": context, "continuation": text, "nats": nats, "tokens": 9, "bytes": size}


def samples(count: int) -> list[dict[str, Any]]:
    rng = random.Random(1)
    found: list[dict[str, Any]] = []
    for index in range(count):
        nats = [30 + 5 * rng.random() for _ in range(4)]
        if index % 2:
            options = [
                option(text, n)
                for text, n in zip(("학생이 사과를 샀다.", "학생이 사과을 샀다."), nats, strict=False)
            ]
            value = float(nats[0] < nats[1])
            line = {
                "task": "kopairs",
                "group": "josa_object",
                "label": None,
                "chosen": None,
                "value": value,
            }
        else:
            question = "전제: 물이 끓었다. 원인은? "
            texts = ("불을 켰다.", "불을 껐다.", "창문을 열었다.", "잠이 들었다.")
            options = [option(text, n, question) for text, n in zip(texts, nats, strict=True)]
            chosen = nats.index(min(nats))
            line = {
                "task": "kobest_copa",
                "group": "",
                "label": 0,
                "chosen": chosen,
                "value": float(not chosen),
            }
        found.append(line | {"item": f"item-{index}", "cluster": str(index), "options": options})
    return found
