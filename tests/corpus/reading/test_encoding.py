from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.corpus.reading import encoding, labels

KOREAN = """온누리는 한국어와 영어 글을 모아 언어 모델을 처음부터 만드는 도구이다. 2024년에 시작했다.
“읽기 쉽고 빠르게”가 목표이며, 값은 1,000원·2,000원처럼 적는다. 大韓民國 헌법 제1조(총칙)
똠방각하와 펲시콜라, 뷁이라는 낱말도 쓴다. Python 3.11 needs no more."""
ENGLISH = "It’s a “quoted” naïve café — 5 £ or 10 €, they don’t say…"
EUROPEAN = """L’été dernier, à Noël, où est-il allé ? « Ça, c’est l’œuvre », dit-elle… ÉCOLE FRANÇAISE
Größe, Straße, Übergrößen: „Fußgängerübergänge“ müssen ›äußerst‹ schön sein. STRASSENGRÖẞE ÄÖÜ
¿¡Qué? ¡Ándale! Así… «sí» año, pingüino; MAÑANA ÑOÑO São João, maçã, ações, MANHû, ÇÃO
Þetta er íslenska: öðrum þæði þú. Smørrebrød på gård; ÆØÅ åååå ÀÉÈÀ ÄÖÜÄÖÜ
Tiếng Việt: người Việt Nam yêu nước, đường phố Hà Nội, ngoài ra, ƯỚC MƠ, quỹ, ýâêôý
10 °C ± 0,5 µm × 3 ÷ ½ ¼ ¾ °°°° ······ »»»» ¶¶¶¶ ¸¸.·´¯`·.¸¸ °º¤ø,¸¸,ø¤º° ±±±± ²³²³"""


def as_latin(raw: bytes, curly: bool) -> str:
    """What Latin-1, or Windows-1252 as browsers have it, makes of bytes."""
    undefined = b"\x81\x8d\x8f\x90\x9d"
    windows = curly and (lambda byte: 0x80 <= byte < 0xA0 and byte not in undefined)
    return "".join(
        bytes([byte]).decode("cp1252" if windows and windows(byte) else "latin-1") for byte in raw
    )


def repair(*texts: str | None) -> tuple[list[str | None], list[str]]:
    repaired, notes = encoding.repair(pa.array(texts, pa.large_string()))
    assert repaired.type == pa.large_string() and len(repaired) == len(notes) == len(texts)
    return repaired.to_pylist(), notes.to_pylist()


CODECS = ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("declared", ["", "utf-8", "EUC-KR", "iso-8859-1", "no-such-thing", "utf-16"])
def test_korean_comes_back_whatever_is_declared(codec: str, declared: str) -> None:
    assert encoding.decode(KOREAN.encode(codec), declared).text == KOREAN


@given(
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1),
    st.sampled_from(["utf-8", "cp949"]),
)
def test_any_syllables_come_back(text: str, codec: str) -> None:
    assert (
        encoding.decode(f"안녕 {text} 하세요".encode(codec), "ks_c_5601-1987").text == f"안녕 {text} 하세요"
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_utf8_comes_back(text: str) -> None:
    assume(not text.startswith("\ufeff"))
    assert encoding.decode(text.encode()) == (text, "utf-8")


@pytest.mark.parametrize(
    ("text", "codec", "declared", "found"),
    [
        (ENGLISH, "cp1252", "", "cp1252"),
        (ENGLISH, "cp1252", "ISO-8859-1", "cp1252"),
        ("日本語のテキストです。これはテスト。", "cp932", "Shift_JIS", "cp932"),
        ("日本語のテキストです。これはテスト。", "euc_jp", "euc-jp", "euc_jp"),
        ("这是一个中文句子，生活在上海。", "gb18030", "gb2312", "gb18030"),
        ("안녕 ISO-2022-KR", "iso2022_kr", "", "iso2022_kr"),
        ("Съешь ещё этих мягких булок", "cp1251", "windows-1251", "cp1251"),
        ("plain", "ascii", "euc-kr", "utf-8"),
        ("", "ascii", "", "utf-8"),
    ],
)
def test_others_by_their_label_or_looks(text: str, codec: str, declared: str, found: str) -> None:
    assert encoding.decode(text.encode(codec), declared) == (text, found)


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="euc-kr">',
        "<META http-equiv=Content-Type content='text/html; charset=ks_c_5601-1987'>",
    ],
)
def test_a_page_declares_itself_and_may_lie(meta: str) -> None:
    page = f"<html><head>{meta}</head>{KOREAN}</html>"
    assert encoding.decode(page.encode("cp949")) == (page, "cp949")
    assert encoding.decode(page.encode("cp949"), "iso-8859-1") == (page, "cp949")
    assert encoding.decode(page.encode()) == (page, "utf-8")
    japanese = "<?xml version='1.0' encoding='Shift_JIS'?>これはテストです。"
    assert encoding.decode(japanese.encode("cp932")).text == japanese


