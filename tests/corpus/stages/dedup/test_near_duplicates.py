"""Near-duplicates: edited copies are found, unrelated documents stay, order does not matter."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.corpus.stages.dedup import kept_copies
from onnuri.corpus.stages.dedup import near_duplicates as near
from tests.corpus.growth import LINEAR, UNITS, growth

Sample = Callable[[str], str]
VOCABULARY = """
정부 국회 법원 연구 기업 시장 학교 학생 교수 도시 주민 환경 기술 자료 계획 예산 사업 제도 규정
방법 문제 결과 영향 변화 과정 역사 문화 언어 음악 영화 경제 산업 농업 바다 하늘 나무 강물 기차
도로 병원 의사 환자 약국 시험 성적 논문 실험 이론 분석 통계 신문 기자 방송 선수 경기 감독 관객
배우 작가 소설 시인 편지 사진 여행 호텔 식당 음식 쌀밥 김치 과일 사과 포도 겨울 여름 가을 아침
저녁 전화 컴퓨터 프로그램 화면 글꼴 문서

발표했다 검토한다 바꾸었다 보여준다 설명하였다 늘어났다 줄였다 만들고있다 지원한다 살펴보았다

그러나 또한 지난해 천천히 서울에서 다시 특히 이미 한편 대체로 올해 마침내 비교적
"""
STEMS, ENDINGS, ADVERBS = (part.split() for part in VOCABULARY.split("\n\n"))
PARTICLES = [("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("에게", "한테"), ("으로", "로")]
SWAP = {one: other for pair in PARTICLES for one, other in (pair, pair[::-1])}


def document(rng: random.Random, size: int) -> str:
    """Korean-looking sentences of about `size` characters."""
    words: list[str] = []
    length = 0
    while length < size:
        stem = "".join(rng.choices(STEMS, k=rng.choice((1, 1, 2))))
        word = stem + rng.choice(PARTICLES)[rng.random() < 0.5]
        kind = rng.random()
        if kind < 0.15:
            word = rng.choice(ADVERBS)
        elif kind < 0.35:
            word = rng.choice(STEMS) + rng.choice(ENDINGS) + "."
        words.append(word)
        length += len(word) + 1
    return " ".join(words)


def respaced(rng: random.Random, text: str) -> str:
    spaced = (char + " " * (rng.random() < 0.2) for char in text if char != " " or rng.random() < 0.5)
    return "".join(spaced).replace(".", rng.choice((" . ", "…", "!\n")))


def edited(rng: random.Random, text: str, share: float = 0.03) -> str:
    chars = list(text)
    for place in rng.sample(range(len(chars)), int(len(chars) * share)):
        chars[place] = rng.choice(("", rng.choice("가나다라마바사"), chars[place] * 2))
    return "".join(chars)


def other_particles(rng: random.Random, text: str) -> str:
    def swap(match: re.Match[str]) -> str:
        return SWAP[match[0]] if rng.random() < 0.1 else match[0]

    return re.sub(r"(?<=[가-힣])(에게|한테|으로|[은는이가을를과와로])(?=\s|$)", swap, text)


def windows(text: str) -> set[str]:
    """The windows of a text as the module's docstring describes them, made the slow way."""
    text = re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text)).lower()
    sizes = [10 if char < "\u1100" else 5 for char in text]
    whole = [text[at : at + size] for at, size in enumerate(sizes) if not at or at + size <= len(text)]
    return set(whole)


def jaccard(one: str, other: str) -> float:
    first, second = windows(one), windows(other)
    return len(first & second) / len(first | second)


def bands(texts: list[str]) -> np.ndarray:
    return near.band_hashes(pa.array(texts, pa.large_string()))


def clusters(texts: list[str]) -> near.Clusters:
    return clustered([f"{number:08d}" for number in range(len(texts))], bands(texts))


def clustered(ids: list[str] | pa.Array, rows: np.ndarray) -> near.Clusters:
    return near.clusters(near.id_order(ids), rows, near.shared_bands(rows))


