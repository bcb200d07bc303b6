"""The page: what stands where, the protocol box, the notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from onnuri.corpus.report.style import STYLE
from onnuri.corpus.report.words import escape
from onnuri.evaluate.report import plots, tables
from onnuri.evaluate.report.chat import chat
from onnuri.evaluate.report.comparable import model_name
from onnuri.evaluate.report.given import given
from onnuri.evaluate.report.style import EVALUATION_STYLE
from onnuri.evaluate.report.words import both, outside, task_title, tokens
from onnuri.evaluate.report.worst import worst_items

NOTES = [
    (
        "Intervals are 95 % and come from a bootstrap of clusters, since items that share a passage or a "
        "template err together. They cover the choice of items, not the seed of the training run.",
        "구간은 95 %이며 군집 부트스트랩으로 구합니다. 지문이나 틀을 공유하는 문항은 함께 틀리기 "
        "때문입니다. 문항 표본에서 오는 오차만 나타내고, 학습 시드에서 오는 오차는 나타내지 않습니다.",
    ),
    (
        "Centred scores are (value − chance) / (1 − chance): 0 for guessing, 1 for all right.",
        "우연 보정 점수는 (값 − 우연) / (1 − 우연)입니다. 찍으면 0, 모두 맞으면 1입니다.",
    ),
    (
        "Two numbers compare only where their protocols are the same: the hash covers items, prompt, "
        "normalisation, shots and scorer.",
        "두 점수는 프로토콜이 같을 때만 비교할 수 있습니다. 문항, 프롬프트, 정규화 방식, 예시 수, 채점기 "
        "버전이 해시에 들어갑니다.",
    ),
    (
        "n-gram controls score the same items by counts of characters. A model at their level has learned "
        "nothing that needs more than neighbouring characters.",
        "n-gram 대조군은 같은 문항을 글자 빈도만으로 채점한 값입니다. 이 수준의 모델은 이웃한 글자 "
        "이상의 것을 배웠다고 볼 수 없습니다.",
    ),
]


def page(results: Sequence[Mapping[str, Any]], samples: Sequence[Mapping[str, Any]], language: str) -> str:
    """The page for results that may be compared, this model's first; `language` (ko or en) is shown."""
    this = results[0]
    name = model_name(this)
    body = "\n".join(
        part
        for part in [
            switch(language),
            f"<h1>{both('Evaluation', '평가 보고서')}: {outside(name)}</h1>",
            lead(results),
            figures(this),
            tables.headline(results),
            plots.overview(results),
            tables.comparisons(this),
            plots.curves(results),
            plots.phenomena(results),
            chat(results, samples),
            given(results),
            tables.bits_per_byte(results),
            worst_items(this.get("tasks") or {}, samples),
            protocols(results),
            notes(results),
        ]
        if part
    )
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(name)} · Evaluation · 평가 보고서</title>"
        f"<style>{STYLE}{EVALUATION_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def switch(language: str) -> str:
    """Two radio buttons; CSS does the rest."""
    buttons = "".join(
        f'<label><input type="radio" name="language" id="show-{code}"'
        f"{' checked' if code == language else ''}>{title}</label>"
        for code, title in (("ko", "한국어"), ("en", "English"))
    )
    return f'<div class="switch" role="radiogroup" aria-label="언어 · Language">{buttons}</div>'


def lead(results: Sequence[Mapping[str, Any]]) -> str:
    """Who is compared with whom."""
    others = [outside(model_name(result)) for result in results[1:]]
    if not others:
        return ""
    return f'<p class="lead">{both("Compared with", "비교 모델")}: {", ".join(others)}</p>'


def figures(result: Mapping[str, Any]) -> str:
    """The model in figures, those that its result has."""
    model = result.get("model") or {}
    found = [
        (both("parameters", "파라미터"), f"{model['parameters']:,}" if model.get("parameters") else ""),
        (both("step", "스텝"), f"{model['step']:,}" if model.get("step") is not None else ""),
        (
            both("tokens trained", "학습한 토큰"),
            tokens(model["tokens"]) if model.get("tokens") is not None else "",
        ),
        (both("tasks", "과제"), f"{len(result.get('tasks') or {}):,}"),
        (
            both("model sha256", "모델 sha256"),
            f"<code>{escape(str(model['identity'])[:12])}</code>" if model.get("identity") else "",
        ),
    ]
    blocks = "".join(f"<div><b>{value}</b><small>{label}</small></div>" for label, value in found if value)
    return f'<div class="figures">{blocks}</div>'


def protocols(results: Sequence[Mapping[str, Any]]) -> str:
    """Everything that each score depends on besides the model."""
    parts = []
    for name in tables.task_names(results):
        entry = next(result["tasks"][name] for result in results if name in (result.get("tasks") or {}))
        facts = {"protocol": entry["protocol"], "licence": entry.get("licence"), **entry.get("facts", {})}
        rows = "".join(
            f"<tr><td>{outside(fact)}</td><td><code>{outside(_written(value))}</code></td></tr>"
            for fact, value in facts.items()
            if value is not None
        )
        facts_table = f'<table class="facts">{rows}</table>'
        parts.append(
            f'<details class="task"><summary>{task_title(entry, name)} <small>{outside(name)} '
            f"<code>{entry['protocol'][:12]}</code></small></summary>"
            f"{tables.scroll(facts_table)}</details>"
        )
    return tables.section("Protocols", "프로토콜", "".join(parts))


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def notes(results: Sequence[Mapping[str, Any]]) -> str:
    """How to read the page; what tasks say of themselves; groups that no native speaker has rated."""
    lines = [both(*note) for note in NOTES]
    for name in tables.task_names(results):
        entry = next(result["tasks"][name] for result in results if name in (result.get("tasks") or {}))
        if entry.get("note"):
            lines.append(f"{task_title(entry, name)}: {outside(entry['note'])}")
        groups = [
            group for group, each in (entry.get("groups") or {}).items() if each.get("rated") is False
        ]
        if entry.get("rated") is False or entry.get("facts", {}).get("rated") is False:
            words = both(
                "no native speaker has rated these items.", "원어민이 이 문항을 검토하지 않았습니다."
            )
            lines.append(f"{task_title(entry, name)}: {words}")
        elif groups:
            words = both("not rated by native speakers", "원어민이 검토하지 않은 집단")
            lines.append(f"{task_title(entry, name)}, {words}: {', '.join(map(outside, groups))}.")
    items = "".join(f"<li>{line}</li>" for line in lines)
    return tables.section("How to read this", "읽는 법", f"<ul>{items}</ul>")
