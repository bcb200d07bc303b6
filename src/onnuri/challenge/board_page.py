"""The leaderboard as HTML: no script, no font, no link; Korean and English, and a switch hides one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from onnuri.challenge.board import Row
from onnuri.challenge.board_curves import curves
from onnuri.challenge.faults import FAULTS
from onnuri.challenge.folder import OPENED, RECEIVED, REVEALED, VERIFIED, Challenge
from onnuri.corpus.report.style import STYLE
from onnuri.corpus.report.words import escape
from onnuri.evaluate.report.page import switch
from onnuri.evaluate.report.style import EVALUATION_STYLE
from onnuri.evaluate.report.tables import scroll, section, table
from onnuri.evaluate.report.words import both, number, outside, tokens

MOST_CURVES = 8
BOARD_STYLE = """
.curves svg { width: 100%; min-width: 560px; height: auto }
table.ranking td, table.ranking th { padding-right: .55rem }
.hash { font: .82em ui-monospace, "D2Coding", monospace; overflow-wrap: anywhere }
.whole { white-space: nowrap }
"""
EVENTS = {
    OPENED: ("opened", "시작"),
    RECEIVED: ("received", "접수"),
    REVEALED: ("held-out text revealed", "평가용 글 공개"),
    VERIFIED: ("verified", "검증"),
}
TRACKS = {
    "ten_minutes": ("10 minutes on 2 CPU cores", "CPU 코어 2개로 10분"),
    "one_hour": ("1 hour on 2 CPU cores", "CPU 코어 2개로 1시간"),
    "ten_minutes_h100": ("10 minutes on one H100, not measured", "H100 한 장으로 10분(측정하지 않음)"),
}
NOTES = [
    (
        "Entries are ranked by the mean of Korean and English bits per byte on the held-out text, to three "
        "digits; lower is better. KoPairs, then the time of receipt decide between equal means.",
        "순위는 평가용 글의 한국어와 영어 바이트당 비트의 평균(소수 셋째 자리까지)으로 정하며, 낮을수록 "
        "좋습니다. 같으면 KoPairs, 그다음 접수 순서로 정합니다.",
    ),
    (
        "Time and machine are the entrant's own figures. They are shown and not ranked.",
        "시간과 장비는 참가자가 적은 값입니다. 보여 주기만 하고 순위에 넣지 않습니다.",
    ),
    (
        "Replayed: so many of the intervals between checkpoints were run again and gave the recorded "
        "losses and weights: exact to the bit, or near, within the tolerances for another machine. "
        "The nonce of the held-out text, secret until then, chose them.",
        "재현: 체크포인트 사이의 구간 가운데 이만큼을 다시 실행해 기록된 값을 얻었습니다. "
        "동일은 비트까지 같다는 뜻이고, 근사는 다른 장비에 허용한 오차 안이라는 뜻입니다. "
        "구간은 그때까지 비밀이던 평가용 글의 논스로 골랐습니다.",
    ),
]


def page(
    challenge: Challenge, lines: Sequence[Mapping[str, Any]], rows: Sequence[Row], language: str
) -> str:
    """The page of a challenge; `language` (ko or en) is shown."""
    title = str(challenge.content["title"])
    standing = [row for row in rows if row.stands]
    body = "\n".join(
        part
        for part in [
            switch(language),
            f"<h1>{outside(title)}</h1>",
            f'<p class="lead">{both("Leaderboard", "순위표")}: {track_words(challenge)}</p>',
            figures(challenge, rows),
            section("Ranking", "순위", ranking(challenge, standing)),
            section("Training loss", "학습 손실", curves(challenge, standing[:MOST_CURVES])),
            section(
                "Waiting for verification", "검증 대기", waiting([r for r in rows if r.result is None])
            ),
            section("Refused", "거부", refused([row for row in rows if row.faults])),
            section("Record", "기록", record(challenge, lines)),
            notes(),
        ]
        if part
    )
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)} · Leaderboard · 순위표</title>"
        f"<style>{STYLE}{EVALUATION_STYLE}{BOARD_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def track_words(challenge: Challenge) -> str:
    """The track in both languages."""
    name = challenge.track.name
    return both(*TRACKS[name]) if name in TRACKS else both("a budget of its own", "자체 예산")


def figures(challenge: Challenge, rows: Sequence[Row]) -> str:
    """The budget, and how many entries there are."""
    track = challenge.track
    found = [
        (both("training FLOPs at most", "학습 FLOPs 한도"), f"{track.flops:.3g}"),
        (both("unique tokens at most", "고유 토큰 한도"), tokens(track.unique_tokens)),
        (both("parameters at most", "파라미터 한도"), tokens(track.parameters)),
        (both("ranked", "순위에 든 항목"), f"{sum(row.stands for row in rows):,}"),
        (both("refused", "거부한 항목"), f"{sum(bool(row.faults) for row in rows):,}"),
    ]
    blocks = "".join(f"<div><b>{value}</b><small>{label}</small></div>" for label, value in found)
    return f'<div class="figures">{blocks}</div>'


def ranking(challenge: Challenge, rows: Sequence[Row]) -> str:
    """A line for each entry that stands."""
    if not rows:
        return f"<p>{both('No entry stands yet.', '아직 검증된 항목이 없습니다.')}</p>"
    cells = []
    for rank, row in enumerate(rows, start=1):
        assert row.result is not None
        score, spent, replay = (row.result[name] for name in ("score", "spent", "replay"))
        kind = both("exact", "동일") if replay["exact"] else both("near", "근사")
        share = 100 * spent["flops"] / challenge.track.flops
        cells.append(
            [
                f"<b>{rank}</b>",
                f"<b>{outside(row.title or row.name)}</b><br><small>{outside(row.name)}"
                f"{signed(row.result)}</small>",
                f"<b>{number(score['mean'])}</b>",
                stacked(score["ko"]),
                stacked(score["en"]),
                stacked(score["kopairs"]),
                f"{spent['flops']:.3g}<br><small>{share:.0f} %</small>",
                f"{tokens(spent['unique_tokens'])}<br><small>{tokens(spent['tokens'])} "
                f"{both('read', '읽음')}</small>",
                f"{tokens(spent['parameters'])}",
                f"{len(replay['intervals'])}/{replay['of']}<br><small>{kind}</small>",
                f"<small>{row.result['minutes']:.1f} {both('min', '분')}<br>"
                f"{outside(row.result['machine'].get('processor', ''))}</small>",
            ]
        )
    heads = [
        "#",
        both("entry", "항목"),
        both("mean bits<br>per byte", "평균<br>바이트당 비트"),
        both("Korean", "한국어"),
        both("English", "영어"),
        "KoPairs",
        "FLOPs",
        both("unique<br>tokens", "고유<br>토큰"),
        both("para-<br>meters", "파라<br>미터"),
        both("replayed", "재현"),
        both("time, machine<br>(not ranked)", "시간, 장비<br>(순위 아님)"),
    ]
    return table(heads, cells, left=2, style="ranking")


def stacked(score: Mapping[str, float]) -> str:
    """A score with its 95 % interval below it."""
    interval = f"{number(score['low'])}–{number(score['high'])}"
    return f"{number(score['value'])}<br><small>{interval}</small>"


def signed(result: Mapping[str, Any]) -> str:
    """The key of a signed entry."""
    key = escape(str(result.get("signed") or ""))
    return f" · {both('key', '키')} <code>{key}</code>" if key else ""


def waiting(rows: Sequence[Row]) -> str:
    """Entries that nobody has verified."""
    cells = [[outside(row.title or row.name), outside(row.name), when(row.received)] for row in rows]
    return table([both("title", "제목"), both("entry", "항목"), both("received", "접수")], cells, left=3)


def refused(rows: Sequence[Row]) -> str:
    """Entries and the faults that they were refused for."""
    cells = [
        [
            f"<b>{outside(row.title or row.name)}</b><br><small>{outside(row.name)}</small>",
            both(*(escape(words) for words in FAULTS.get(fault["name"], (fault["name"],) * 2))),
            f"<small>{outside(fault['detail'])}</small>",
        ]
        for row in rows
        for fault in row.faults
    ]
    return table(
        [both("entry", "항목"), both("fault", "이유"), both("what was found", "확인한 내용")], cells, left=3
    )


def record(challenge: Challenge, lines: Sequence[Mapping[str, Any]]) -> str:
    """What was published when, by the organiser's clock, and what the challenge pins."""
    cells = []
    for line in lines:
        words = both(*EVENTS[line["event"]]) if line["event"] in EVENTS else outside(line["event"])
        shown = line.get("entry") or line.get("result") or line.get("heldout") or ""
        stands = {True: both("stands", "인정"), False: both("refused", "거부")}.get(line.get("stands"), "")  # type: ignore[arg-type]
        cells.append(
            [
                when(line["time"]),
                f"{words}{stands and ': '}{stands}",
                outside(line.get("name", "")),
                f'<span class="hash whole">{escape(str(shown)[:16])}</span>',
                f'<span class="hash whole">{escape(str(line["hash"])[:16])}</span>',
            ]
        )
    heads = [both("time (UTC)", "시각(UTC)"), both("event", "사건"), both("entry", "항목"), "sha256"]
    heads.append(both("line", "줄"))
    pinned = {
        both("challenge", "챌린지"): challenge.identity,
        both("training shards", "학습 샤드"): challenge.content["tokens"],
        both("corpus", "말뭉치"): challenge.content["corpus"],
        both("held-out text and nonce", "평가용 글과 논스"): challenge.content["heldout"],
        both("practice text", "연습용 글"): challenge.content["practice"],
        "KoPairs": challenge.content["kopairs"],
    }
    facts = "".join(
        f'<tr><td>{name}</td><td class="hash">{escape(str(value))}</td></tr>'
        for name, value in pinned.items()
    )
    return table(heads, cells, left=5) + scroll(f'<table class="facts">{facts}</table>')


def notes() -> str:
    """How to read the page."""
    items = "".join(f"<li>{both(*note)}</li>" for note in NOTES)
    return section("How to read this", "읽는 법", f"<ul>{items}</ul>")


def when(seconds: float) -> str:
    """A time to the second."""
    shown = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else "–"
    return f'<span class="whole">{shown}</span>'
