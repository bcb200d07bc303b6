"""The page itself: HTML and CSS alone, every picture a bar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnuri.corpus.report.examples import Examples
from onnuri.corpus.report.style import NUM_COLOURS, STYLE
from onnuri.corpus.report.words import (
    PASSED_OVER,
    READ,
    READ_REASONS,
    escape,
    name,
    percent,
    power,
    size,
)
from onnuri.corpus.stages.stage import Bars, Table
from onnuri.corpus.stages.table import STAGES

NUMBER = re.compile(r"\d+(\.\d+)?")
TITLES = {"read": READ} | {stage.name: stage.title for stage in STAGES.values()}
REASONS = READ_REASONS | {head: text for stage in STAGES.values() for head, text in stage.reasons.items()}
SIZES = Bars("sizes", "Size of documents · 문서 크기", lambda least: f"from {power(int(least))} · 이상")
REPAIRED = Bars("repaired", "Noted on reading · 읽으며 표시한 문서")
DAMAGED = Bars(
    "damaged_characters",
    "Characters that could not be decoded · 해독하지 못한 글자",
    note="characters, U+FFFD in the documents · 글자 수(문서에는 U+FFFD)",
)


def page(counts: Mapping[str, Any], shown: Examples) -> str:
    """The page for the counts of a corpus manifest and some examples of rejected text."""
    charts = [chart for stage in STAGES.values() for chart in stage.charts]
    body = "\n".join(
        [
            "<h1>Corpus report · 말뭉치 보고서</h1>",
            '<p class="lead">Every document that was read is either kept or rejected with a reason. · '
            "읽은 문서는 모두 남거나, 이유와 함께 탈락합니다.</p>",
            headline(counts),
            funnel(counts["stages"]),
            reasons(counts["reasons_by_stage"], shown, counts["read"]),
            '<div class="grid">',
            languages(counts["languages"]),
            *(bars(chart, counts.get(chart.counts, {})) for chart in (SIZES, REPAIRED, DAMAGED)),
            *(bars(chart, counts.get(chart.counts, {})) for chart in charts if isinstance(chart, Bars)),
            "</div>",
            *(table(chart, counts.get(chart.counts, {})) for chart in charts if isinstance(chart, Table)),
            passed_over(counts["files"]),
            sources(counts["sources"], counts["empty_sources"]),
        ]
    )
    return (
        '<!doctype html>\n<html lang="ko"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Corpus report</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def headline(counts: Mapping[str, Any]) -> str:
    """The figures that people look for first."""
    kept_bytes = sum(entry["bytes"] for entry in counts["languages"].values())
    found = sum(counts.get("personal_data", {}).values())
    figures = [
        ("documents read · 읽은 문서", f"{counts['read']:,}"),
        ("kept · 남은 문서", f"{counts['kept']:,}"),
        ("rejected · 탈락", f"{counts['rejected']:,}"),
        ("text kept · 남은 글", size(kept_bytes)),
        ("held out for evaluation · 평가용", f"{counts['heldout']:,}"),
        ("personal data masked · 가린 개인정보", f"{found:,}"),
    ]
    blocks = "".join(f"<div><b>{value}</b><small>{label}</small></div>" for label, value in figures)
    return f'<div class="figures">{blocks}</div>'


def funnel(stages: Sequence[Mapping[str, Any]]) -> str:
    """What left every stage, documents above and bytes below, by source; in figures when opened."""
    if not stages or not stages[0].get("sources"):
        return ""
    first = stages[0]
    order = sorted(first["sources"], key=lambda source: -first["sources"][source]["bytes"])
    colours = {source: min(index, NUM_COLOURS - 1) for index, source in enumerate(order)}
    rows = []
    for stage in stages:
        tracks = "".join(
            _stacked(stage["sources"], order, colours, unit, first[unit]) for unit in ("documents", "bytes")
        )
        lost = stage["documents"] - stage["documents_left"]
        inner = "".join(
            f"<tr><td>{escape(source)}</td><td class=n>{entry['documents']:,}</td>"
            f"<td class=n>{entry['documents_left']:,}</td><td class=n>{size(entry['bytes'])}</td>"
            f"<td class=n>{size(entry['bytes_left'])}</td></tr>"
            for source, entry in stage["sources"].items()
        )
        rows.append(
            f"<tr><td><details><summary>{name(stage['stage'], TITLES)}</summary>"
            "<table><tr><th>source · 출처<th class=n>in<th class=n>out<th class=n>in<th class=n>out</tr>"
            f"{inner}</table></details></td><td class=bar>{tracks}</td>"
            f"<td class=n>{stage['documents_left']:,}</td>"
            f"<td class=n>{'−' + format(lost, ',') if lost else ''}</td>"
            f"<td class=n>{size(stage['bytes_left'])}</td></tr>"
        )
    named = [*order[: NUM_COLOURS - 1]]
    legend = "".join(f"<span><i class=c{colours[source]}></i>{escape(source)}</span>" for source in named)
    if len(order) > len(named):
        legend += f"<span><i class=c{NUM_COLOURS - 1}></i>others · 기타 ({len(order) - len(named)})</span>"
    return _section(
        "Stage by stage · 단계별",
        "<table><tr><th>stage · 단계<th>documents, bytes by source · 출처별 문서, 바이트"
        f"<th class=n>kept · 남음<th class=n>rejected · 탈락<th class=n>text · 글</tr>"
        f"{''.join(rows)}</table>"
        f'<div class="legend">{legend}<span><i class=lost></i>rejected · 탈락</span></div>',
    )


def _stacked(
    sources: Mapping[str, Mapping[str, int]],
    order: Sequence[str],
    colours: Mapping[str, int],
    unit: str,
    whole: int,
) -> str:
    """What each source has left, side by side; then what this stage and those before took away."""
    shares: dict[int, int] = {}
    for source in order:
        left = sources[source][f"{unit}_left"]
        shares[colours[source]] = shares.get(colours[source], 0) + left
    parts = [
        f'<i class=c{colour} style="width:{100 * left / max(whole, 1):.3f}%"></i>'
        for colour, left in shares.items()
        if left
    ]
    lost = whole - sum(shares.values())
    if lost > 0:
        parts.append(f'<i class=lost style="width:{100 * lost / max(whole, 1):.3f}%"></i>')
    return f"<div class=track>{''.join(parts)}</div>"


def reasons(by_stage: Mapping[str, int], shown: Examples, read: int) -> str:
    """Rejects by reason, the commonest first, with examples."""
    if not by_stage:
        return ""
    top = max(by_stage.values())
    rows = []
    for key, number in sorted(by_stage.items(), key=lambda item: -item[1]):
        stage, _, reason = key.partition("/")
        quotes = "".join(
            f"<blockquote>{escape(text)}</blockquote>" for text in shown.get((stage, reason), [])
        )
        rows.append(
            f"<tr><td><details><summary>{name(reason, REASONS)}</summary>{quotes}</details></td>"
            f"<td class=soft>{name(stage, TITLES)}</td>"
            f'<td class=bar><div class=track><i class=c1 style="width:{100 * number / top:.2f}%"></i></div>'
            f"</td><td class=n>{number:,}</td><td class=n>{percent(number, read)}</td></tr>"
        )
    return _section(
        "Why documents were rejected · 탈락 이유",
        "<table><tr><th>reason, open for examples · 이유(펼치면 예)<th>stage · 단계<th>"
        f"<th class=n>documents · 문서<th class=n>of all · 비율</tr>{''.join(rows)}</table>",
    )


def languages(entries: Mapping[str, Mapping[str, int]]) -> str:
    """Bytes of text by language."""
    sizes = {lang: entry["bytes"] for lang, entry in entries.items()}
    return _bars("Languages · 언어", {escape(lang): count for lang, count in sizes.items()}, size)


def bars(chart: Bars, values: Mapping[str, int]) -> str:
    """A horizontal bar for each value, in their order; nothing when all are zero."""
    ordered = sorted(values, key=lambda value: (float(value) if NUMBER.fullmatch(value) else 0.0, value))
    named = {escape(chart.label(value) or value): values[value] for value in ordered}
    return _bars(chart.title, named, "{:,}".format, f'<p class="note">{chart.note}</p>')


def _bars(title: str, values: Mapping[str, int], written: Callable[[int], str], under: str = "") -> str:
    values = {key: value for key, value in values.items() if value}
    if not values:
        return ""
    top = max(values.values())
    rows = "".join(
        f"<tr><td>{key}</td><td class=bar><div class=track>"
        f'<i class=c0 style="width:{100 * value / top:.2f}%"></i></div></td>'
        f"<td class=n>{written(value)}</td></tr>"
        for key, value in values.items()
    )
    return _section(title, f"<table>{rows}</table>{under}")


def table(chart: Table, entries: Mapping[str, Any]) -> str:
    """A line for each entry, its name first; nothing when there is none."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        f"{''.join(f'<td class=n>{escape(cell)}</td>' for cell in chart.cells(entry))}</tr>"
        for name, entry in entries.items()
    )
    if not rows:
        return ""
    heads = "".join(f"<th class=n>{head}" for head in chart.heads[1:])
    return _section(chart.title, f"<table><tr><th>{chart.heads[0]}{heads}</tr>{rows}</table>")