def kept(texts: list[str], ids: list[str] | None = None, ranks: list[int] | None = None) -> np.ndarray:
    ids = ids or [f"{number:08d}" for number in range(len(texts))]
    found = near.sketches(pa.array(texts, pa.large_string()))
    return kept_rows(ids, found.bands, found.lengths, ranks or [0] * len(texts))


def kept_rows(ids: list[str], rows: np.ndarray, lengths: Any, ranks: list[int]) -> np.ndarray:
    by_id, shared = near.id_order(ids), near.shared_bands(rows)
    order = by_id[np.lexsort((np.array(ranks)[by_id], -np.array(lengths)[by_id]))]
    return kept_copies.keep(order, rows, shared, near.clusters(by_id, rows, shared)).stays


def kept_ids(ids: list[str], texts: list[str], ranks: list[int]) -> set[str]:
    return {name for name, stays in zip(ids, kept(texts, ids, ranks), strict=True) if stays}


def real_texts(sample: Sample) -> list[str]:
    """Regulations and documentation, among them near copies that the corpus builder rejected."""
    texts = []
    for folder in ("documents", "rejected"):
        for path in sorted(Path(sample("corpus"), folder).glob("*.parquet")):
            texts += pq.read_table(path, columns=["text"])["text"].to_pylist()
    return [text[:2000] for text in dict.fromkeys(texts) if len(text) >= 200][:1500]


@pytest.mark.parametrize("source", ["generated", "real"])
def test_copies_are_found(source: str, sample: Sample) -> None:
    generator = random.Random(1)
    generated = [document(generator, generator.randint(200, 2000)) for _ in range(800)]
    texts = real_texts(sample) if source == "real" else generated
    rng = random.Random(2)
    ways = {
        "respaced": respaced,
        "NFD": lambda _, text: unicodedata.normalize("NFD", text),
        "particles": other_particles,
        "3 % edits": edited,
        "2 % edits": lambda rng, text: edited(rng, text, 0.02),
        "cut": lambda rng, text: text[: int(len(text) * rng.uniform(0.8, 1))],
    }
    if source == "real":
        del ways["3 % edits"]  # few texts of real length are similar enough after that many
    for way, change in ways.items():
        copies = [change(rng, text) for text in texts]
        near_copies = np.array([jaccard(*pair) >= 0.8 for pair in zip(texts, copies, strict=True)])
        stays = kept(texts + copies)
        dropped = ~stays[: len(texts)] | ~stays[len(texts) :]
        assert near_copies.sum() >= 20, way
        assert dropped[near_copies].mean() >= 0.99, way


def test_recall_right_at_a_similarity_of_0_8() -> None:
    rng = random.Random(3)
    texts = [document(rng, 700) for _ in range(1500)]
    copies = []
    for text in texts:
        size = len(re.sub(r"[\W_]", "", text))
        compact = re.sub(r"[\W_]", "", text)
        copies.append(compact[: int(size * 0.8) + 2])
    similar = [jaccard(*pair) for pair in zip(texts, copies, strict=True)]
    assert 0.79 < np.mean(similar) < 0.81
    stays = kept(texts + copies)
    assert np.mean(~stays[: len(texts)] | ~stays[len(texts) :]) >= 0.99


def test_recall_right_at_a_similarity_of_0_8_of_single_lines() -> None:
    rng = random.Random(3)
    texts, copies = [], []
    for _ in range(3000):
        compact = re.sub(r"\W", "", document(rng, 90))
        texts.append(compact)
        copies.append(compact[: 4 + round(0.8 * (len(compact) - 4))])
    similar = np.array([jaccard(*pair) for pair in zip(texts, copies, strict=True)])
    assert 0.79 < similar.mean() < 0.81
    stays = kept(texts + copies)
    assert np.mean(~stays[: len(texts)] | ~stays[len(texts) :]) >= 0.99


