from __future__ import annotations

import io
import random
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.reading.formats import hwpx
from tests.soak import tries

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><hs:sec xmlns:hs="s" xmlns:hp="p">'


def package(*sections: str | bytes, **more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/hwp+zip")
        for name, content in more.items():
            file.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
        for number, section in reversed(list(enumerate(sections))):  # the order in the zip says nothing
            file.writestr(f"Contents/section{number}.xml", section)
    return out.getvalue()


def section(body: str) -> str:
    return f"{HEAD}{body}</hs:sec>"


def p(inner: str) -> str:
    return f"<hp:p><hp:run>{inner}</hp:run><hp:linesegarray><hp:lineseg/></hp:linesegarray></hp:p>"


def t(text: str) -> str:
    return f"<hp:t>{text}</hp:t>"


def sub(*paragraphs: str) -> str:
    return f"<hp:subList>{''.join(paragraphs)}</hp:subList>"


def table(rows: list[list[str]], caption: str = "") -> str:
    cells = "".join(
        f"<hp:tr>{''.join(f'<hp:tc>{sub(cell)}<hp:cellAddr/></hp:tc>' for cell in row)}</hp:tr>"
        for row in rows
    )
    return f"<hp:tbl>{caption and f'<hp:caption>{sub(p(t(caption)))}</hp:caption>'}{cells}</hp:tbl>"


def test_paragraphs_and_sections_in_their_order() -> None:
    body = [p(t("첫 문단") + t(" 계속")), p(""), p(t("둘째"))]
    sections = [section("".join(body)), *(section(p(t(f"구역 {number}"))) for number in range(1, 12))]
    assert hwpx.text(package(*sections)).split("\n") == [
        "첫 문단 계속",
        "",
        "둘째",
        *(f"구역 {i}" for i in range(1, 12)),
    ]


def test_marks_inside_text() -> None:
    inner = '가<hp:tab width="1"/>나<hp:lineBreak/>다<hp:nbSpace/>라<hp:fwSpace/>'
    inner += "마&lt;&#xAC00;<hp:markpenBegin/>바<hp:hyphen/>"
    assert hwpx.text(package(section(p(t(inner))))) == "가\t나\n다\u00a0라 마<가바-"


def test_tables_captions_and_tables_inside() -> None:
    inner = table([[p(t("ㄱ")), p(t("ㄴ"))]])
    rows = [
        [p(t("이름")), p(t("나이"))],
        [p(t("윗줄") + inner) + p(t("아랫줄")), p(t("옆"))],
        [p(""), p("")],
    ]
    text = hwpx.text(package(section(p(t("앞 ") + table(rows, "표 제목") + t("뒤")))))
    assert text == "앞 뒤\n표 제목\n이름\t나이\n윗줄\nㄱ\tㄴ\n아랫줄\n옆"


def test_a_row_stays_a_row_where_its_cells_are_short() -> None:
    row = table([[p(t("야간")) + p(t("(22시 이후)")), p(t("12,000원"))]])
    assert hwpx.text(package(section(p(row)))) == "야간 (22시 이후)\t12,000원"
    long = p(t("가" * 150)) + p(t("나" * 150))
    lines = ["가" * 150, "나" * 150, "끝"]
    assert hwpx.text(package(section(p(table([[long, p(t("끝"))]]))))).split("\n") == lines
    alone = p(t("한 칸의")) + p(t("두 문단"))
    assert hwpx.text(package(section(p(table([[alone]]))))) == "한 칸의\n두 문단", "a frame around text"


def test_form_fields_stand_in_the_line() -> None:
    fields = '<hp:checkBtn caption="동의함"/><hp:edit><hp:text>홍길동</hp:text></hp:edit>'
    fields += '<hp:comboBox selectedValue="서울"><hp:listItem value="부산"/></hp:comboBox>'
    assert hwpx.text(package(section(p(fields + t("끝"))))) == "동의함 홍길동 서울 끝"


def test_notes_follow_boxes_too_and_headers_comments_and_deletions_do_not() -> None:
    note = f"<hp:ctrl><hp:footNote>{sub(p(t('각주')))}</hp:footNote></hp:ctrl>"
    head = f"<hp:ctrl><hp:header>{sub(p(t('머리말')))}</hp:header></hp:ctrl>"
    box = f"<hp:rect><hp:drawText>{sub(p(t('글상자')))}</hp:drawText></hp:rect>"
    memo = f"<hp:ctrl><hp:fieldBegin type='MEMO'>{sub(p(t('메모')))}</hp:fieldBegin></hp:ctrl>"
    deleted = t("남고<hp:deleteBegin/>지운 말<hp:deleteEnd/> 끝")
    assert (
        hwpx.text(package(section(p(head + t("본문") + note + box + memo + deleted))))
        == "본문남고 끝\n각주\n글상자"
    )


def test_equations_ruby_and_caption_numbers_stand_in_the_line() -> None:
    inner = t("식 ") + "<hp:equation><hp:script>a over b</hp:script></hp:equation>" + t(" 표 ")
    inner += '<hp:ctrl><hp:autoNum num="7" numType="TABLE"/></hp:ctrl>'
    inner += '<hp:ctrl><hp:autoNum num="3" numType="PAGE"/></hp:ctrl>'
    inner += "<hp:dutmal><hp:mainText>본말</hp:mainText><hp:subText>덧말</hp:subText></hp:dutmal>"
    assert hwpx.text(package(section(p(inner)))) == "식 a over b 표 7본말"


def declared_small(raw: bytes) -> bytes:
    """The table of contents says that the section is 10 bytes."""
    place = raw.rindex(b"PK\1\2")
    return raw[: place + 24] + (10).to_bytes(4, "little") + raw[place + 28 :]


BOMB = (
    "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
    + section(p(t("&b;"))).split("?>")[1]
)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"", "not a zip"),
        (package(), "no Contents/section0"),
        (package(section(p(t("가"))))[:-30], "damaged"),
        (package("<hs:sec><hp:p></hs:sec>"), "XML"),
        (package(BOMB), "document type"),
        (package(section("<hp:p><hp:run>" * 300 + "</hp:run></hp:p>" * 300)), "deep"),
        (package(section(" " * (25 << 20))), "bytes of XML"),
        (package(section(" " * (13 << 20)), section(" " * (13 << 20))), "bytes of XML"),
        (package(section(p(t("가"))), **{"META-INF__manifest_xml": "<encryption-data/>"}), "password"),
        (declared_small(package(section(p(t("가"))))), "damaged"),
        (package(section("").replace("UTF-8", "no-such")), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why(raw: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        hwpx.text(raw)
    assert "\n" not in str(caught.value)


@settings(max_examples=tries(75, 1200), deadline=None)
@given(st.randoms(use_true_random=False))
def test_damage_is_a_value_error_or_a_text(rng: random.Random) -> None:
    xml = bytearray(section(p(t("앞") + table([[p(t("이름")), p(t("나이"))]]))).encode())
    inside = rng.random() < 0.5
    raw = xml if inside else bytearray(package(bytes(xml)))
    for _ in range(rng.choice([1, 4])):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randrange(9)] = rng.choice(
            [b"", b"<", b"</hp:p>", b"<hp:tc>", rng.randbytes(2)]
        )
    try:
        hwpx.text(package(bytes(raw)) if inside else bytes(raw))
    except ValueError as error:
        assert str(error)