@pytest.mark.parametrize("codec", ["utf-8", "cp949", "utf-16-le"])
def test_a_character_cut_off_at_the_end_is_left_out(codec: str) -> None:
    raw = (KOREAN + "가").encode(codec)
    assert encoding.decode(raw[:-1], codec).text == KOREAN


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 99, "no text"),
        (b"PK\3\4\x14\0\0\0\x08\0" * 99, "no text"),
        (bytes(100), "NUL"),
        (b"a\0\0b" * 100, "NUL"),
        (b"\x01\x02\x03\x04abcd" * 100, "control"),
        (KOREAN.encode()[:80] + b"\xff" + KOREAN.encode()[80:], "UTF-8 with 1 bad"),
        (b"\xff\xfe" + b"\x00\xd8" * 10, "utf-16"),
        (KOREAN.encode("cp949") + b"\xff\xff\xff" + KOREAN.encode("cp949"), "no encoding fits"),
        (bytes(range(128, 256)) * 10, "no encoding fits"),
    ],
)
def test_what_is_no_text_says_why(raw: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        encoding.decode(raw)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.sampled_from(["", "euc-kr", "utf-16", "latin1", "gb2312"]))
def test_any_bytes_are_a_text_or_a_value_error(raw: bytes, declared: str) -> None:
    try:
        assert (
            "\ufffd" not in encoding.decode(raw, declared).text or b"\xef\xbf\xbd" in raw or b"\xfd" in raw
        )
    except ValueError as error:
        assert "\n" not in str(error)


TABLE = """┌──────────┬────────┐
│  품  목  │  수 량 │
├──────────┼────────┤
│  사  과  │   12   │
└──────────┴────────┘"""
BULLETS = "".join(f"◆ 제{number}조 ●●●●●●●●● ※※ ▶▶▶ ☎ 문의\n" for number in range(9))
HANJA = "大韓民國의 主權은 國民에게 있고 모든 權力은 國民으로부터 나온다. 本 法은 國家의 發展을 위한다."
CHINESE = "中华人民共和国的一切权力属于人民人民行使国家权力的机关是全国人民代表大会"


@pytest.mark.parametrize("text", [TABLE, BULLETS, HANJA])
def test_korean_of_signs_and_chinese_characters_is_told_by_its_frequent_syllables(text: str) -> None:
    assert encoding.decode(text.encode("cp949")) == (text, "cp949")


def test_what_cp949_decodes_and_is_not_korean_names_the_way_out() -> None:
    for raw in (CHINESE.encode("gb2312"), "◎ ① ※ 가".encode("cp949")):
        with pytest.raises(ValueError, match="state encoding: cp949"):
            encoding.decode(raw)
    assert encoding.decode(CHINESE.encode("gb2312"), "gbk").text == CHINESE


@pytest.mark.parametrize("label", ["euc-kr", "EUC_KR", "ms949", "949", "uhc", "ksx1001", "ks_c_5601-1987"])
def test_every_name_of_cp949_is_used(label: str) -> None:
    labels.check(label)
    assert encoding.decode("◎ ① ※ 가".encode("cp949"), label).text == "◎ ① ※ 가"


def test_johab_by_declaration_and_by_its_looks() -> None:
    text = KOREAN.split("“", maxsplit=1)[0]
    assert encoding.decode(text.encode("johab")) == (text, "johab")
    assert encoding.decode("가 \\n".encode("johab"), "johab").text == "가 \\n", "not a won sign"


def test_every_label_is_a_codec_and_others_are_refused_with_the_list() -> None:
    for codec, names in labels.LABELS.items():
        assert "가a".encode(codec, "ignore") and all(
            labels.codec_of(name) == codec for name in names.split()
        )
    for label in ("rot13", "base64", "idna", "no-such", "unicode_escape"):
        assert labels.codec_of(label) == ""
        with pytest.raises(UserError, match=r"known: utf-8, cp949 \(euc-kr, ms949, .*johab"):
            labels.check(label)


LONG = KOREAN * 10


@pytest.mark.parametrize("codec", ["utf-8", "cp949", "utf-16", "johab"])
def test_a_few_bad_characters_are_replaced_and_counted(codec: str) -> None:
    text = (LONG if codec != "johab" else KOREAN.split("“", maxsplit=1)[0] * 20) + "끝."
    raw = text.encode(codec)
    bad = b"\x00\xdc" if codec == "utf-16" else b"\xff"
    place = raw.index("\n".encode(codec)[-2:] if codec == "utf-16" else b"\n")
    found, note = encoding.decode_most(raw[:place] + bad + raw[place:], codec, 0.001)
    assert note == "bad characters: 1" and found.replace("\ufffd", "", 1) == text
    for share in (0, 1e-5):
        with pytest.raises(encoding.Undecodable) as caught:
            encoding.decode_most(raw[:place] + bad + raw[place:], codec, share)
        assert caught.value.text == found, "what could be read"
    assert encoding.decode_most(raw, codec, 0.001) == (text, "")


