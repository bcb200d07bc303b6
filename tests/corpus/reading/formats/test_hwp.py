"""Documents are written record by record, as the word processor does."""

from __future__ import annotations

import random
import struct

import pytest
from compound_file import compound_file, control, control_unit, hwp_file, list_header, paragraph, record
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.reading.formats import hwp
from tests.soak import tries

TABLE = control_unit(11)


def table(level: int, rows: list[list[list[str]]], caption: str = "") -> bytes:
    """The control of a table, after the paragraph that it hangs on."""
    out = control(level, "tbl ", bytes(40))
    if caption:
        out += list_header(level + 1) + paragraph(level + 1, caption)
    out += record(77, level + 1, bytes(20))
    for row, cells in enumerate(rows):
        for column, lines in enumerate(cells):
            out += list_header(level + 1, column, row)
            out += b"".join(paragraph(level + 1, line) for line in lines)
    return out


def test_paragraphs_in_order_and_sections_too() -> None:
    raw = hwp_file(paragraph(0, "첫 문단") + paragraph(0) + paragraph(0, "둘째"), paragraph(0, "새 구역"))
    assert hwp.text(raw) == "첫 문단\n\n둘째\n새 구역"


def test_control_characters_have_their_width() -> None:
    line = paragraph(
        0,
        "가",
        control_unit(9),
        "나\n다",
        b"\x18\0",
        "라",
        b"\x1e\0",
        "마",
        control_unit(3),
        "바",
        control_unit(4),
    )
    assert hwp.text(hwp_file(line)) == "가\t나\n다-라\u00a0마바"


def test_table_is_rows_with_tabs_after_its_caption() -> None:
    body = paragraph(0, "앞 ", TABLE, "뒤") + table(
        1, [[["이름"], ["나이"]], [["홍길동"], ["20"]], [[""], [""]]], "표 제목"
    )
    assert hwp.text(hwp_file(body + paragraph(0, "끝"))) == "앞 뒤\n표 제목\n이름\t나이\n홍길동\t20\n끝"


def test_cells_of_several_lines_and_tables_inside_cells() -> None:
    inner = table(3, [[["ㄱ"], ["ㄴ"]]])
    cell = list_header(2) + paragraph(2, "윗줄", TABLE) + inner + paragraph(2, "아랫줄")
    body = (
        paragraph(0, TABLE)
        + control(1, "tbl ")
        + record(77, 2, bytes(20))
        + cell
        + list_header(2, 1)
        + paragraph(2, "옆")
    )
    assert hwp.text(hwp_file(body)) == "윗줄\nㄱ\tㄴ\n아랫줄\n옆"


def test_notes_follow_and_page_headers_do_not() -> None:
    body = paragraph(0, control_unit(16), "본문", control_unit(17), " 계속")
    body += control(1, "head", bytes(8)) + list_header(2) + paragraph(2, "머리말")
    body += control(1, "fn  ", bytes(8)) + list_header(2) + paragraph(2, "각주 내용")
    assert hwp.text(hwp_file(body)) == "본문 계속\n각주 내용"


def test_equations_ruby_and_caption_numbers_stand_in_the_line() -> None:
    def sized(text: str) -> bytes:
        return struct.pack("<H", len(text)) + text.encode("utf-16-le")

    body = paragraph(
        0, "식 ", control_unit(11), "은 ", control_unit(23), "의 표 ", control_unit(18), "이다"
    )
    body += control(1, "eqed", bytes(20)) + record(88, 2, bytes(4) + sized("a over b"))
    body += control(1, "tdut", sized("본말") + sized("덧말"))
    body += control(1, "atno", struct.pack("<IHH", 4, 7, 0))
    assert hwp.text(hwp_file(body)) == "식 a over b은 본말의 표 7이다"


@pytest.mark.parametrize("flags", [0, 1])
@pytest.mark.parametrize("length", [3, 5_000])
def test_large_and_small_streams_packed_or_not(flags: int, length: int) -> None:
    text = "".join(chr(0xAC00 + i * 7 % 11172) for i in range(length))
    assert hwp.text(hwp_file(paragraph(0, text), flags=flags)) == text


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_any_text_comes_back(lines: list[str]) -> None:
    lines = [line.replace("\ufdd0", "") for line in lines]
    assert hwp.text(hwp_file(b"".join(paragraph(0, line) for line in lines))) == "\n".join(lines)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"", "not a HWP 5 file"),
        (b"%PDF-1.7", "not a HWP 5 file"),
        (b"HWP Document File V3.00 \x1a\1\2", "HWP 3"),
        (hwp_file(paragraph(0, "가"), flags=3), "password"),
        (hwp_file(paragraph(0, "가"), flags=5), "distribution"),
        (hwp_file(paragraph(0, "가"), flags=17), "DRM"),
        (compound_file({"WordDocument": b"x" * 100}), "no FileHeader"),
        (hwp_file(), "no BodyText"),
        (hwp_file(paragraph(0, "가"))[:700], "damaged"),
        (hwp_file(struct.pack("<I", 67 | 0xFFF << 20) + b"\xff\xff\xff\x7f"), "beyond its section"),
        (hwp_file(bytes(17 << 20)), "bytes of body"),
        (hwp_file(record(66, 0) * 300_001), "records"),
        (hwp_file(b"".join(record(66 if i % 2 else 71, i) for i in range(600))), "deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why(raw: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        hwp.text(raw)
    assert "\n" not in str(caught.value)


@settings(max_examples=tries(75, 1200), deadline=None)
@given(st.randoms(use_true_random=False))
def test_damage_is_a_value_error_or_a_text(rng: random.Random) -> None:
    body = paragraph(0, "앞 ", TABLE) + table(1, [[["이름"], ["나이"]]]) + paragraph(0, "끝")
    raw = bytearray(hwp_file(body, flags=rng.choice([0, 1])))
    for _ in range(rng.choice([1, 4, 40])):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(5))
    try:
        hwp.text(bytes(raw))
    except ValueError as error:
        assert str(error)