def passed_over(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Files that were found and not read, by source and reason."""
    rows = "".join(
        f"<tr><td>{escape(source)}</td><td class=n>{entry['found']:,}</td>"
        f"<td class=n>{entry['read']:,}</td>"
        f"<td>{name(reason, PASSED_OVER)}</td><td class=n>{left_out['files']:,}</td>"
        f"<td>{escape(', '.join(left_out['first']))}"
        f"{', …' if left_out['files'] > len(left_out['first']) else ''}</td></tr>"
        for source, entry in entries.items()
        for reason, left_out in entry["passed_over"].items()
    )
    if not rows:
        return ""
    return _section(
        "Files passed over · 건너뛴 파일",
        "<table><tr><th>source · 출처<th class=n>files found · 찾은 파일<th class=n>read · 읽음"
        f"<th>reason · 이유<th class=n>passed over · 건너뜀<th>files · 파일</tr>{rows}</table>",
    )


def sources(entries: Mapping[str, Mapping[str, Any]], empty: Mapping[str, Mapping[str, Any]]) -> str:
    """Licence and legal basis of every source; before them the sources of which nothing was kept."""
    missing = "<i>not stated · 밝히지 않음</i>"
    nothing = "<span class=warn>nothing kept · 남은 문서 없음</span>"
    rows = "".join(
        f"<tr><td>{escape(source)}</td><td colspan=3>{nothing}: "
        f"{entry['read']:,} read · 읽음"
        f"{''.join(f', {name(reason, REASONS)} {n:,}' for reason, n in entry['reasons'].items())}</td>"
        "<td class=n>0</td><td class=n>0</td></tr>"
        for source, entry in empty.items()
    ) + "".join(
        f"<tr><td>{escape(source)}</td><td>{escape(entry['lang'])}</td>"
        f"<td>{escape(entry['license']) or missing}</td><td>{escape(entry['legal_basis']) or missing}"
        f"{'<br><span class=warn>unverified · 미확인</span>' if entry.get('unverified') else ''}</td>"
        f"<td class=n>{entry['documents']:,}</td><td class=n>{size(entry['bytes'])}</td></tr>"
        for source, entry in entries.items()
    )
    return _section(
        "Sources, licences, legal bases · 출처, 라이선스, 법적 근거",
        "<table><tr><th>source · 출처<th>language · 언어<th>licence · 라이선스<th>legal basis · 법적 근거"
        f"<th class=n>documents · 문서<th class=n>text · 글</tr>{rows}</table>",
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"