def test_packed_and_mixed_bytes_are_not_taken_for_a_text_with_damage() -> None:
    for raw in (bytes(range(128, 256)) * 99, LONG.encode() + LONG.encode("cp949")):
        with pytest.raises(encoding.Undecodable):
            encoding.decode_most(raw, "", 0.01)


@pytest.mark.parametrize("curly", [False, True])
@pytest.mark.parametrize(("codec", "note"), [("cp949", encoding.CP949), ("utf-8", encoding.UTF8)])
def test_korean_read_as_latin_is_repaired(codec: str, note: str, curly: bool) -> None:
    texts = [KOREAN, "한국어", "반환 값:\n예:", "받는 사람과 보낸 사람, 두 주소의 위치\n키"]
    broken = [as_latin(text.encode(codec), curly) for text in texts]
    assert repair(*broken) == (texts, [note] * 4)


def test_the_three_looks_that_the_web_knows() -> None:
    assert repair("ÇÑ±¹¾î", "í•œêµ\xadì–´", "�븳援��뼱 �뀓�뒪�듃", None, "한국어") == (
        ["한국어", "한국어", "�븳援��뼱 �뀓�뒪�듃", None, "한국어"],
        [encoding.CP949, encoding.UTF8, encoding.LOST, "", ""],
    )


@given(
    st.lists(st.sampled_from(["대한민국", "의 ", "주권은 ", "국민에게 ", "있다.", "\n", "A4 "]), min_size=4)
)
def test_broken_parts_are_repaired_between_whole_ones(pieces: list[str]) -> None:
    text = "대한민국 " + "".join(pieces).replace("\n", "\n대한민국 ")  # enough of each line to tell by
    mixed = f"앞말 {as_latin(text.encode('cp949'), True)} 뒷말\nThe naïve café"
    assert repair(mixed) == ([f"앞말 {text} 뒷말\nThe naïve café"], [encoding.CP949])


def test_a_cut_character_costs_its_word_alone() -> None:
    raw = "안녕하세요 여러분 반갑습니다".encode("cp949")
    assert repair(as_latin(raw[:-1], False))[0] == [
        "안녕하세요 여러분 " + as_latin("반갑습니다".encode("cp949")[:-1], False)
    ]


def test_curly_quotes_read_as_windows_1252_are_repaired_even_twice() -> None:
    once = as_latin(ENGLISH.encode(), True)
    assert repair(once, as_latin(once.encode(), True)) == ([ENGLISH] * 2, [encoding.UTF8] * 2)


def test_lost_text_is_named_and_left_alone() -> None:
    lost = KOREAN.encode().decode("cp949", "replace")
    assert repair(lost, lost.replace("\ufffd", "?")) == (
        [lost, lost.replace("\ufffd", "?")],
        [encoding.LOST] * 2,
    )
    few = "물음표가요?많은 글? 援助와 二重, 그리고 \ufffd 하나"
    assert repair(few) == ([few], [""])


WORDS = sorted({word for line in EUROPEAN.splitlines() for word in line.split()})
JOINTS = [" ", "", "\n", "·", "…", "“", "” ", "« ", "»", "—", "’", "\xa0", "한글 ", "漢字", "\t"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_correct_text_of_many_languages_is_left_alone(form: str) -> None:
    texts = [
        unicodedata.normalize(form, text)
        for text in [KOREAN, ENGLISH, EUROPEAN, *EUROPEAN.split("\n"), *WORDS]
    ]
    texts += [text.upper() for text in texts]
    assert repair(*texts) == (texts, [""] * len(texts))


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINTS)), max_size=8))
@example([("°°°°", "·"), ("ÄÖÜ", " ")])  # frequent syllables, if they were CP949
def test_correct_words_in_any_order_are_left_alone(pieces: list[tuple[str, str]]) -> None:
    text = "".join(word + joint for word, joint in pieces)
    assert repair(text) == ([text], [""])


@given(st.lists(st.one_of(st.none(), st.text(), st.text("ÇÑ±¹¾î°¡Ã¢â€™ìê·\n가 a\ufffd?援"))))
def test_repair_is_the_same_alone_and_in_a_batch_and_twice(texts: list[str | None]) -> None:
    repaired, notes = repair(*texts)
    assert [(text, note) for text, note in zip(repaired, notes, strict=True)] == [
        (first, note) for text in texts for (first,), (note,) in [repair(text)]
    ]
    assert [text for text, note in zip(repaired, notes, strict=True) if note in ("", encoding.LOST)] == [
        text for text, note in zip(texts, notes, strict=True) if note in ("", encoding.LOST)
    ]


def test_wide_text_with_a_mark_and_what_could_be_read_of_a_text_with_nuls() -> None:
    for codec in ("utf-32", "utf-16", "utf-8-sig"):
        assert encoding.decode(KOREAN.encode(codec)).text == KOREAN
    with pytest.raises(encoding.Undecodable) as refused:
        encoding.decode("가\0나".encode())
    assert refused.value.text == "가\0나"
