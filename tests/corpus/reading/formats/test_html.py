from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_pages import PAGES, Labelled

from onnuri.corpus.reading.formats import html
from tests.soak import tries

P = "<p>여기에 본문 한 문단이 있습니다.</p>"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("codec", ["utf-8", "cp949", "utf-16"])
def test_content_is_found_and_what_is_around_it_is_not(page: Labelled, codec: str) -> None:
    # Of five hand-made pages; the two items of a list next to <main> are a known loss.
    source = page.html.replace("©", "(c)").replace("charset=utf-8", "charset=euc-kr")
    text = " ".join(html.extract(source.encode(codec)).text.split())
    lost = [phrase for phrase in page.content if phrase not in text]
    assert lost in ([], ["재학 중인 학생", "평균 성적이"])
    assert not [phrase for phrase in page.boilerplate if phrase in text]


def test_title_language_and_layout() -> None:
    rows = "<table><tr><th>이름</th><td>홍길동</td></tr><tr><th>나이</th><td>20</td></tr></table>"
    head = "<html lang=ko-KR><title> 긴 &amp;\n 제목</title>"
    page = html.extract(f"{head}<body><main><h1>머리</h1>{P}{rows}<p>가<br>나</p></main>".encode())
    assert (page.title, page.language) == ("긴 & 제목", "ko-KR")
    blocks = page.text.split("\n\n")
    assert blocks[:2] == ["머리", "여기에 본문 한 문단이 있습니다."]
    assert "이름\t\t홍길동" in blocks[2] and blocks[-1].endswith("가\n나")
    assert html.extract(b"<p>x") == ("x", "", "", "")


@given(
    st.lists(
        st.tuples(st.sampled_from(["b", "a", "i", "span"]), st.text("가은는이의月ㅋ。a ", max_size=3)),
        max_size=8,
    )
)
@settings(deadline=None)
def test_single_syllables_between_tags_are_kept(pieces: list[tuple[str, str]]) -> None:
    inner = "".join(f"{text}<{tag}>{text}</{tag}>" for tag, text in pieces)
    text = html.extract(f"<body><main>{P}<p>시작 {inner} 끝</p></main>".encode()).text
    expected = "".join(text + text for _, text in pieces)
    assert "".join(text.split("시작")[1].split("끝")[0].split()) == "".join(expected.split())


def test_single_syllables_in_cells_titles_and_as_numbers_are_kept() -> None:
    rows = (
        "<table><tr><td>월</td><td> 화\n</td><td>&#49688;</td><td>&#xBAA9;</td><td>\ue001</td></tr></table>"
    )
    page = html.extract(f"<title>책</title><body><main>{P}{rows}".encode())
    assert page.title == "책"
    assert page.text.split("\n\n")[1].split() == ["월", "화", "수", "목"]


def test_declared_charset_counts_where_the_page_says_nothing() -> None:
    raw = "<p>日本語のページです。これはテストです。".encode("shift_jis")
    assert html.extract(raw, "Shift_JIS").text == "日本語のページです。これはテストです。"


COSTLY = {
    "div": "<div>" * 100_000,
    "table": "<table><tr><td>" * 50_000,
    "list": "<ul><li>" * 50_000,
    "svg": "<svg>" + "<g>" * 100_000,
    "formatting": "<p>" + "".join(f"<font size={i}>" for i in range(300)) + "</p>" + P * 10_000,
    "mixed": "<DIV><SPAN></SPAN><B>" * 30_000,
    "many": "<p>a" * 600_000,
    "attributes": "<p " + " ".join(f"a{i}=1" for i in range(100_000)) + ">",
    "slashed": "<p " + "/".join(f"a{i}" for i in range(100_000)) + ">",
    "quoted": "<p " + "".join(f"a{i}='>'" for i in range(100_000)) + ">",
    "unclosed": "<p " + " ".join(f"a{i}" for i in range(100_000)),
    "size": "가" * (3 << 20),
}


@pytest.mark.parametrize("name", COSTLY)
def test_what_would_take_minutes_or_gigabytes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"costly|page of more"):
        html.extract(f"<html><body>{COSTLY[name]}{P}".encode())


@pytest.mark.parametrize(
    "markup",
    [
        "<!--" + "-" * 100_000 + "-->",
        "<script>" + "if (a<b) {}" * 50_000 + "</script>",
        "&amp;" * 100_000,
        "</div></p></b>" * 20_000,
        "<br>" * 100_000,
        "<a href=x>" * 50_000,
        "<p>" * 50_000,
        "<img src='data:image/png;base64," + "iVBORw0KGgo/" * 20_000 + "'>",
        "<p class='" + "a" * 1_000_000 + "'>",
        "<!DOCTYPE x [" + "<!ENTITY a 'b'>" * 1_000 + "]>",
        "<div><span>" * 150 + "</span></div>" * 150,
        "<" * 1_000_000,
    ],
    ids=lambda markup: markup[:12],
)
def test_what_is_only_odd_is_read(markup: str) -> None:
    assert "한 문단이" in html.extract(f"<html><body>{markup}{P}".encode()).text


@pytest.mark.parametrize(
    "raw", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 9, b"<p>\xff\xfe\xfa" * 9, bytes(5_000)]
)
def test_what_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        html.extract(raw)


PIECES = [
    "<",
    ">",
    "</",
    "<div>",
    "</div>",
    "<table>",
    "<tr><td>",
    "<svg>",
    "<template>",
    "<!--",
    "-->",
    '"',
    "&#",
]
PIECES += [
    "<script>",
    "<select>",
    "<b>",
    "</p>",
    "<main>",
    "<body>",
    "<frameset>",
    "<noscript>",
    "\ud7ff",
    "\uffff",
]


@settings(max_examples=tries(75, 1200), deadline=None)
@given(st.sampled_from(PAGES), st.randoms(use_true_random=False), st.booleans())
def test_damage_is_a_value_error_or_a_text(page: Labelled, rng: random.Random, in_bytes: bool) -> None:
    source = page.html
    for _ in range(rng.choice([1, 5, 50])):
        place = rng.randrange(len(source))
        source = (
            source[:place]
            + rng.choice(PIECES) * rng.choice([1, 1, 30])
            + source[place + rng.randrange(9) :]
        )
    raw = bytearray(source.encode())
    if in_bytes:
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    try:
        html.extract(bytes(raw))
    except ValueError as error:
        assert str(error)
