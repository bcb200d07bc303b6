"""Numbers and addresses that layout splits or disguises: what is found, what stays, what masking leaves."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from onnuri.corpus.stages.pii.korean_numbers import resident_check_digit
from onnuri.corpus.stages.pii.mask import KINDS, find, mask, surrogate

RIGHT = f"910307-202345{resident_check_digit('910307202345')}"
"""A resident number with a right check digit."""

FOUND = {
    "phone": (
        "전화 010-3456-\n7890 입니다",
        "연락처 010\n3456\n7890",
        "010-34\n56-7890로 전화",
        "| 김하늘 | 010 | 3456 | 7890 |",
        "김하늘\t010\t3456\t7890",
        "<td>010</td><td>3456</td><td>7890</td>",
        '"010","3456","7890"',
        "010➖3456➖7890",
        "010ー3456ー7890",
        "010*3456*7890",
        "010--3456--7890",
        "⓪①⓪-③④⑤⑥-⑦⑧⑨⓪",
        "𝟎𝟏𝟎-3456-7890",
        "0️⃣1️⃣0️⃣-3️⃣4️⃣5️⃣6️⃣-7️⃣8️⃣9️⃣0️⃣",
        "0 1 0 - 3 4 5 6 - 7 8 9 0",
        "전화 0 1 0 3 4 5 6 7 8 9 0",
        "공일공 삼사오육 칠팔구공",
        "영일영삼사오육칠팔구영",
        "공 일 공 삼 사 오 육 칠 팔 구 공",
        "공일공에 3456에 7890이에요",
        "010-삼사오육-7890",
        "O1O-3456-7890",
        "OlO-3456-7890",
        "010-3456-789O",
        "+82 (0)10 3456\n7890",
        "(02)\n345-6789 문의",
        "고객센터 1588\n3456",
        "대표전화 공이 삼사오 육칠팔구",
    ),
    "rrn": (
        "주민번호 910307-\n2023456",
        "주민등록번호\n910307\n2023456",
        "| 주민번호 | 910307 | 2023456 |",
        "주민번호\t910307\t2023456",
        "주민번호 910307·2023456",
        "주민번호 910307~2023456",
        "주민번호 (910307)(2023456)",
        "주민번호 9 1 0 3 0 7 - 2 0 2 3 4 5 6",
        "주민번호 ⑨①⓪③⓪⑦-②⓪②③④⑤⑥",
        "주민번호 구일공삼공칠 다시 이공이삼사오육",
        "주민번호 9103O7-2O23456",
        "주민번호 앞자리 910307 뒷자리 2023456",
        "| " + RIGHT.replace("-", " | ") + " |",
    ),
    "frn": ("외국인등록번호 | 910307 | 6023456 |", "외국인등록번호 910307\n6023456"),
    "card": (
        "카드번호 4111\n1111\n1111\n1111",
        "카드 4111-1111-\n1111-1111",
        "카드번호 | 4111 | 1111 | 1111 | 1111 |",
        "카드번호 4111·1111·1111·1111",
        "카드번호 사일일일 일일일일 일일일일 일일일일",
        "카드번호 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ),
    "account": (
        "계좌번호 110-345-\n678901",
        "계좌번호 | 110 | 345 | 678901 |",
        "국민은행 345678·01·234567",
        "계좌번호 1 1 0 - 3 4 5 - 6 7 8 9 0 1",
        "신한은행 계좌 일일공 삼사오 육칠팔구공일",
        "계좌 ①①⓪-③④⑤-⑥⑦⑧⑨⓪①",
    ),
    "passport": (
        "여권번호 M345\nB6789",
        "여권번호 Ｍ３４５Ｂ６７８９",
        "여권번호 | M | 34567890 |",
        "passport M·34567890",
        "여권번호 M③④⑤B⑥⑦⑧⑨",
    ),
    "driver_licence": (
        "운전면허 11-12-\n345678-90",
        "면허번호 | 11 | 12 | 345678 | 90 |",
        "면허번호 ①①-①②-③④⑤⑥⑦⑧-⑨⓪",
        "면허번호 11·12·345678·90",
    ),
    "business_number": (
        "사업자등록번호 124-81-\n00998",
        "사업자등록번호 | 124 | 81 | 00998 |",
        "사업자등록번호 1248100998",
        "사업자등록번호 일이사 팔일 공공구구팔",
    ),
    "email": (
        "haneul [at] naver 점 com",
        "haneul 골뱅이 네이버 닷컴",
        "haneul골뱅이gmail쩜com",
        "haneul[골뱅이]naver[점]com",
        "haneul{at}naver{dot}com",
        "haneul AT naver DOT com",
        "ｈａｎｅｕｌ＠ｎａｖｅｒ．ｃｏｍ",
        "haneul@\nnaver.com",
        "haneul@naver.\ncom",
        "메일 haneul\n@naver.com",
        "haneul@ naver.com",
        "haneul@naver . com",
        "haneul@naver,com",
        "haneul@naver com",
    ),
    "vehicle_plate": ("차량번호 34나5678", "번호판 123다 4567", "서울 34나 5678", "주차 차량 34나\n5678"),
    "health_insurance": ("건강보험증 번호 1-3456789012", "건강보험증번호: 13456789012"),
}
STAYS = (
    "| 2019 | 2020 | 2021 | 2022 |\n| 4111 | 1111 | 1111 | 1111 |",
    "| 서울 | 910307 | 2023456 | 3123456 |",
    "910307\n2023456",
    "인구 910307 2023456 가구",
    "예산 | 110 | 345 | 678901 |",
    "01 02 03 04 05 06 07 08 09 10 11 12",
    "0 1 0 1 1 0 1 0 1 1 0 1",
    "지급 1,034,567,890원 계좌",
    "2024-01-15\n2024-02-15\n2024-03-15",
    "제12조\n제3456호",
    "대법원 98다1234 판결, 97도5678 판결",
    "12호 3456년",
    "이사 일이 사오일 걸렸고 오이 구이 이십사",
    "공일공 세대와 이공이공 올림픽",
    "① ② ③ ④ ⑤ ⑥ ⑦ ⑧ ⑨",
    "①12 ②34 ③56 ④78",
    "hello@\nOverride",
    "고맙습니다 @naver.com",
    "a@b,c 문법",
    "see me @home. com is short",
    "213 1 45 678 9012 3",
    "37.566535,\n126.977969",
    "3:2\n1:0\n2:2\n10:8",
    "pp. 101-\n110, 112-\n120",
    "ISBN 979-11-\n5839-123-4",
    "품번 010-3456-\n7890",
    "lOl0-Il1O o0O",
    "여권 발급 A 2024-01-15",
    "건강보험 적용 1-3456789012원",
    "버전 1.2.3\n4.5.6\n7.8.9",
    "192.168.0.1 - 192.168.0.254",
    "010번 버스, 3456번, 7890번",
)


@pytest.mark.parametrize("kind", FOUND)
def test_layout_and_disguise_are_seen_through(kind: str) -> None:
    for text in FOUND[kind]:
        spans = find(text)
        assert [span.kind for span in spans] == [kind], text
        masked, counts = mask(pa.array([text]), KINDS)
        again, _ = mask(masked, KINDS)
        assert again == masked and counts.field(kind).to_pylist() == [1]
        # The same in a batch, with neighbours that must not join it.
        batch = mask(pa.array(["1\n", text, "\n1"]), KINDS)[0]
        assert batch.to_pylist() == ["1\n", masked[0].as_py(), "\n1"]


@pytest.mark.parametrize("text", STAYS)
def test_what_merely_looks_split_stays(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("| 주민번호 | 910307 | 2023456 |\n", "| 주민번호 | <|rrn|> |  |\n"),
        ("전화 010-3456-\n7890 입니다", "전화 <|phone|>\n 입니다"),
        ("전화\t010\t3456\t7890\t끝", "전화\t<|phone|>\t\t\t끝"),
        ("<td>010</td><td>3456</td><td>7890</td>", "<td><|phone|></td><td></td><td></td>"),
        ("haneul@\nnaver.com으로", "<|email|>\n으로"),
        ("공일공 삼사오육 칠팔구공 입니다", "<|phone|> 입니다"),
    ],
)
def test_masking_keeps_lines_and_cells(text: str, left: str) -> None:
    assert mask(pa.array([text]))[0].to_pylist() == [left]


def test_surrogates_keep_the_script() -> None:
    assert surrogate("공일공 삼사오육 칠팔구공", "phone").startswith("공일공 공공공공 ")
    assert surrogate("⓪①⓪-③④⑤⑥-⑦⑧⑨⓪", "phone").startswith("⓪①⓪-⓪⓪⓪⓪-")
    assert surrogate("910307 | 2023456", "rrn")[6:10] == " | 2"
    digits = "".join(char for char in surrogate("010-3456-7890", "phone") if char.isdigit())
    hangul = surrogate("공일공 삼사오육 칠팔구공", "phone").translate(
        str.maketrans("공일이삼사오육칠팔구", "0123456789")
    )
    assert hangul.replace(" ", "") == digits
    assert surrogate("34나5678", "vehicle_plate")[2:5] == "나00"
    assert surrogate("1-3456789012", "health_insurance").startswith("0-")


@pytest.mark.parametrize(
    "unit",
    [
        "0",
        "-",
        "공",
        "공 ",
        "공일공 ",
        "010\n",
        "010 3456\n",
        "0|",
        "O1",
        "⓪①⓪",
        "1 1\n",
        "a@\n",
        "여권 M1 ",
    ],
)
def test_a_long_row_of_digits_takes_linear_time(unit: str) -> None:
    times = []
    for size in (20_000, 80_000):
        texts = pa.array([unit * (size // len(unit))])
        start = time.process_time()
        mask(texts)
        times.append(time.process_time() - start)
    assert times[1] < 8 * max(times[0], 0.02)
