"""The figures for people: a table for the terminal, a page, a picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnuri.corpus.report.style import STYLE
from onnuri.corpus.report.words import escape

COLUMNS = {
    "tokens_per_character": ("tokens per character · 글자당 토큰", "{:.4f}"),
    "bytes_per_token": ("bytes per token · 토큰당 바이트", "{:.3f}"),
    "tokens_per_word": ("tokens per word · 어절당 토큰", "{:.3f}"),
    "single_token_words": ("words of one token · 한 토큰 어절", "{:.1%}"),
    "single_token_syllables": ("syllables with a token · 토큰이 있는 음절", "{:.2%}"),
    "encode_mb_per_second": ("encode MB/s · 부호화", "{:.1f}"),
    "decode_mb_per_second": ("decode MB/s · 복호화", "{:.1f}"),
    "documents_lost": ("documents not exact · 복원 실패 문서", "{:,}"),
}
"""Figure to its title and how it is written."""
NOTES = [
    "tokens per character: Unicode code points, no special tokens; lower is shorter, and faster. "
    "A tokenizer that was trained on text of the same sources has an advantage here. · "
    "글자당 토큰: 낮을수록 짧고 빠르다. 같은 출처의 글로 학습한 토크나이저가 유리하다.",
    "word: what blanks separate (eojeol), by occurrence; of one token: encoded with the space before it. · "
    "어절: 공백으로 나뉜 단위. 앞 공백을 붙여 부호화하면 토큰 하나가 되는 비율(출현 횟수 기준).",
    "syllables with a token: the syllable's bytes are a token; of the 11,172, and by occurrence. · "
    "음절 하나가 토큰 하나인 비율(11,172자 가운데, 그리고 출현 횟수 기준).",
    "superwords: tokens with a space that is not at the edge. · "
    "초단어: 가장자리가 아닌 곳에 공백이 있는 토큰.",
    "not exact: encoded and decoded, the text is another one. · "
    "복원 실패: 부호화한 뒤 복호화하면 원문과 다른 글.",
    "MB/s: 10^6 bytes of UTF-8, one thread, after a warm-up, through the library named. · 한 스레드 기준.",
]
NARROW = "th.n { white-space: normal } td:first-child { white-space: nowrap }"
NUM_PICTURED = 2
"""The picture shows as many languages."""
ROW, BAR, LEFT, WIDTH = 44, 15, 260, 560
"""The picture's sizes, in pixels: a row, a bar, the names, the longest bar."""


def main_languages(result: Mapping[str, Any]) -> list[str]:
    """All languages: Korean, then those with most characters."""
    entries = result["tokenizers"][0]["languages"]
    return sorted(entries, key=lambda lang: (lang != "ko", -entries[lang]["characters"], lang))


def by_length(result: Mapping[str, Any], lang: str) -> list[Any]:
    """The tokenizers, those that make text of a language shortest first."""
    return sorted(result["tokenizers"], key=lambda one: one["languages"][lang]["tokens_per_character"])


