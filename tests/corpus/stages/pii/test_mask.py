"""Personal data: recall and precision on two labelled sets, and what masking promises."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_negatives import negatives
from labelled_personal_data import Labelled, positives
from labelled_web_negatives import NEGATIVES
from labelled_web_positives import POSITIVES
from labelled_web_text import lines

from onnuri.corpus.stages.pii.mask import DEFAULT_KINDS, KINDS, PLACEHOLDERS, find, mask
from onnuri.corpus.text import joined
from tests.soak import tries

PLACEHOLDER = re.compile("|".join(re.escape(token) for token in set(PLACEHOLDERS.values())))
SETS: dict[str, Callable[[], list[Labelled]]] = {
    "sentences": lambda: [*positives(1, 1_300), *negatives(2, 700)],
    "web text": lambda: [*lines(3, POSITIVES, 1_000), *lines(4, NEGATIVES, 800)],
}


LABELLED = [kind for kind in KINDS if kind not in ("vehicle_plate", "health_insurance", "address")]
"""The sets say nothing of the others."""


def _found(rows: list[Labelled]) -> list[set[tuple[int, int, str]]]:
    """Spans per text, relative to it, found in the whole set as one joined batch."""
    found: list[set[tuple[int, int, str]]] = [set() for _ in rows]
    spans = iter(find(joined.join(pa.array([row.text for row in rows]))))
    span, offset = next(spans, None), 0
    for row, mine in zip(rows, found, strict=True):
        end = offset + len(row.text)
        while span is not None and span.start < end:
            if span.kind in LABELLED:
                mine.add((span.start - offset, span.end - offset, span.kind))
            span = next(spans, None)
        offset = end + 1
    return found


def test_recall_and_precision_on_the_labelled_sets() -> None:
    """At least 0.99 and 0.98 for every kind in each set; a span counts only if both ends are right."""
    spans = clean = 0
    for name, make in SETS.items():
        rows = make()
        spans += sum(len(row.spans) for row in rows)
        clean += sum(not row.spans for row in rows)
        right, missed, wrong, families = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        examples: list[str] = []
        for row, found in zip(rows, _found(rows), strict=True):
            expected = set(row.spans)
            right.update(kind for *_, kind in expected & found)
            missed.update(kind for *_, kind in expected - found)
            wrong.update(kind for *_, kind in found - expected)
            if found - expected and not row.spans:
                families[row.family] += len(found - expected)
            if found != expected:
                examples.append(f"{row.family}: {row.text!r} expected {row.spans} found {sorted(found)}")
        # The table is a result of the test: `pytest -s` shows it.
        print(f"\n{name:16}   recall precision   right missed wrong")
        scores = {}
        for kind in LABELLED:
            good, lost, false = right[kind], missed[kind], wrong[kind]
            scores[kind] = recall, precision = good / (good + lost), good / (good + false)
            print(f"{kind:16} {recall:8.4f} {precision:9.4f} {good:7} {lost:6} {false:5}")
        print("wrong in families of negatives:", dict(families.most_common()))
        print("\n".join(examples[:: max(1, len(examples) // 8)]))
        assert all(recall >= 0.99 and precision >= 0.98 for recall, precision in scores.values()), scores
    assert spans >= 20_000 and clean >= 20_000


def test_business_numbers_stay_unless_asked_for() -> None:
    rows = list(lines(5, {"business_number": POSITIVES["business_number"]}, 200))
    rows = [row for row in rows if {kind for *_, kind in row.spans} == {"business_number"}]
    texts = pa.array([row.text for row in rows], pa.large_string())
    assert len(rows) > 100 and mask(texts)[0].equals(texts)
    masked, counts = mask(texts, ["business_number"])
    assert set(counts.field("business_number").to_pylist()) == {1}
    assert all("<|business_number|>" in text for text in masked.to_pylist())


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


VALUES = [
    row.text[slice(*span[:2])]
    for row in (*positives(5, 12), *lines(6, POSITIVES, 16))
    for span in row.spans
]
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
                "신한 ",
                " 카카오뱅크",
                "주문번호 ",
                "서울 ",
                "https://a.kr/",
                "?q=",
                "골뱅이",
                "(at)",
                "．",
                "－",
                "😀",
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


@settings(max_examples=tries(75, 1200), deadline=None)
@given(st.lists(PIECES.map("".join), max_size=4))
def test_masking_again_changes_nothing_and_text_around_stays(texts: list[str]) -> None:
    masked, counts = mask(pa.array(texts, pa.string()), KINDS)
    again, none = mask(masked, KINDS)
    assert again.equals(masked) and not any(sum(none.field(kind).to_pylist()) for kind in KINDS)
    total = 0
    for text, result in zip(texts, masked.to_pylist(), strict=True):
        # Every piece between placeholders is a run of the original, in order, from its start to its end.
        position, pieces = 0, PLACEHOLDER.split(result)
        total += len(pieces) - 1 - len(PLACEHOLDER.findall(text))
        assert text.startswith(pieces[0]) and text.endswith(pieces[-1])
        for piece in pieces:
            position = text.index(piece, position) + len(piece)
    assert total == sum(sum(counts.field(kind).to_pylist()) for kind in KINDS)


@given(st.lists(PIECES.map("".join), max_size=4))
@settings(max_examples=tries(25, 400), deadline=None)
def test_a_batch_is_its_texts_one_by_one(texts: list[str]) -> None:
    together, _ = mask(pa.array(texts, pa.string()))
    assert together.to_pylist() == [mask(pa.array([text]))[0][0].as_py() for text in texts]


UNITS = (
    *("0", "1-", "1 ", "12 ", "010 ", "1111 ", "1.", "1.1.1.1 ", "1:", "2001:", "24:ab:", "10-", "010-"),
    *("((((02", "010-1234-", "010-1234-5678 ", "010-1234-5678", "계좌 0212345678 0212345678 ", "M1"),
    *(
        "M123A4567 ",
        "여권 a1 ",
        "a@",
        "@a.",
        "a@b.",
        "a@b.co",
        "(a)",
        "a(at)b.c ",
        "a골뱅이b.",
        " at a dot ",
    ),
    *("://", "https://a.kr/1?a@b.kr/", "010-1234-5678/", "<|phone|>", "<|", "주민", "\ufdd0", "가1"),
)
LONG: dict[str, Callable[[int], str]] = {
    "one name": lambda size: "a" * size + "@",
    "one domain": lambda size: "a@" + "a." * (size // 2) + "com",
    "one URL of numbers": lambda size: "https://a.kr/" + "010-1234-5678/" * (size // 14),
    "one URL of addresses": lambda size: "https://a.kr/" + "a@b.kr/" * (size // 7),
    "one URL": lambda size: "https://a.kr/" + "a" * size,
    "base64": lambda size: "aGVsbG8gd29ybGQ0OTEyMzQ1Njc4OTAxMjM0NTY3OA" * (size // 42),
    "brackets": lambda size: "(" * size + "02)123-4567",
}


def _seconds(text: str) -> float:
    texts = pa.array([text], pa.large_string())
    times = []
    for _ in range(3):
        start = time.process_time()
        mask(texts)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("kind", [*UNITS, *LONG])
def test_four_times_the_text_takes_less_than_nine_times_as_long(kind: str) -> None:
    make = LONG.get(kind) or (lambda size: kind * (size // len(kind)))
    small, large = make(40_000), make(160_000)
    assert _seconds(large) < 9 * max(_seconds(small), 0.005)