def test_the_share_of_equal_bytes_is_the_similarity() -> None:
    """Without bias, and no further off than 256 independent hashes, for few windows and for many."""
    rng = random.Random(11)
    for size in (12, 40, 150, 400, 1500):
        texts = [
            "".join(rng.choices("가나다라마바사아자차카타파하거너더러머버", k=size)) for _ in range(400)
        ]
        copies = [text[: 4 + round(0.7 * (size - 4))] for text in texts]
        similar = np.array([jaccard(*pair) for pair in zip(texts, copies, strict=True)])
        equal = (bands(texts).view(np.uint8) == bands(copies).view(np.uint8)).mean(axis=1)
        error = equal - (similar + (1 - similar) / 256)
        assert abs(error.mean()) < 0.005
        assert error.std() < 1.1 * math.sqrt(similar.mean() * (1 - similar.mean()) / 256)


def test_unrelated_documents_stay() -> None:
    rng = random.Random(4)
    texts = [document(rng, rng.randint(60, 300)) for _ in range(30_000)]
    assert np.count_nonzero(~kept(texts)) <= len(texts) // 10_000


def test_different_short_texts_stay() -> None:
    words = [first + last for first in STEMS for last in STEMS] + STEMS
    words += [f"{stem}{number}" for stem in STEMS if len(stem) < 4 for number in range(200)]
    assert kept(words).all()


def test_real_documents_that_are_dropped_have_a_copy(sample: Sample) -> None:
    texts = real_texts(sample)
    label, stays = clusters(texts).representative, kept(texts)
    assert 0 < np.count_nonzero(~stays) < len(texts) / 10
    for row in np.flatnonzero(~stays):
        others = np.flatnonzero((label == label[row]) & stays)
        assert max(jaccard(texts[row], texts[other]) for other in others) > 0.6


def test_texts_without_letters_and_short_texts() -> None:
    texts = [
        "",
        " \n",
        "!!! …",
        "",
        "네",
        "네.",
        "N E",
        "ne",
        "아니",
        "아니요",
        "ㅋㅋㅋ",
        "감사합니다",
        "감사합니다!",
    ]
    label = clusters(texts).representative.tolist()
    assert label == [0, 1, 2, 3, 4, 4, 6, 6, 8, 9, 10, 11, 11]
    assert near.band_hashes(pa.array([], pa.large_string())).shape == (0, near.NUM_BANDS)
    assert len(clusters([]).size) == len(kept([])) == 0
    assert near.canonical(pa.array([None, "a"], pa.large_string())).to_pylist() == ["", "a"]
    assert near.sketches(pa.array([], pa.string())).lengths.tolist() == []


