"""Personal data: recall and precision on a labelled set, single rows, and what masking promises."""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_personal_data import NEGATIVES, Labelled, negatives, positives

from onnuri.corpus.stages import joined
from onnuri.corpus.stages.korean_numbers import birth_date, is_card
from onnuri.corpus.stages.personal_data import DEFAULT_KINDS, KINDS, PLACEHOLDERS, find, mask, surrogate

PLACEHOLDER = re.compile("|".join(re.escape(token) for token in set(PLACEHOLDERS.values())))
SHAPE = re.compile("[0-9]")
PER_KIND = 2_100
PER_FAMILY = 1_100


def _found(rows: list[Labelled]) -> list[set[tuple[int, int, str]]]:
    """Spans per text, relative to it, found in the whole set as one joined batch."""
    found: list[set[tuple[int, int, str]]] = [set() for _ in rows]
    spans = iter(find(joined.join(pa.array([row.text for row in rows]))))
    span, offset = next(spans, None), 0
    for row, mine in zip(rows, found, strict=True):
        end = offset + len(row.text)
        while span is not None and span.start < end:
            mine.add((span.start - offset, span.end - offset, span.kind))
            span = next(spans, None)
        offset = end + 1
    return found


def test_recall_and_precision_on_the_labelled_set() -> None:
    rows = [*positives(1, PER_KIND), *negatives(2, PER_FAMILY)]
    assert sum(len(row.spans) for row in rows) >= 20_000
    assert sum(not row.spans for row in rows) >= 20_000
    right, missed, wrong, wrong_by_family = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    examples: list[str] = []
    for row, found in zip(rows, _found(rows), strict=True):
        expected = set(row.spans)
        right.update(kind for *_, kind in expected & found)
        missed.update(kind for *_, kind in expected - found)
        wrong.update(kind for *_, kind in found - expected)
        if found - expected and not row.spans:
            wrong_by_family[row.family] += len(found - expected)
        if found != expected:
            examples.append(f"{row.family}: {row.text!r} expected {row.spans} found {sorted(found)}")
    # The table is a result of the test: `pytest -s` shows it.
    print(f"\n{'kind':16} {'recall':>8} {'precision':>10} {'right':>7} {'missed':>7} {'wrong':>6}")
    scores = {}
    for kind in KINDS:
        recall = right[kind] / (right[kind] + missed[kind])
        precision = right[kind] / (right[kind] + wrong[kind])
        scores[kind] = (recall, precision)
        print(f"{kind:16} {recall:8.4f} {precision:10.4f} {right[kind]:7} {missed[kind]:7} {wrong[kind]:6}")
    print("wrong in families of negatives:", dict(wrong_by_family.most_common()), "of", PER_FAMILY, "each")
    print("\n".join(examples[:: max(1, len(examples) // 12)]))
    assert set(wrong_by_family) <= set(NEGATIVES)
    assert all(recall >= 0.99 and precision >= 0.98 for recall, precision in scores.values()), scores


# ⟦ and ⟧ stand around what has to be masked, with the kind after a colon.
ROWS = (
    # Resident and foreigner numbers: right check digit, newborn, context, and what stays.
    "⟦900101-1234568:rrn⟧",
    "⟦900101 - 1234568:rrn⟧이다",
    "⟦9001011234568:rrn⟧",
    "주민등록번호는 ⟦900101-1234567:rrn⟧입니다",
    "생년월일⟦900101-1234567:rrn⟧",
    "900101-1234567",
    "900101-1******",
    "⟦201001-3123456:rrn⟧ 아기",
    "200930-3123456",
    "주문번호 240115-3123456",
    "외국인등록번호 ⟦850505-5123456:frn⟧",
    "⟦211225-7123456:frn⟧",
    "901301-1234568",
    "법인등록번호 110111-1234569",
    # Phones.
    "⟦010-1234-5678:phone⟧",
    "⟦010.1234.5678:phone⟧",
    "⟦010 1234 5678:phone⟧",
    "⟦01012345678:phone⟧",
    "⟦011-234-5678:phone⟧, ⟦019-9234-5678:phone⟧",
    "⟦02-123-4567:phone⟧",
    "⟦02)123-4567:phone⟧",
    "⟦(02)1234-5678:phone⟧",
    "전화⟦(02) 1234-5678:phone⟧",
    "⟦031-123-4567:phone⟧~8",
    "⟦070-1234-5678:phone⟧",
    "⟦080-023-4567:phone⟧",
    "⟦0505-123-4567:phone⟧",
    "⟦1588-1234:phone⟧",
    "⟦1577-3082:phone⟧",
    "⟦+82 10 1234 5678:phone⟧",
    "⟦+82-10-1234-5678:phone⟧",
    "⟦+82)10-1234-5678:phone⟧",
    "⟦(+82) 10-1234-5678:phone⟧",
    "⟦82-10-1234-5678:phone⟧",
    "⟦+82-2-123-4567:phone⟧",
    "전화⟦010-1234-5678:phone⟧",
    "TEL⟦02-123-4567:phone⟧/FAX⟦02-123-4568:phone⟧",
    "연락처 ⟦0212345678:phone⟧",
    "010-123-456",
    "010-1234-56789",
    "AB-010-1234-5678",
    "품번 010-1234-5678",
    "임진왜란(1592-1598)",
    "1599-1600년",
    "제02-2024-0115호",
    "0.01012345678",
    "https://shop.kr/p/01012345678",
    # Cards and accounts.
    "⟦4111-1111-1111-1111:card⟧",
    "카드⟦4111111111111111:card⟧로",
    "⟦3782 822463 10005:card⟧",
    "4111-1111-1111-1112",
    "국민은행 ⟦123456-12-123456:account⟧",
    "신한 ⟦110-123-456789:account⟧으로 입금",
    "카카오뱅크 ⟦3333-01-1234567:account⟧",
    "계좌번호: ⟦11012345678901:account⟧",
    "110-123-456789",
    "우리 제품 번호는 110-123-456789",
    "입금 2024-01-15",
    "입금일시 20240115123045",
    "입금액 1234567890원",
    # Passports, licences, business numbers.
    "⟦M123A4567:passport⟧",
    "여권⟦M12345678:passport⟧",
    "M12345678",
    "부품번호 M123A4567",
    "⟦11-12-345678-90:driver_licence⟧",
    "27-12-345678-90",
    "사업자등록번호 ⟦124-81-00998:business_number⟧",
    # E-mail.
    "이메일⟦hong@naver.com:email⟧",
    "이메일⟦hong.gildong@naver.com:email⟧으로",
    "⟦kim+news@mail.cs.snu.ac.kr:email⟧입니다.",
    "⟦01012345678@naver.com:email⟧",
    "⟦hong (at) naver.com:email⟧",
    "⟦hong골뱅이naver.com:email⟧",
    "⟦hong@naver.com:email⟧⟦010-1234-5678:phone⟧",
    "logo@2x.png",
    "lodash@4.17.21",
    "@hong.gildong",
    # IP addresses.
    "접속⟦211.34.105.7:ip⟧에서",
    "http://⟦211.34.105.7:ip⟧/index.html",
    "⟦2001:2d8:ed10::7:ip⟧",
    "192.168.0.1 10.0.0.1 127.0.0.1 192.0.2.7 ::1 2001:db8::1",
    "v1.2.3.4",
    "버전 131.45.67.89",
    "Chrome/120.0.6099.109",
    "1.2.3.4 절",
    "서버 설정\n11.5.1.2. Configuring",
    "버전 목록\n49.36.4.4. 거래",
    "IP ⟦8.8.4.4:ip⟧",
    # Numbers that stay.
    "2024-01-15 2024.01.15. 20240115 2024-01-15T12:30:45.123Z",
    "1,234,567원 100000원 1000만",
    "ISBN 978-89-97396-40-5 9788997396405",
    "2020다12345 제750조 제1항",
    "운송장 6012-3456-7890",
    "550e8400-e29b-41d4-a716-446655440000",
    "바코드 8801234567893",
    "37.566535, 126.9779692",
    "안녕ㅋㅋㅋ ㅎㅎ네 ㅇㅇ맞아",
)


def _read_row(row: str) -> tuple[str, list[tuple[str, str]]]:
    text, values = "", []
    for part in row.split("⟦"):
        value, closed, rest = part.partition("⟧")
        if closed:
            value, _, kind = value.rpartition(":")
            values.append((value, kind))
        text += value + rest
    return text, values


@pytest.mark.parametrize("row", ROWS)
def test_rows(row: str) -> None:
    text, values = _read_row(row)
    assert [(text[span.start : span.end], span.kind) for span in find(text)] == values


@pytest.mark.parametrize(
    "value", ["010-1234-5678", "900101-1234568", "4111-1111-1111-1111", "hong@naver.com"]
)
@pytest.mark.parametrize(
    "josa",
    [
        "로",
        "으로",
        "입니다",
        "이고",
        "은",
        "는",
        "이",
        "가",
        "을",
        "를",
        "에",
        "에서",
        "까지",
        "부터",
        "와",
        "과",
        "의",
        "도",
        "만",
        "이며",
        "예요",
        "번으로",
        "이라고",
        "한테",
        ")",
        "]",
        "」",
        "”",
        ".",
        ",",
        "!",
    ],
)
def test_a_josa_is_a_boundary(value: str, josa: str) -> None:
    for before in ("", "전화", "번호는 ", "(", "“"):
        (span,) = find(before + value + josa)
        assert (span.start, span.end) == (len(before), len(before) + len(value))


def test_placeholders_and_counts_per_text() -> None:
    texts = pa.array(
        [
            "전화 010-1234-5678, 02-123-4567",
            None,
            "",
            "900101-1234568 hong@naver.com",
            "사업자 124-81-00998",
        ]
    )
    masked, counts = mask(texts)
    assert masked.type == pa.large_string()
    assert masked.to_pylist() == [
        "전화 <|phone|>, <|phone|>",
        "",
        "",
        "<|rrn|> <|email|>",
        "사업자 124-81-00998",
    ]
    assert [field.name for field in counts.type] == list(DEFAULT_KINDS)
    assert {field.type for field in counts.type} == {pa.int32()}
    assert counts.field("phone").to_pylist() == [2, 0, 0, 0, 0]
    assert counts.field("rrn").to_pylist() == counts.field("email").to_pylist() == [0, 0, 0, 1, 0]
    masked, counts = mask(texts, ["business_number"])
    assert masked[4].as_py() == "사업자 <|business_number|>" and masked[0] == texts[0].cast(
        pa.large_string()
    )
    assert counts.field("business_number").to_pylist() == [0, 0, 0, 0, 1]


def test_context_does_not_cross_into_the_next_text() -> None:
    masked, _ = mask(
        pa.array(["계좌번호", "110-123-456789", "주민번호", "900101-1234567", "010-1234", "-5678"])
    )
    assert masked.to_pylist() == [
        "계좌번호",
        "110-123-456789",
        "주민번호",
        "900101-1234567",
        "010-1234",
        "-5678",
    ]


def test_empty_batch() -> None:
    masked, counts = mask(pa.array([], pa.string()))
    assert len(masked) == len(counts) == 0


def test_unknown_kind_and_style_are_named() -> None:
    with pytest.raises(ValueError, match="telephone"):
        mask(pa.array(["a"]), ["telephone"])
    with pytest.raises(ValueError, match="blank"):
        mask(pa.array(["a"]), style="blank")


VALUES = [row.text[slice(*row.spans[0][:2])] for row in positives(5, 12)]
PIECES = st.lists(
    st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(
            [
                " ",
                "\n",
                "로 ",
                "전화",
                "계좌 ",
                "주민번호 ",
                "여권",
                "-",
                ".",
                ",",
                "(",
                ")",
                "@",
                "v",
                "1",
                "\ufdd0",
            ]
        ),
        st.sampled_from(list(PLACEHOLDERS.values())),
        st.text("가나ab019-.: @()MS+/|<>", max_size=6),
    ),
    max_size=9,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES.map("".join), max_size=4))
def test_masking_again_changes_nothing_and_text_around_stays(texts: list[str]) -> None:
    masked, counts = mask(pa.array(texts, pa.string()), KINDS)
    again, none = mask(masked, KINDS)
    assert again.equals(masked) and not any(sum(none.field(kind).to_pylist()) for kind in KINDS)
    total = 0
    for text, result in zip(texts, masked.to_pylist(), strict=True):
        # Every piece between placeholders is a run of the original, in order, from its start to its end.
        position, pieces = 0, PLACEHOLDER.split(result)
        original = text.replace("\ufdd0", "\ufffd")
        total += len(pieces) - 1 - len(PLACEHOLDER.findall(original))
        assert original.startswith(pieces[0]) and original.endswith(pieces[-1])
        for piece in pieces:
            position = original.index(piece, position) + len(piece)
    assert total == sum(sum(counts.field(kind).to_pylist()) for kind in KINDS)


@given(st.lists(PIECES.map("".join), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_batch_is_its_texts_one_by_one(texts: list[str]) -> None:
    together, _ = mask(pa.array(texts, pa.string()))
    assert together.to_pylist() == [mask(pa.array([text]))[0][0].as_py() for text in texts]


def test_surrogates_have_the_shape_and_belong_to_nobody() -> None:
    for row in positives(3, 150):
        start, end, kind = row.spans[0]
        found = row.text[start:end]
        fake = surrogate(found, kind)
        assert fake == surrogate(found, kind) != found
        digits = "".join(filter(str.isdigit, fake))
        if kind in ("email", "ip"):
            assert fake.endswith("@example.com") or fake.startswith(("192.0.2.", "2001:db8::"))
            assert kind == "email" or not ipaddress.ip_address(fake).is_global
            continue
        assert SHAPE.sub("0", fake) == SHAPE.sub("0", found)
        if kind in ("rrn", "frn"):
            assert birth_date(digits) is None
        if kind == "card":
            assert not is_card(digits)
        if kind == "phone":
            assert digits.startswith("1500") or digits[-7:-4] == "000"
        if kind in ("account", "passport"):
            assert digits.startswith("000")


def test_one_number_has_one_surrogate_in_every_notation() -> None:
    fakes = [surrogate(found, "phone") for found in ("010-1234-5678", "01012345678", "+82 10 1234 5678")]
    assert len({fake[-4:] for fake in fakes}) == 1 and fakes[2].startswith("+82 10 0000 ")
    assert surrogate("Hong@Naver.com", "email") == surrogate("hong@naver.com", "email")
    assert surrogate("010-1234-5678", "phone") != surrogate("010-1234-5679", "phone")


def test_surrogate_style_keeps_the_text_around() -> None:
    masked, counts = mask(pa.array(["연락처 010-1234-5678로, 카드 4111-1111-1111-1111"]), style="surrogate")
    before, after = masked[0].as_py().split("로, 카드 ")
    assert before.startswith("연락처 010-0000-") and SHAPE.sub("0", after) == "0000-0000-0000-0000"
    assert counts.field("phone").to_pylist() == counts.field("card").to_pylist() == [1]


@pytest.mark.parametrize(
    "unit", ["0", "1-", "a@", "1.", "10-", "010-1234-", "0 ", "(02)", "1:", "가1", "주민", "M1", "@a."]
)
def test_no_text_takes_more_than_a_second_for_five_megabytes(unit: str) -> None:
    texts = pa.array([unit * (5_000_000 // len(unit.encode()))], pa.large_string())
    start = time.process_time()
    mask(texts)
    assert time.process_time() - start < 1
