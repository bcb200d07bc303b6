"""report.html: one page that says what a corpus is made of and what became of every document.

Self-contained (no script, no font, no link to anywhere), in Korean and English side by side.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

EXAMPLES_A_REASON = 3
EXAMPLE_CHARACTERS = 200
STYLE = """
:root { --ink: #1c2430; --soft: #5d6979; --line: #dfe4ea; --bar: #2f6f9f; --lost: #c9632f; --ground: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #9aa7b6; --line: #333c48; --bar: #6fb1e0; --lost: #e58b5a;
    --ground: #14181e }
}
body { font: 15px/1.55 system-ui, "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif;
  color: var(--ink); background: var(--ground); max-width: 1000px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p.lead, small, td.soft { color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
th { font-weight: 600; font-size: .85rem; color: var(--soft) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.2rem 0 }
.figures b { display: block; font-size: 1.5rem }
.track { background: var(--line); height: .8rem; border-radius: 2px; min-width: 120px; overflow: hidden;
  display: flex }
.track i { background: var(--bar); height: 100% } .track i.lost { background: var(--lost) }
details { margin: .2rem 0 } summary { cursor: pointer }
blockquote { margin: .3rem 0 .3rem 1rem; color: var(--soft);
  border-left: 3px solid var(--line); padding-left: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
"""
STAGE_NAMES = {
    "read": "reading · 읽기",
    "normalise": "normalise · 정규화",
    "describe": "describe · 특성 기록",
    "filter": "filter · 품질 규칙",
    "pii": "personal data · 개인정보",
    "dedup": "duplicates · 중복",
}
REGISTER_NAMES = {
    "formal": "formal · 하십시오체",
    "polite": "polite · 해요체",
    "plain": "plain · 해라체/문어체",
    "intimate": "intimate · 해체",
    "mixed": "mixed · 섞임",
    "none": "no Korean ending · 종결어미 없음",
}


def examples(folder: Path) -> dict[tuple[str, str], list[str]]:
    """The beginnings of a few rejected texts by (stage, reason), personal data masked."""
    import pyarrow as pa

    from onnuri.corpus.stages import personal_data

    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted((folder / "rejected").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(4096, columns=["stage", "reason", "text"]):
                stages, reasons = batch["stage"].to_pylist(), batch["reason"].to_pylist()
                for row, (stage, reason) in enumerate(zip(stages, reasons, strict=True)):
                    shown = found.setdefault((stage, reason.partition(":")[0]), [])
                    if len(shown) < EXAMPLES_A_REASON:
                        text = batch["text"][row].as_py()[: 2 * EXAMPLE_CHARACTERS]
                        masked = personal_data.mask(pa.array([text], pa.large_string()))[0][0].as_py()
                        detail = reason.partition(":")[2].strip()
                        shown.append((f"[{detail}] " if detail else "") + masked[:EXAMPLE_CHARACTERS])
    return found


def page(counts: Mapping[str, Any], shown: Mapping[tuple[str, str], list[str]]) -> str:
    """The page for the counts of a corpus manifest and some examples of rejected text."""
    kept_bytes = sum(entry["bytes"] for entry in counts["languages"].values())
    figures = [
        ("documents read · 읽은 문서", f"{counts['read']:,}"),
        ("kept · 남은 문서", f"{counts['kept']:,}"),
        ("text kept · 남은 글", megabytes(kept_bytes)),
        ("rejected · 탈락", f"{counts['rejected']:,}"),
        ("held out · 평가용", f"{counts['heldout']:,}"),
    ]
    parts = [
        "<h1>Corpus report · 말뭉치 보고서</h1>",
        '<p class="lead">Every document that was read is either kept or rejected with a reason. · '
        "읽은 문서는 모두 남거나, 이유와 함께 탈락합니다.</p>",
        '<div class="figures">',
        *(f"<div><b>{value}</b><small>{name}</small></div>" for name, value in figures),
        "</div>",
        *funnel(counts["stages"]),
        *reasons(counts["reasons_by_stage"], shown),
        *bars("Languages · 언어", {k: v["bytes"] for k, v in counts["languages"].items()}, megabytes),
        *bars(
            "Register of Korean sentences · 문체 (documents · 문서)",
            {REGISTER_NAMES.get(k, k): v for k, v in counts["registers"].items()},
        ),
        *bars(
            "Size of documents · 문서 크기 (documents · 문서)",
            {f"{size_name(int(k))} - {size_name(2 * int(k))}": v for k, v in counts["sizes"].items()},
        ),
        *bars("Personal data found · 찾은 개인정보", counts["personal_data"]),
        *sources(counts["sources"]),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="ko"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Corpus report</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def funnel(stages: Iterable[Mapping[str, Any]]) -> list[str]:
    """What entered and what left every stage; by source when opened."""
    stages = list(stages)
    top = max([stage.get("documents", 0) for stage in stages] or [1]) or 1
    rows = []
    for stage in stages:
        lost = stage.get("documents", 0) - stage.get("documents_left", 0)
        left = stage.get("documents_left", 0)
        by_source = "".join(
            f"<tr><td>{escape(name)}</td><td class=n>{entry['documents']:,}</td>"
            f"<td class=n>{entry['documents_left']:,}</td><td class=n>{megabytes(entry['bytes'])}</td>"
            f"<td class=n>{megabytes(entry['bytes_left'])}</td></tr>"
            for name, entry in stage["sources"].items()
        )
        rows.append(
            f"<tr><td><details><summary>{STAGE_NAMES.get(stage['stage'], escape(stage['stage']))}</summary>"
            "<table><tr><th>source · 출처<th class=n>in<th class=n>out<th class=n>in<th class=n>out</tr>"
            f"{by_source}</table></details></td>"
            f'<td><div class=track><i style="width:{100 * left / top:.2f}%"></i>'
            f'<i class=lost style="width:{100 * lost / top:.2f}%"></i></div></td>'
            f"<td class=n>{left:,}</td><td class=n>{'-' + format(lost, ',') if lost else ''}</td>"
            f"<td class=n>{megabytes(stage.get('bytes_left', 0))}</td></tr>"
        )
    return [
        "<h2>Stage by stage · 단계별</h2>",
        "<table><tr><th>stage · 단계<th>documents · 문서<th class=n>kept · 남음<th class=n>rejected · 탈락"
        "<th class=n>text · 글</tr>",
        *rows,
        "</table>",
    ]


def reasons(by_stage: Mapping[str, int], shown: Mapping[tuple[str, str], list[str]]) -> list[str]:
    """Rejects by reason, the commonest first, with examples."""
    if not by_stage:
        return []
    rows = []
    for name, number in sorted(by_stage.items(), key=lambda item: -item[1]):
        stage, _, reason = name.partition("/")
        quotes = "".join(
            f"<blockquote>{escape(text)}</blockquote>" for text in shown.get((stage, reason), [])
        )
        rows.append(
            f"<tr><td><details><summary>{escape(reason)}</summary>{quotes}</details></td>"
            f"<td class=soft>{STAGE_NAMES.get(stage, escape(stage))}</td><td class=n>{number:,}</td></tr>"
        )
    return [
        "<h2>Why documents were rejected · 탈락 이유</h2>",
        "<table><tr><th>reason, open for examples · 이유(펼치면 예)<th>stage · 단계"
        "<th class=n>documents · 문서</tr>",
        *rows,
        "</table>",
    ]


def bars(title: str, values: Mapping[str, int], shown: Any = "{:,}".format) -> list[str]:
    """A horizontal bar for each value; nothing when all are zero."""
    values = {name: value for name, value in values.items() if value}
    if not values:
        return []
    top = max(values.values())
    rows = [
        f'<tr><td>{escape(name)}</td><td><div class=track><i style="width:{100 * value / top:.2f}%"></i>'
        f"</div></td><td class=n>{shown(value)}</td></tr>"
        for name, value in values.items()
    ]
    return [f"<h2>{title}</h2>", "<table>", *rows, "</table>"]


def sources(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Licence and legal basis of every source."""
    missing = "<i>not stated · 밝히지 않음</i>"
    rows = [
        f"<tr><td>{escape(name)}</td><td>{escape(entry['lang'])}</td>"
        f"<td>{escape(entry['license']) or missing}</td><td>{escape(entry['legal_basis']) or missing}</td>"
        f"<td class=n>{entry['documents']:,}</td><td class=n>{megabytes(entry['bytes'])}</td></tr>"
        for name, entry in entries.items()
    ]
    return [
        "<h2>Sources, licences, legal bases · 출처, 라이선스, 법적 근거</h2>",
        "<table><tr><th>source · 출처<th>language · 언어<th>licence · 라이선스<th>legal basis · 법적 근거"
        "<th class=n>documents · 문서<th class=n>text · 글</tr>",
        *rows,
        "</table>",
    ]


def escape(text: str) -> str:
    """Text as HTML; what cannot be shown is replaced, nothing in it is markup."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text))


def megabytes(size: int) -> str:
    """Bytes as MB (10^6) with one digit."""
    return f"{size / 1e6:,.1f} MB"


def size_name(size: int) -> str:
    """A power of two as B, KiB or MiB."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size // factor} {unit}"
    return f"{size} B"
