"""The quality score: good texts beat the others, and neither length nor language nor layout counts."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.corpus.stages.quality import features, quality
from onnuri.corpus.stages.quality.model import Model, score
from onnuri.corpus.stages.quality.train import auc, platt, train
from tests.soak import tries

KOREAN_ARTICLE = (
    "정부는 올해 예산을 교육과 연구에 나누어 쓰기로 했다 학교에서는 학생들이 책을 읽고 토론한다 "
    "법률은 공포한 날부터 시행된다 연구진은 실험 결과를 학술지에 발표하였다 기온이 높아지면 해수면이 "
    "상승한다 이 제도는 주민의 참여를 넓힌다 "
)
KOREAN_CHATTER = (
    "ㅋㅋㅋ 진짜 개웃김 아니 근데 이거 뭐냐 ㅠㅠ 대박 완전 꿀잼 헐 미쳤다 ㅇㅈ 님들아 빨리 봐봐 짱이야 "
    "노잼 ㄹㅇ 걍 별로임 ㅡㅡ 담에 또 올게요 좋아요 눌러주세요 구독 클릭 바로가기 쿠폰 무료 이벤트 ㄱㄱ "
)
ENGLISH_ARTICLE = (
    "the committee published its annual report on the development of regional transport measurements were "
    "taken at several stations along the river and compared with earlier results which suggests that "
    "erosion has increased "
)
ENGLISH_CHATTER = (
    "lol omg click here buy now free shipping best deals ever u gotta see this gonna be awesome wow plz "
    "subscribe hot offer dont miss out haha idk whatever dude tbh sooo cool "
)


def prose(words: str, seed: int, length: int = 40) -> str:
    """So many of the words, in an order that no other seed has."""
    return " ".join(random.Random(seed).choices(words.split(), k=length)) + "."


def texts_like(words: str, seed: int, texts: int, length: int = 40) -> list[str]:
    return [prose(words, seed + i, length) for i in range(texts)]


@pytest.fixture(scope="module")
def model() -> Model:
    """Learnt from 150 Korean and 150 English texts a side."""
    good = texts_like(KOREAN_ARTICLE, 0, 150) + texts_like(ENGLISH_ARTICLE, 1000, 150)
    return train(good, texts_like(KOREAN_CHATTER, 2000, 150) + texts_like(ENGLISH_CHATTER, 3000, 150))[0]


def scores(model: Model, texts: Sequence[str | None]) -> np.ndarray:
    return score(pa.array(list(texts), pa.string()), model)


def test_fresh_good_texts_beat_fresh_random_ones_in_both_languages(model: Model) -> None:
    good = scores(model, texts_like(KOREAN_ARTICLE, 9000, 20) + texts_like(ENGLISH_ARTICLE, 9100, 20))
    other = scores(model, texts_like(KOREAN_CHATTER, 9200, 20) + texts_like(ENGLISH_CHATTER, 9300, 20))
    assert good.min() > 0.5 > other.max()


def test_texts_that_mix_both_lie_in_between(model: Model) -> None:
    mixed = scores(model, texts_like(KOREAN_ARTICLE + KOREAN_CHATTER, 9400, 20)).mean()
    assert scores(model, texts_like(KOREAN_CHATTER, 9200, 20)).mean() < mixed
    assert mixed < scores(model, texts_like(KOREAN_ARTICLE, 9000, 20)).mean()


def test_figures_tell_what_was_held_out() -> None:
    _, figures = train(texts_like(KOREAN_ARTICLE, 0, 150), texts_like(KOREAN_CHATTER, 2000, 200))
    assert (figures["korean"]["good"], figures["korean"]["random"]) == (150, 200)
    assert figures["korean"]["heldout"] == 15 + 20
    assert figures["korean"]["auc"] > 0.99
    assert figures["korean"]["kept"]["0.5"] == [1.0, 0.0]
    assert figures["latin"] == {"good": 0, "random": 0}


def test_length_is_not_learnt() -> None:
    words = KOREAN_ARTICLE + KOREAN_CHATTER
    model, _ = train(texts_like(words, 0, 400, length=200), texts_like(words, 5000, 400, length=20))
    long = scores(model, texts_like(words, 10**6, 200, length=200))
    short = scores(model, texts_like(words, 10**7, 200, length=20))
    gap = auc(np.concatenate((long, short)).astype(np.float64), np.repeat([1.0, 0.0], 200))
    assert 0.3 < gap < 0.7


def test_the_share_of_a_language_is_not_learnt() -> None:
    korean, english = KOREAN_ARTICLE + KOREAN_CHATTER, ENGLISH_ARTICLE + ENGLISH_CHATTER
    model, _ = train(
        texts_like(korean, 0, 900) + texts_like(english, 1000, 150),
        texts_like(korean, 2000, 150) + texts_like(english, 3000, 900),
    )
    gap = (
        scores(model, texts_like(korean, 10**6, 100)).mean()
        - scores(model, texts_like(english, 10**7, 100)).mean()
    )
    # A model that looked at the language would put them 1 apart; what is left is chance.
    assert abs(gap) < 0.2


def test_few_texts_of_a_language_in_a_heap_are_learnt_from_all_the_same() -> None:
    model, _ = train(
        texts_like(KOREAN_ARTICLE, 0, 500) + texts_like(ENGLISH_ARTICLE, 1000, 60),
        texts_like(KOREAN_CHATTER, 2000, 60) + texts_like(ENGLISH_CHATTER, 3000, 500),
    )
    assert (
        scores(model, texts_like(ENGLISH_ARTICLE, 9000, 20)).min()
        > scores(model, texts_like(KOREAN_CHATTER, 9100, 20)).max()
    )


def test_numbers_layout_and_composition_do_not_count(model: Model) -> None:
    text = "2023년 5월 11일 정부는 예산을 나누어 쓰기로 했다. 연구진은 결과를 발표하였다."
    changed = "1987년 1월 30일  정부는\t예산을\n\n나누어 쓰기로 했다.   연구진은\u3000결과를 발표하였다."
    found = scores(model, [text, changed, unicodedata.normalize("NFD", text)])
    assert found[0] == found[1] == found[2]


def test_what_was_not_learnt_is_not_judged(model: Model) -> None:
    texts = ["", None, "가", "これは日本語の文章です。", "Это русский текст.", "1234 5678", "\ufdd0"]
    found, reasons = quality(pa.array(texts, pa.string()), model, 1.0)
    assert found.to_pylist() == [None] * len(texts)
    assert reasons.to_pylist() == [""] * len(texts)


def test_the_threshold_and_its_reason(model: Model) -> None:
    texts = pa.array([prose(KOREAN_ARTICLE, 9000), prose(KOREAN_CHATTER, 9001), None], pa.large_string())
    found, reasons = quality(texts, model, 0.3)
    assert found.type == pa.float32() and found[0].as_py() > 0.5 and found[2].as_py() is None
    assert reasons.to_pylist() == [
        "",
        f"low quality: {np.floor(found[1].as_py() * 100) / 100:.2f} < 0.3",
        "",
    ]
    assert quality(texts, model, 0)[1].to_pylist() == ["", "", ""]
    assert quality(texts.slice(0, 0), model, 0.3)[0].to_pylist() == []
    for threshold in (-0.1, 1.5, float("nan")):
        with pytest.raises(UserError, match="must be from 0 to 1"):
            quality(texts, model, threshold)


def test_the_same_texts_give_the_same_weights() -> None:
    examples = texts_like(KOREAN_ARTICLE, 0, 60), texts_like(KOREAN_CHATTER, 2000, 60)
    (first, _), (second, _) = train(*examples), train(*examples)
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.calibration == second.calibration


def test_too_few_texts_are_an_error_with_the_counts() -> None:
    with pytest.raises(UserError, match="found korean: 5 good, 60 random; latin: 60 good, 0 random"):
        train(
            texts_like(KOREAN_ARTICLE, 0, 5) + texts_like(ENGLISH_ARTICLE, 0, 60),
            texts_like(KOREAN_CHATTER, 2000, 60),
        )


def test_a_long_text_is_judged_by_all_of_it(model: Model) -> None:
    good, other = prose(KOREAN_ARTICLE, 1, 2000), prose(KOREAN_CHATTER, 2, 2000)
    found = scores(model, [good + other, other + good, good, other])
    assert found[3] < found[0] < found[2] and found[3] < found[1] < found[2]


@settings(max_examples=tries(37, 600), deadline=None)
@given(
    st.lists(st.none() | st.text(max_size=60) | st.text("가나다 ab\u1100\u1161", max_size=9), max_size=6)
)
def test_a_score_does_not_depend_on_the_batch(texts: list[str | None]) -> None:
    weights = np.random.default_rng(0).normal(size=1 << features.BUCKET_BITS).astype(np.float32)
    model = Model(weights, dict.fromkeys(features.SCRIPTS, (1.0, 0.0)))
    found = scores(model, texts)
    assert len(found) == len(texts)
    for text, value in zip(texts, found, strict=True):
        np.testing.assert_array_equal(scores(model, [text]), [value])
        # Windows line ends, a boundary and the like are characters too: only nothing at all has no score.
        composed = " ".join(unicodedata.normalize("NFC", text or "").split())
        assert np.isnan(value) or 0 < value < 1
        assert len(composed) < 2 or not np.isnan(value)


@given(st.text(max_size=400), st.integers(20, 200))
def test_windows_are_bounded_and_final(text: str, characters: int) -> None:
    cut = features.windows(text, characters)
    assert len(cut) <= characters
    assert features.windows(cut, characters) == cut
    assert len(text) > characters or cut == text


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    x, y = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    ones, zeros = x[y == 1], x[y == 0]
    if len(ones) and len(zeros):
        wins = [(one > zero) + 0.5 * (one == zero) for one in ones for zero in zeros]
        assert auc(x, y) == pytest.approx(np.mean(wins))


def test_calibration_gives_probabilities() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=20000)
    y = (generator.random(20000) < 1 / (1 + np.exp(-(3 * x - 1)))).astype(np.float64)
    slope, offset = platt(x, y)
    # Both classes weigh the same: the offset loses the log-odds of how common the class is.
    assert slope == pytest.approx(3, rel=0.05)
    assert offset == pytest.approx(-1 - np.log(y.mean() / (1 - y.mean())), abs=0.1)
