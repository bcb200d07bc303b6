"""Copies of benchmark items are found however they are written, cut out, and nothing else is touched."""

from __future__ import annotations

import json
import pickle
import random
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.corpus.stages.decontaminate.benchmark_index import (
    MOST_POSITIONS,
    SHORTEST_NGRAM,
    STRIDE,
    Index,
    build_index,
)
from onnuri.corpus.stages.decontaminate.cut import decontaminate, summary

QUESTION = "훈민정음 창제의 목적을 밝힌 세종의 서문에서 백성이 겪는 어려움으로 언급된 것을 고르시오."
SHORT = "흡연하려면 발코니 있는 방을 선택하면 됩니다."
PASSAGE = (
    "조선 후기 상업의 발달은 농업 생산력의 향상과 대동법의 시행에 힘입은 바가 크다. 공인들은 관청이 쓰는 "
    "물품을 대량으로 사들이며 자본을 쌓았고, 포구와 장시는 서로 이어져 하나의 유통망을 이루었다."
)
ENGLISH = "Which of the following properties of a noble gas explains why it rarely takes part in reactions?"
LAW = "자본시장과 금융투자업에 관한 법률 시행규칙"
BEFORE = "오늘 아침에는 비가 내렸다. 우산을 챙기지 못해서 조금 젖었다.\n버스는 제시간에 왔다. "
AFTER = "점심에는 동료들과 국수를 먹었다. 오후 회의는 길었지만 결론이 났다.\n저녁에는 책을 읽다가 잠들었다."
MARKS = re.compile(r"[^\w]|_")