def pictured(result: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """Languages and tokenizers in the order of the picture, which the first language decides."""
    languages = main_languages(result)[:NUM_PICTURED]
    return languages, by_length(result, languages[0])


def table(result: Mapping[str, Any]) -> str:
    """The main figures for the terminal."""
    languages, tokenizers = pictured(result)
    width = max(len("tokens per character"), *(len(one["name"]) for one in tokenizers))
    heads = [*languages, "vocab", "superwords", "encode MB/s", "decode MB/s", "not exact"]
    lines = [f"{'tokens per character':<{width}}" + "".join(f"{head:>12}" for head in heads)]
    for one in tokenizers:
        total = one["total"]
        cells = [write("tokens_per_character", one["languages"][lang]) for lang in languages]
        cells += [f"{one['vocab_size']:,}", f"{one['superwords']:,}"]
        cells += [write(key, total) for key in list(COLUMNS)[-3:]]
        lines.append(f"{one['name']:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


def write(key: str, figures: Mapping[str, Any]) -> str:
    """A figure as people read it."""
    return "–" if figures[key] is None else COLUMNS[key][1].format(figures[key])


def page(result: Mapping[str, Any]) -> str:
    """report.html: self-contained, no script."""
    total = result["tokenizers"][0]["total"]
    code = result["code"]
    body = "\n".join(
        [
            "<h1>Tokenizer report · 토크나이저 보고서</h1>",
            f'<p class="lead">{len(result["tokenizers"]):,} tokenizers on the same {total["documents"]:,} '
            f"documents, {total['characters']:,} characters. · 같은 문서로 잰 토크나이저 비교.</p>",
            _section("Tokens per character, lower is better · 글자당 토큰, 낮을수록 좋음", picture(result)),
            *(_language(result, lang) for lang in main_languages(result)),
            _vocabularies(result),
            _sources(result),
            _section("What the figures mean · 용어", "".join(f"<p>{note}</p>" for note in NOTES)),
            f'<p class="note">{escape(result["input"])} · {escape(result["machine"])} · '
            f"onnuri {code['version']} {code['commit'][:10]}</p>",
        ]
    )
    return (
        '<!doctype html>\n<html lang="ko"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Tokenizer report</title><style>{STYLE}{NARROW}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def picture(result: Mapping[str, Any]) -> str:
    """Horizontal bars as SVG, a row for each tokenizer and a bar for each language."""
    languages, tokenizers = pictured(result)
    values = [[one["languages"][lang]["tokens_per_character"] for lang in languages] for one in tokenizers]
    scale = WIDTH / max(map(max, values))
    parts = []
    for row, (one, lengths) in enumerate(zip(tokenizers, values, strict=True)):
        top = row * ROW
        parts.append(f'<text x="{LEFT - 10}" y="{top + 21}" text-anchor="end">{escape(one["name"])}</text>')
        for index, length in enumerate(lengths):
            y, end = top + 3 + index * (BAR + 1), LEFT + length * scale
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{length * scale:.1f}" height="{BAR}" rx="2" '
                f'fill="var(--c{index})"/><text x="{end + 6:.1f}" y="{y + 12}">{length:.3f}</text>'
            )
    legend = "".join(f"<span><i class=c{i}></i>{escape(lang)}</span>" for i, lang in enumerate(languages))
    return (
        f'<svg viewBox="0 0 {LEFT + WIDTH + 60} {ROW * len(tokenizers)}" role="img" width="100%" '
        f'font-size="13" fill="currentColor">{"".join(parts)}</svg><div class="legend">{legend}</div>'
    )


def _language(result: Mapping[str, Any], lang: str) -> str:
    rows = [
        [escape(one["name"]), *(write(key, one["languages"][lang]) for key in COLUMNS)]
        for one in by_length(result, lang)
    ]
    heads = ["tokenizer · 토크나이저", *(title for title, _ in COLUMNS.values())]
    return _section(f"Language · 언어: {escape(lang)}", _table(heads, rows))


def _vocabularies(result: Mapping[str, Any]) -> str:
    heads = ["tokenizer · 토크나이저", "tokens · 토큰 수", "superwords · 초단어"]
    heads += [
        "Hangul syllables of 11,172 · 음절",
        "encoded by · 라이브러리",
        "strings not exact · 복원 실패 글",
    ]
    rows = [
        [
            f'<span title="{escape(one["path"])}">{escape(one["name"])}</span>',
            f"{one['vocab_size']:,}",
            f"{one['superwords']:,}",
            f"{one['hangul_syllables']:,} ({one['hangul_syllables_share']:.1%})",
            one["library"],
            "<br>".join(map(escape, one["hard_strings_lost"])) or "–",
        ]
        for one in pictured(result)[1]
    ]
    return _section("Vocabularies · 어휘", _table(heads, rows))


def _sources(result: Mapping[str, Any]) -> str:
    tokenizers = pictured(result)[1]
    rows = []
    for index, source in enumerate(result["tokenizers"][0]["sources"]):
        lengths = [one["sources"][index]["tokens_per_character"] for one in tokenizers]
        cells = [f"<b>{x:.4f}</b>" if x == min(lengths) else f"{x:.4f}" for x in lengths]
        label = f"{escape(source['source'])} <small>{escape(source['lang'])}</small>"
        rows.append([label, f"{source['characters']:,}", *cells])
    heads = ["source · 출처", "characters · 글자", *(escape(one["name"]) for one in tokenizers)]
    return _section("Tokens per character by source · 출처별 글자당 토큰", _table(heads, rows))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; all but the first column stand right."""
    written = "".join(
        f"<tr><td>{row[0]}</td>{''.join(f'<td class=n>{cell}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    first, *others = (head.replace(" · ", "<br>") for head in heads)
    return f"<table><tr><th>{first}{''.join(f'<th class=n>{h}' for h in others)}</tr>{written}</table>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def draw(result: Mapping[str, Any], path: Path) -> None:
    """The same picture as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    languages, tokenizers = pictured(result)
    height = 0.8 / len(languages)
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.5 * len(tokenizers)), constrained_layout=True)
    for index, lang in enumerate(languages):
        values = [one["languages"][lang]["tokens_per_character"] for one in tokenizers]
        rows = [row + (index - (len(languages) - 1) / 2) * height for row in range(len(tokenizers))]
        bars = axes.barh(rows, values, height, label=lang, color=f"C{index}")
        axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    names = [f"{one['name']} ({one['vocab_size'] / 1000:.0f}k)" for one in tokenizers]
    axes.set_yticks(range(len(tokenizers)), names, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="tokens per character (lower is better)")
    axes.legend()
    axes.grid(axis="x", alpha=0.3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in a script that no font here has
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
