"""The page itself: HTML and CSS alone, every picture a bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnuri.corpus.report.examples import Examples
from onnuri.corpus.report.words import (
    PASSED_OVER,
    PERSONAL_DATA,
    REASONS,
    REGISTERS,
    STAGES,
    escape,
    name,
    percent,
    power,
    size,
)

NUM_COLOURS = 9
STYLE = """
:root { --ink: #1b2330; --soft: #5c6878; --line: #e1e6ec; --ground: #fff; --card: #f7f9fb; --lost: #d9dee5;
  --c0: #2f6f9f; --c1: #e07b39; --c2: #4a9d6b; --c3: #b4507f; --c4: #8a7cc4; --c5: #c9a227; --c6: #5fb3b3;
  --c7: #a5673f; --c8: #8894a3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b6; --line: #2f3844;
  --ground: #12161c; --card: #1a2028; --lost: #39424e; --c0: #6fb1e0; --c2: #6cc48f; --c3: #d67ba6 } }
* { box-sizing: border-box }
body { font: 15px/1.55 system-ui, "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic",
  sans-serif; color: var(--ink); background: var(--ground); max-width: 1120px; margin: 2rem auto;
  padding: 0 1.2rem; word-break: keep-all }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.1rem; margin: 0 0 .7rem }
p.lead, small, td.soft, .note { color: var(--soft) } .note { font-size: .85rem; margin: .6rem 0 0 }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.3rem; margin: 1.1rem 0; overflow-x: auto }
.grid { columns: 2 420px; column-gap: 1.1rem } .grid section { break-inside: avoid; margin: 0 0 1.1rem }
.grid td, summary, td.soft { white-space: nowrap }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top } tr:last-child > td { border-bottom: 0 }
th { font-weight: 600; font-size: .82rem; color: var(--soft) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.bar { width: 42%; min-width: 110px; vertical-align: middle }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1rem;
  margin: 1.3rem 0 .2rem }
.figures b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.track { height: .85rem; border-radius: 3px; overflow: hidden; display: flex; background: none }
.track + .track { margin-top: 3px; height: .5rem; opacity: .75 }
.track i { height: 100%; flex: none } .lost { background: var(--lost) }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .82rem; color: var(--soft);
  margin: .8rem 0 0 } .legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px;
  margin-right: .35rem; vertical-align: -1px }
details { margin: 0 } summary { cursor: pointer }
blockquote { margin: .4rem 0 .4rem .4rem; color: var(--soft); border-left: 3px solid var(--line);
  padding-left: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem }
.warn { color: var(--c1); font-weight: 600 }
""" + "\n".join(f".c{i} {{ background: var(--c{i}) }}" for i in range(NUM_COLOURS))


def page(counts: Mapping[str, Any], shown: Examples) -> str:
    """The page for the counts of a corpus manifest and some examples of rejected text."""
    body = "\n".join(
        [
            "<h1>Corpus report · 말뭉치 보고서</h1>",
            '<p class="lead">Every document that was read is either kept or rejected with a reason. · '
            "읽은 문서는 모두 남거나, 이유와 함께 탈락합니다.</p>",
            headline(counts),
            funnel(counts["stages"]),
            reasons(counts["reasons_by_stage"], shown, counts["read"]),
            '<div class="grid">',
            bars("Languages · 언어", {k: v["bytes"] for k, v in counts["languages"].items()}, written=size),
            bars("Register of Korean sentences · 문체", counts["registers"], REGISTERS),
            bars(
                "Size of documents · 문서 크기",
                {f"from {power(int(k))} · 이상": v for k, v in _by_number(counts["sizes"])},
            ),
            bars(
                "Personal data found · 찾은 개인정보",
                counts["personal_data"],
                PERSONAL_DATA,
                note="values masked · 가린 값",
            ),
            bars(
                "Copies of a kept document · 남은 문서의 사본 수",
                {_copies(int(k)): v for k, v in _by_number(counts["copies"])},
                note="How often a document that stays was found, itself included. · 자신을 포함한 횟수",
            ),
            bars(
                "Quality score · 품질 점수",
                {f"{float(k):.1f} – {float(k) + 0.1:.1f}": v for k, v in counts["quality"].items()},
            ),
            bars("Repaired encodings · 복구한 인코딩", counts["repaired"]),
            bars(
                "Characters that could not be decoded · 해독하지 못한 글자",
                counts.get("damaged_characters", {}),
                note="characters, U+FFFD in the documents · 글자 수(문서에는 U+FFFD)",
            ),
            "</div>",
            contamination(counts.get("contamination", {})),
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
    found = sum(counts["personal_data"].values())
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
    colours = {source: min(place, NUM_COLOURS - 1) for place, source in enumerate(order)}
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
            f"<tr><td><details><summary>{name(stage['stage'], STAGES)}</summary>"
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
            f"<td class=soft>{name(stage, STAGES)}</td>"
            f'<td class=bar><div class=track><i class=c1 style="width:{100 * number / top:.2f}%"></i></div>'
            f"</td><td class=n>{number:,}</td><td class=n>{percent(number, read)}</td></tr>"
        )
    return _section(
        "Why documents were rejected · 탈락 이유",
        "<table><tr><th>reason, open for examples · 이유(펼치면 예)<th>stage · 단계<th>"
        f"<th class=n>documents · 문서<th class=n>of all · 비율</tr>{''.join(rows)}</table>",
    )


def bars(
    title: str,
    values: Mapping[str, int],
    names: Mapping[str, str] | None = None,
    written: Callable[[int], str] = "{:,}".format,
    note: str = "documents · 문서",
) -> str:
    """A horizontal bar for each value; nothing when all are zero."""
    values = {key: value for key, value in values.items() if value}
    if not values:
        return ""
    top = max(values.values())
    rows = "".join(
        f"<tr><td>{name(key, dict(names or {}))}</td><td class=bar><div class=track>"
        f'<i class=c0 style="width:{100 * value / top:.2f}%"></i></div></td>'
        f"<td class=n>{written(value)}</td></tr>"
        for key, value in values.items()
    )
    under = "" if written is size else f'<p class="note">{note}</p>'
    return _section(title, f"<table>{rows}</table>{under}")


def _by_number(values: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda item: int(item[0]))


def _copies(power_of_two: int) -> str:
    last = 2 * power_of_two - 1
    return f"{power_of_two:,}" if last == power_of_two else f"{power_of_two:,} – {last:,}"


def contamination(benchmarks: Mapping[str, Mapping[str, int]]) -> str:
    """What was found of each benchmark."""
    rows = "".join(
        f"<tr><td>{escape(benchmark)}</td><td class=n>{entry['items']:,}</td>"
        f"<td class=n>{entry['testable']:,}</td><td class=n>{entry['found']:,}</td>"
        f"<td class=n>{percent(entry['found'], entry['testable'])}</td>"
        f"<td class=n>{entry['documents']:,}</td></tr>"
        for benchmark, entry in benchmarks.items()
    )
    if not rows:
        return ""
    return _section(
        "Benchmarks found in the corpus · 말뭉치에서 찾은 평가 문항",
        "<table><tr><th>benchmark · 평가<th class=n>items · 문항"
        "<th class=n>long enough to look for · 검사 가능<th class=n>found · 발견<th class=n>share · 비율"
        f"<th class=n>documents · 문서</tr>{rows}</table>",
    )


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
