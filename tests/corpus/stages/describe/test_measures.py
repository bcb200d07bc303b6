"""Language, register and size of documents, by hand-made examples."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.describe.measures import describe
from tests.corpus.growth import LINEAR, UNITS, growth
from tests.soak import tries


def one(text: str, lang: str = "") -> dict:
    return describe(pa.array([text], pa.large_string()), pa.array([lang]))[0].as_py()


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("국가연구개발사업이란", "ko"),
        ("Visual C++ 컴파일러 오류를 참고한다", "ko"),
        ("大韓民國 憲法은 國民投票로", "ko"),
        ("Hello, world", "en"),
        ("これは日本語の文章です", "ja"),
        ("中華人民共和國", "zh"),
        ("Привет, мир", "ru"),
        ("12345 !!", "und"),
        ("", "und"),
    ],
)
def test_language(text: str, lang: str) -> None:
    assert one(text)["lang"] == lang
    assert one(text, "xx")["lang"] == "xx"


@pytest.mark.parametrize(
    ("text", "register"),
    [
        ("안녕하십니까? 반갑습니다. 이쪽으로 오십시오.", "formal"),
        ("오늘 날씨가 좋네요. 그렇죠? 산책하러 가요~", "polite"),
        ("이 법은 공포한 날부터 시행한다. 다만, 제3조는 예외로 한다.\n적용 대상임", "plain"),
        ("밥 먹었어? 나는 먹었지. 같이 가자ㅋㅋㅋ", "intimate"),
        ("반갑습니다. 그래요. 했다. 먹었어!", "mixed"),
        ("Hello. How are you?", "none"),
        ("표 1\n서울\n부산\n언어", "none"),
        ("", "none"),
    ],
)
def test_register(text: str, register: str) -> None:
    assert one(text)["register"] == register


def test_ratios_and_sizes() -> None:
    facts = one("大韓 민국\n\n끝이다.\nabc")
    assert facts["characters"] == 15
    assert facts["lines"] == 4
    assert facts["hangul_ratio"] == pytest.approx(5 / 11)
    assert facts["hanja_ratio"] == pytest.approx(2 / 11)
    assert facts["final_line_share"] == pytest.approx(1 / 3)


@settings(max_examples=tries(50, 800), deadline=None)
@given(texts=st.lists(st.one_of(st.text(), st.text("가나다요니\n. 大a\ufdd0"))))
def test_a_batch_is_its_documents(texts: list[str]) -> None:
    texts = [text.replace("\ufdd0", "\ufffd") if len(texts) == 1 else text for text in texts]
    batch = describe(pa.array(texts, pa.large_string()), pa.array([""] * len(texts), pa.string()))
    assert batch.to_pylist() == [one(text.replace("\ufdd0", "\ufffd")) for text in texts]


def test_a_sentence_is_found_behind_a_long_tail() -> None:
    tail = ") " * 40
    assert one(f"그렇습니다{tail}.{tail}\n했다{tail}")["register"] == "mixed"
    assert one(f"그렇습니다{tail}.{tail}\n했다{tail}")["final_line_share"] == 1
    assert one(f"서울{tail}\n부산")["final_line_share"] == 0


def test_large_batches_are_their_documents_too() -> None:
    texts = ["안녕하세요. 반갑습니다!\n" * count for count in (0, 1, 20_000, 3)] + ["𠀀𠀁 大 가", "abc\n"]
    given = [None, "", "xx", "", "", None]
    batch = describe(pa.array(texts, pa.string()), pa.array(given, pa.string()))
    assert batch.to_pylist() == [one(text, lang or "") for text, lang in zip(texts, given, strict=True)]
    assert describe(pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text(unit: str) -> None:
    unknown = pa.array([""], pa.string())
    assert growth(lambda texts: describe(texts, unknown), unit) < LINEAR