def benchmark(folder: Path, name: str, records: list[dict[str, str]]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("benchmarks")
    exams = [
        {"question": QUESTION, "A": "글을 몰라 뜻을 펴지 못함", "B": "나라의 말이 중국과 같음", "C": LAW},
        {"question": "다음 중 옳은 것은?", "A": "가", "B": "나"},
        {"question": ENGLISH, "A": "argon is heavy", "B": "its shell is full"},
    ]
    pairs = [
        {"premise": "흡연자분들은 발코니에서 흡연이 가능합니다.", "hypothesis": SHORT},
        {"premise": PASSAGE, "hypothesis": "상업은 발달하지 않았다."},
    ]
    return build_index([benchmark(folder, "exams", exams), benchmark(folder, "pairs", pairs)])


def one(text: str, index: Index, action: str = "cut") -> tuple[str, str, list[int]]:
    texts, reasons, hits = decontaminate(pa.array([text]), index, action)
    assert (texts.type, reasons.type) == (pa.large_string(), pa.string())
    assert hits.type == pa.list_(pa.int32())
    return texts[0].as_py(), reasons[0].as_py(), hits[0].as_py()


def respaced(text: str) -> str:
    letters = text.replace(" ", "")
    return " ".join(letters[at : at + 3] for at in range(0, len(letters), 3))


def without_spaces(text: str) -> str:
    return text.replace(" ", "")


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def repunctuated(text: str) -> str:
    return "“" + "…\u200b,".join(MARKS.sub(" ", text).split()) + "”"


def verbatim(text: str) -> str:
    return text


WAYS = [verbatim, respaced, without_spaces, decomposed, repunctuated, str.upper]
ITEMS = [(QUESTION, 0), (ENGLISH, 2), (SHORT, 3), (PASSAGE, 4)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("text", "item"), ITEMS)
def test_a_planted_item_is_cut_and_its_neighbours_stay(way, text, item, index):
    rest, reason, hits = one(f"{BEFORE * 3}\n{way(text)}\n{AFTER * 3}", index)
    assert rest == f"{BEFORE * 3}\n{AFTER * 3}"
    assert (reason, hits) == ("", [item])


@pytest.mark.parametrize(("text", "item"), ITEMS)
def test_wherever_it_starts(text, item, index):
    """Whatever the place of the copy relative to the blocks that are looked up."""
    documents = [f"{'가나다라마바사아자차카타파하거너더러'[:shift]}. {text}" for shift in range(18)]
    assert decontaminate(pa.array(documents), index)[2].to_pylist() == [[item]] * 18


def test_a_sentence_around_the_copy_goes_with_it(index):
    inside = f"{BEFORE * 2}선생님은 {SHORT[:-1]} 라고 하셨다. {AFTER}"
    assert one(inside, index)[0] == BEFORE * 2 + AFTER


def test_without_sentences_the_words_around_stay(index):
    words = "바람 구름 하늘 나무 강물 " * 100
    assert one(f"{words}{SHORT} {words}", index)[0] == words + words


def test_two_questions_go_with_the_choices_between(index):
    dump = (
        f"{AFTER * 4}\n{QUESTION}\n(1) 배고픔 (2) 글을 몰라 뜻을 펴지 못함\n정답 2\n{ENGLISH}\n{AFTER * 4}"
    )
    assert one(dump, index) == (f"{AFTER * 4}\n{AFTER * 4}", "", [0, 2])


def test_a_text_that_is_mostly_items_goes(index):
    text = f"{AFTER}\n{QUESTION} {PASSAGE}"
    rest, reason, hits = one(text, index)
    letters = len(MARKS.sub("", QUESTION + PASSAGE))
    assert (rest, hits) == (text, [0, 4])
    assert reason == f"contaminated: pairs item 1, {letters} characters"


def test_drop_rejects_what_cut_would_keep(index):
    text = f"{AFTER * 9}\n{SHORT}"
    letters = len(MARKS.sub("", SHORT))
    assert one(text, index, "drop") == (text, f"contaminated: pairs item 0, {letters} characters", [3])
    assert one(AFTER, index, "drop") == (AFTER, "", [])
    with pytest.raises(UserError, match=r"decontaminate\.action=trim .*cut, drop"):
        one(AFTER, index, "trim")


@pytest.mark.parametrize(
    "innocent",
    [
        AFTER,
        decomposed(AFTER),
        PASSAGE[:44],  # one sentence of a passage, as anyone may quote it
        SHORT[:-8],
        f"{SHORT[:12]}지만 {SHORT[12:]}",
        f"{LAW}에 따르면 신고 의무는 금융투자업자에게 있다.",
        "다음 중 옳은 것은?",
        ENGLISH[:45],
        "",
        "?!",
        "ㅋ" * 500,
    ],
)
def test_innocent_texts_stay_as_they_are(innocent, index):
    assert one(innocent, index) == (innocent, "", [])


def test_a_long_text_with_a_changed_character_is_found(index):
    changed = PASSAGE.replace("시행에", "실시에")
    assert one(AFTER * 5 + "\n" + changed, index)[2] == [4]


def test_boilerplate_is_no_evidence(tmp_path):
    stem = "다음 글을 읽고 이어지는 물음에 가장 알맞은 답을 고르시오"
    ending = "다음 보기에서 하나만 골라 답안지에 표시하고 감독관의 지시를 기다린 뒤 제출하시오"
    many = [
        {"instruction": stem, "question": f"{word}에 대해 설명하고 그 {word}의 예를 드시오. {ending}"}
        for word in (chr(ord("가") + 28 * number) * 2 for number in range(MOST_POSITIONS + 1))
    ]
    few = build_index([benchmark(tmp_path, "few", many[:MOST_POSITIONS])])
    common = build_index([benchmark(tmp_path, "common", many)])
    for text in (stem, ending):
        assert one(f"{AFTER * 3}\n{text}", few)[2]
        assert not one(f"{AFTER * 3}\n{text}", common)[2]


@pytest.mark.parametrize(
    "text", ["ㅋㅋㅋㅎㅎ" * 30, "와 정말 " * 6, "".join(random.Random(1).choices("ㅋㅎㅠㅜ", k=99))]
)
def test_texts_of_few_different_characters_are_not_testable(text, tmp_path):
    dull = build_index([benchmark(tmp_path, "dull", [{"text": text}])])
    assert one(f"{AFTER * 9}\n{text}", dull)[2] == []
    assert not dull.testable.any()


def test_common_words_do_not_make_an_item_untestable(tmp_path):
    rng = random.Random(3)
    names = [
        "".join(chr(rng.randrange(0xAC00, 0xB500)) for _ in range(17)) for _ in range(2 * MOST_POSITIONS)
    ]
    records = [{"question": f"{name[:8]}에 대한 설명으로 옳은 {name[8:]}"} for name in names]
    assert build_index([benchmark(tmp_path, "common", records)]).testable.all()


def test_items_that_share_a_text_are_all_found(tmp_path):
    records = [{"context": PASSAGE, "question": question} for question in ("무엇인가?", "왜 그런가?")]
    shared = build_index([benchmark(tmp_path, "shared", records)])
    assert one(f"{AFTER * 5}\n{PASSAGE}", shared)[2] == [0, 1]


def test_a_copy_that_a_cut_brings_together_goes_too(index):
    nested = f"{SHORT[:12]}\n{PASSAGE}\n{SHORT[12:]}\n"
    assert one(AFTER * 9 + "\n" + nested + BEFORE, index) == (f"{AFTER * 9}\n{BEFORE}", "", [3, 4])
    # Half of the letters must be left of all that there were, not of what the first cut left.
    text = f"{nested}{AFTER} {BEFORE}"
    assert one(f"{PASSAGE}\n{SHORT[:10]} {SHORT[11:]}\n{AFTER} {BEFORE}", index)[1] == ""
    rest, reason, hits = one(text, index)
    assert (rest, hits) == (text, [3, 4])
    assert reason == f"contaminated: pairs item 1, {len(MARKS.sub('', PASSAGE))} characters"


def test_the_shortest_evidence_is_found_wherever_it_lies(tmp_path):
    syllables = "".join(map(chr, range(0xAC00, 0xAC00 + 28 * 2 * SHORTEST_NGRAM, 28)))
    short = build_index([benchmark(tmp_path, "short", [{"text": syllables}])], SHORTEST_NGRAM)
    parts = [syllables[at : at + SHORTEST_NGRAM] for at in range(SHORTEST_NGRAM + 1)]
    for part in parts:
        for shift in range(STRIDE):
            assert one(f"{'x' * shift} {part}", short)[2] == [0]
            assert one(f"{'x' * shift} {part[1:]}", short)[2] == []


def test_rare_characters_beside_common_ones(tmp_path):
    rare = "".join(f"{SHORT[at : at + 5]}𠮷" for at in range(0, len(SHORT), 5))
    both = build_index([benchmark(tmp_path, "rare", [{"text": rare}, {"text": SHORT}])])
    documents = [f"{AFTER * 3}\n{rare}", f"{AFTER * 3} 𝄞\n{SHORT}", rare.replace("𠮷", "𠮸"), AFTER]
    assert decontaminate(pa.array(documents), both)[2].to_pylist() == [[0], [1], [], []]


def test_nulls_and_slices(index):
    texts = pa.array(["x", None, f"{AFTER * 3}\n{SHORT}", AFTER])[1:]
    answers, reasons, hits = decontaminate(texts, index)
    assert answers.to_pylist() == ["", f"{AFTER * 3}", AFTER]
    assert (reasons.to_pylist(), hits.to_pylist()) == (["", "", ""], [[], [3], []])
    empty = decontaminate(pa.array([], pa.string()), index)
    assert [len(each) for each in empty] == [0, 0, 0]


def test_the_border_of_joined_texts_may_stand_in_a_text(index):
    rest, _, hits = one(f"{AFTER * 3}\ufdd0 비. \n{SHORT}\n{BEFORE}", index)
    assert (rest, hits) == (f"{AFTER * 3}\ufffd 비. \n{BEFORE}", [3])


PIECES = st.sampled_from(
    [BEFORE, AFTER, QUESTION, SHORT, PASSAGE, ENGLISH, LAW, "\n", ". ", "𝄞😀", "\ufdd0", "é", "각"]
    + [way(text) for way in WAYS[1:4] for text in (QUESTION, SHORT)]
    + [text[: len(text) // 2] for text in (QUESTION, SHORT, PASSAGE, ENGLISH)]
    + [text[len(text) // 2 :] for text in (QUESTION, SHORT, PASSAGE, ENGLISH)]
)
DOCUMENTS = st.lists(st.lists(PIECES | st.text(max_size=9), max_size=9).map("".join), max_size=6)


@given(DOCUMENTS, st.sampled_from(["cut", "drop"]))
def test_twice_is_once_and_alone_is_as_in_a_batch(index, documents, action):
    texts, reasons, hits = decontaminate(pa.array(documents, pa.large_string()), index, action)
    for number, document in enumerate(documents):
        alone = one(document, index, action)
        assert alone == (texts[number].as_py(), reasons[number].as_py(), hits[number].as_py())
        if not alone[1]:
            assert one(alone[0], index, action) == (alone[0], "", [])
        if not alone[2]:
            assert alone == (document, "", [])


@given(st.lists(PIECES | st.text(max_size=9), max_size=9).map("".join), st.sampled_from(ITEMS))
def test_whole_items_are_always_found(index, document, planted):
    text, item = planted
    assert item in one(f"{document}\n{text}\n{document}", index)[2]


def test_many_items_in_a_batch_of_many_texts(tmp_path):
    rng = random.Random(7)
    sentences = [
        "".join(chr(rng.randrange(0xAC00, 0xB500)) for _ in range(26)) + "다." for _ in range(2000)
    ]
    large = build_index([benchmark(tmp_path, "large", [{"text": each} for each in sentences])])
    planted = rng.sample(range(2000), 50)
    documents = [f"{AFTER * 3}\n{sentences[item]}" for item in planted]
    others = [f"{AFTER * 3}\n{each[::-1]}" for each in sentences]
    hits = decontaminate(pa.array(documents + others), large)[2]
    assert hits.to_pylist() == [[item] for item in planted] + [[]] * 2000
    assert large.nbytes < 60 * 28 * 2000


def test_summary_counts_by_benchmark(index):
    documents = [f"{AFTER * 5}\n{each}" for each in (SHORT, SHORT, PASSAGE, QUESTION, "")]
    hits = pa.chunked_array(
        [decontaminate(pa.array(documents), index)[2], pa.array([None], pa.list_(pa.int32()))]
    )
    assert summary(index, hits) == {
        "exams": {"items": 3, "testable_items": 2, "items_found": 1, "documents": 1},
        "pairs": {"items": 2, "testable_items": 2, "items_found": 2, "documents": 3},
    }
    assert summary(index, pa.array([], pa.list_(pa.int32())))["pairs"]["documents"] == 0


def test_the_index_survives_pickling(index):
    again = pickle.loads(pickle.dumps(index))
    assert one(f"{AFTER * 3}\n{SHORT}", again) == one(f"{AFTER * 3}\n{SHORT}", index)


def test_a_benchmark_without_anything_testable(tmp_path):
    tiny = build_index([benchmark(tmp_path, "tiny", [{"word": "배"}, {"id": 7}])])
    assert one(PASSAGE, tiny) == (PASSAGE, "", [])
    assert summary(tiny, pa.array([[]], pa.list_(pa.int32())))["tiny"]["testable_items"] == 0


def test_benchmarks_of_one_name_take_that_of_their_folder(tmp_path):
    paths = []
    for folder in ("kornli", "xnli"):
        (tmp_path / folder).mkdir()
        paths.append(benchmark(tmp_path / folder, "dev", [{"text": QUESTION}]))
    assert build_index(paths).names == ("kornli/dev", "xnli/dev")
    with pytest.raises(UserError, match="give each once"):
        build_index([paths[0], paths[0]])


def test_too_short_an_ngram(tmp_path):
    with pytest.raises(UserError, match=r"decontaminate\.ngram=10 .* 23"):
        build_index([benchmark(tmp_path, "any", [{"text": QUESTION}])], ngram=10)