@given(st.lists(st.text(max_size=60), max_size=5))
def test_lengths_are_those_of_the_canonical_texts(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    found = near.sketches(array)
    assert found.lengths.tolist() == list(map(len, near.canonical(array).to_pylist()))
    assert np.array_equal(found.bands, near.band_hashes(array))


def test_endless_repetition_takes_no_time() -> None:
    texts = ["가" * 1_000_000, "", "가" * 500_000, "나다라마바사" * 100_000]
    assert clusters(texts).representative.tolist() == [0, 1, 0, 3]


def test_a_bucket_full_of_unlike_documents() -> None:
    rng = np.random.default_rng(6)
    rows = rng.integers(1, 2**63, (100_000, near.NUM_BANDS)).astype(np.uint64)
    rows[:, 3] = 7
    rows[50_000] = rows[10]
    found = clustered(pa.array(np.arange(len(rows)).astype(str)), rows)
    assert np.count_nonzero(found.size > 1) == 2
    assert found.representative[10] == found.representative[50_000]


def test_order_and_shards_do_not_matter() -> None:
    rng = random.Random(7)
    texts = [document(rng, rng.randint(100, 600)) for _ in range(300)]
    texts += [edited(rng, rng.choice(texts), 0.015) for _ in range(500)] + texts[:50]
    ids = [f"{rng.getrandbits(64):016x}" for _ in texts]
    ranks = [rng.randint(0, 2) for _ in texts]
    expected = kept_ids(ids, texts, ranks)
    assert 250 < len(expected) < 800
    order = rng.sample(range(len(texts)), len(texts))
    shuffled = kept_ids(
        [ids[row] for row in order], [texts[row] for row in order], [ranks[row] for row in order]
    )
    assert shuffled == expected
    whole = bands(texts)
    shards = [bands(texts[start : start + 97]) for start in range(0, len(texts), 97)]
    assert np.array_equal(np.concatenate(shards), whole)
    assert np.array_equal(np.concatenate([bands([text]) for text in texts[:60]]), whole[:60])


def test_chains_are_one_cluster_of_known_size() -> None:
    compact = re.sub(r"\W", "", document(random.Random(8), 2000))
    chain = [compact[start : start + 1000] for start in range(0, 500, 50)]
    assert jaccard(chain[0], chain[-1]) < 0.5
    found = clusters([*chain, document(random.Random(9), 1000)])
    assert found.representative.tolist() == [0] * 10 + [10]
    assert found.size.tolist() == [10] * 10 + [1]
    stays = kept(chain)
    assert 1 < stays.sum() < 10
    for text, here in zip(chain, stays, strict=True):
        alike = max(jaccard(text, other) for other, there in zip(chain, stays, strict=True) if there)
        assert here or alike > 0.65


def test_the_longest_then_the_better_source_then_the_smallest_id_stays() -> None:
    rows = bands(["같은 글"] * 4)
    stays = kept_rows(list("abcd"), rows, [5, 9, 9, 9], [0, 2, 1, 1])
    assert stays.tolist() == [False, False, True, False]
    assert kept_rows(list("dcba"), rows, [1] * 4, [0] * 4).tolist() == [False, False, False, True]


def test_a_memory_map_will_do(tmp_path: Path) -> None:
    rng = random.Random(10)
    texts = [document(rng, 200) for _ in range(50)] * 2
    expected = clusters(texts)
    np.save(tmp_path / "bands.npy", bands(texts))
    mapped = np.load(tmp_path / "bands.npy", mmap_mode="r")
    found = clustered([f"{number:08d}" for number in range(len(texts))], mapped)
    assert np.array_equal(found.representative, expected.representative)
    assert set(found.size.tolist()) == {2}


def test_wrong_input_is_refused() -> None:
    rows = bands(["하나", "둘"])
    with pytest.raises(ValueError, match="a occurs twice"):
        near.id_order(["a", "a"])
    with pytest.raises(ValueError, match=r"\(2, 32\).*\(3, 32\)"):
        clustered(["a", "b", "c"], rows)


def test_sketches_stay_as_they_were() -> None:
    """Sketches of one release meet those of the next: these numbers may never change."""
    texts = ["대한민국은 민주공화국이다.", "A slicing selects a range of items.", "제1조 2항" * 300]
    assert bands(texts)[:, [0, 31]].tolist() == PINNED


PINNED = [
    [3265389697087938184, 7137751921383092304],
    [14147089757508722768, 17588009772524143816],
    [15709672724537852649, 13236895523893396325],
]


@given(st.lists(st.text(max_size=60), max_size=5))
def test_composed_and_decomposed_are_one(texts: list[str]) -> None:
    decomposed = [unicodedata.normalize("NFD", text) for text in texts]
    assert near.canonical(pa.array(texts, pa.string())) == near.canonical(pa.array(decomposed, pa.string()))
    assert np.array_equal(bands(texts), bands(decomposed))


@given(st.text("가나힣ㅋ漢aBz09é", max_size=80), st.randoms(use_true_random=False))
def test_spacing_case_and_punctuation_are_nothing(text: str, rng: random.Random) -> None:
    changed = "".join(
        char + rng.choice(("", "", " ", "\n", "\u3000", ", ", "·", "\u200b")) for char in text
    )
    assert near.canonical(pa.array([changed.upper()])).to_pylist() == [text.lower()]
    assert np.array_equal(bands([changed]), bands([text]))


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text(unit: str) -> None:
    assert growth(near.sketches, unit) < LINEAR
