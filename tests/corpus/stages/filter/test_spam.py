"""Footers, menus, gambling and adult pages: what goes, and above all what must stay."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.filter.spam import clean
from tests.corpus.growth import LINEAR, UNITS, growth
from tests.soak import tries

ARTICLE = (
    "서울시는 내년부터 시내버스 노선을 전면 개편한다고 밝혔다.\n"
    "이번 개편으로 출퇴근 시간의 혼잡이 줄어들 것으로 시는 기대하고 있다.\n"
    "시민 의견은 다음 달까지 받는다."
)

FOOTERS = {
    "notice": "무단전재 및 재배포 금지",
    "notice in brackets": "<저작권자 ⓒ 한빛일보, 무단 전재 및 재배포 금지>",
    "notice as sentence": "본 기사의 무단 전재 및 재배포를 금지합니다.",
    "copyright sign": "ⓒ 한빛일보",
    "all rights reserved": "Copyright ⓒ 한빛일보. All rights reserved.",
    "notice against training": "[저작권자(c) 한빛통신, 무단 전재-재배포, AI 학습 및 활용 금지]",
    "tips": "기사제보 및 보도자료 news@hanbit.example",
    "tips by messenger": "▶ 제보는 카카오톡 '한빛제보'",
    "company": "사업자등록번호: 123-45-67890 | 대표: 홍길동 | 주소: 서울시 중구",
    "publisher": "발행인 : 홍길동 | 편집인 : 김철수",
    "phone": "TEL: 02-123-4567 / FAX: 02-123-4568",
    "fax": "FAX. 02-123-4568",
    "reporter": "홍길동 기자 hong@hanbit.example.kr",
    "reporter with town": "(서울=한빛뉴스) 홍길동 기자 = hong@hanbit.example.kr",
    "address alone": "hong@hanbit.example.kr",
    "reporter without address": "/홍길동 기자",
    "subscribe": "▶ 네이버에서 한빛일보 구독하기",
    "share": "좋아요 공유하기",
    "buttons": "좋아요 12 | 댓글 3 | 공유 | 스크랩",
}


def cleaned(text: str) -> str:
    return clean(pa.array([text]))[0][0].as_py()


def reason(text: str) -> str:
    return clean(pa.array([text]))[1][0].as_py()


@pytest.mark.parametrize("footer", FOOTERS.values(), ids=FOOTERS.keys())
def test_a_footer_goes_from_the_end_and_the_article_stays_whole(footer: str) -> None:
    assert cleaned(f"{ARTICLE}\n\n{footer}\n") == ARTICLE


def test_several_footers_and_the_headlines_under_a_notice_go_together() -> None:
    tail = [
        FOOTERS["reporter"],
        FOOTERS["notice in brackets"],
        "관련기사",
        "버스 요금 오르나",
        "지하철 연장",
    ]
    assert cleaned("\n".join([ARTICLE, *tail])) == ARTICLE


@pytest.mark.parametrize(
    "prose",
    [
        "언론사들은 홈페이지 아래에 무단전재 및 재배포 금지 문구를 넣는다.",
        "저작권법은 저작물의 무단 복제를 금지하고 있으며 위반하면 처벌을 받는다.",
        "제보는 신원이 보장되며 누구나 할 수 있다.",
        "좋아요와 공유하기 버튼을 누르면 친구에게 글이 전달됩니다.",
        "사업자등록번호는 열 자리 숫자로 이루어진다.",
        "궁금한 점은 hong@hanbit.example.kr로 보내 주시면 답해 드리겠습니다.",
        "쿠키는 브라우저가 저장하는 작은 파일이며 사이트 설정을 기억한다.",
        "이 기자는 열 해 동안 한 사건을 취재했다.",
        "로그인",
        "좋아요 좋아요 좋아요",
        "이용약관 및 개인정보 처리방침의 변경을 알려 드립니다.",
    ],
)
def test_prose_about_footers_stays_at_the_end_and_in_the_middle(prose: str) -> None:
    for text in (f"{ARTICLE}\n{prose}", f"{prose}\n{ARTICLE}"):
        assert cleaned(text) == text


def test_a_notice_at_the_top_or_before_prose_cuts_nothing() -> None:
    for text in (f"ⓒ 한빛일보\n{ARTICLE}", f"{ARTICLE}\n무단전재 및 재배포 금지\n{ARTICLE}"):
        assert cleaned(text) == text
    verse = "무단전재 및 재배포 금지\n" + "\n".join(f"{n}번째 줄의 노래" for n in range(20))
    assert cleaned(verse) == verse


@pytest.mark.parametrize(
    "line",
    [
        "로그인 | 회원가입 | 고객센터",
        "홈 > 공지사항 > 자유게시판",
        "이용약관 | 개인정보처리방침 | 청소년보호정책",
        "글자크기 | 인쇄 | 페이스북 | 트위터 | URL 복사",
        "이 웹사이트는 쿠키를 사용합니다. 계속 이용하시면 동의하는 것으로 간주됩니다.",
        "모든 쿠키 허용 | 거부",
    ],
)
def test_menus_and_cookie_banners_go_wherever_they_stand(line: str) -> None:
    assert cleaned(f"{line}\n{ARTICLE}") == ARTICLE
    first, rest = ARTICLE.split("\n", 1)
    assert cleaned(f"{first}\n{line}\n{rest}") == ARTICLE


def test_a_text_of_nothing_but_boilerplate_has_a_reason() -> None:
    assert reason("로그인 | 회원가입\nⓒ 한빛일보\nTEL: 02-123-4567").startswith("boilerplate: ")
    assert reason("") == ""


SPAM = [
    (
        "gambling",
        "먹튀검증 완료 안전놀이터 추천 토토사이트 순위 메이저놀이터 가입첫충 꽁머니 지급 파워볼사이트 안내",
    ),
    (
        "gambling",
        "온라인 카지노사이트 추천 1위 우리카지노 더킹카지노 바카라사이트 쿠폰 즉시 지급 24시간 상담",
    ),
    (
        "gambling",
        "슬롯사이트 순위를 알려드립니다 최고의 슬롯추천 업체와 라이브카지노 먹튀없는 "
        "곳에서 즐기는 블랙잭 룰렛",
    ),
    ("gambling", "토토사이트 추천 " * 12),
    ("adult", "강남 출장안마 24시 후불제출장 출장샵 콜걸 전화 주세요 최고의 서비스 마사지"),
    ("adult", "부산 출장마사지 홈타이 건마 스웨디시 예약금 없는 후불제 출장 아가씨 대기"),
    ("adult", "여성 유흥알바 밤알바 룸알바 당일지급 고수익 보장 상담 환영 룸싸롱"),
    ("spliced spam", "이 자료가 어떻게 사용되는지,라이트닝 룰렛결과물이 어디에 쓰이는지를 밝혀야 한다."),
    ("spliced spam", f"{ARTICLE} 도시의 새로운 계획을카지노사이트확인하여 발표했다."),
    (
        "spliced spam",
        f"학교는 학생들에게 책을 나누어 주었다.바카라함께 읽고 이야기하는 시간도 마련했다. {ARTICLE}",
    ),
]
CLEAN = {
    "article": ARTICLE,
    "statute": "제21조(카지노업의 허가) ① 카지노업을 하려는 자는 문화체육관광부장관의 허가를 "
    "받아야 한다. 제22조 "
    "(결격사유) 사행산업통합감독위원회법 제2조에 따른 사행산업 중 카지노업, 경마, "
    "복권, 체육진흥투표권을 말한다.",
    "casino law": "국회는 카지노 개정안을 통과시켰다. 강원랜드카지노의 출입 제한이 완화되고 "
    "외국인전용카지노도 늘어난다. "
    "시민단체는 도박 중독 예방 예산이 먼저라고 비판했다.",
    "arrest": "경찰은 불법 토토사이트를 운영한 혐의로 일당 다섯 명을 구속했다. 이들은 "
    "스포츠토토를 본뜬 누리집에서 회원을 "
    "모은 뒤 먹튀 수법으로 돈을 가로챈 것으로 조사됐다. 바카라와 슬롯머신 도박장도 함께 운영했다.",
    "arrest, parlours": "경찰은 출장안마 업소를 가장해 성매매를 알선한 혐의로 김모 씨를 검거했다. 수사 "
    "결과 이들은 조건만남 "
    "광고를 올려 손님을 모았고, 법원은 구속영장을 발부했다.",
    "film": "타짜보다 못하다. 카지노 장면은 볼 만하지만 룰렛 돌리는 장면이 너무 길다.",
    "film for children": "이웃집 토토로는 언제 봐도 좋다. 토토로가 비를 맞는 장면이 최고.",
    "computer": "메모리 슬롯이 두 개이며 슬롯마다 8기가바이트를 꽂는다. 시그널과 슬롯은 객체 "
    "사이의 통신에 쓰인다.",
    "playground": "구청은 어린이를 위한 안전 놀이터를 새로 만들었다. 놀이터에는 그네와 미끄럼틀이 있다.",
    "therapy": "안마사는 시각장애인의 직업이다. 안마와 마사지는 근육을 푸는 데 도움이 된다.",
    "business trip": "부산 출장 중에 숙소에서 마사지 의자를 썼는데 서비스가 좋았다.",
    "travel": "마카오의 카지노호텔에 묵었다. 호텔 안의 카지노에는 바카라와 블랙잭 테이블이 "
    "있었지만 구경만 했다.",
    "novel": "그는 밤마다 바카라를 했고, 마지막 남은 돈을 룰렛에 걸었다. 카지노를 나설 때는 빈손이었다.",
    "comment without spaces": "배우들의 연기가 멋있는카지노기술이난무할줄알았는데 아니었다.",
    "glued particle": "그들이 운영하는카지노의 수익이 줄었다.",
    "night work": "편의점 알바를 하다가 밤 알바로 옮겼더니 잠이 부족하다.",
    "short": "네",
    "english": "Roulette and slots are games of chance.",
}


@pytest.mark.parametrize(("name", "text"), SPAM)
def test_spam_is_dropped_with_its_kind(name: str, text: str) -> None:
    assert reason(text).split(":")[0] == name


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_texts_that_only_speak_of_it_are_kept_untouched(text: str) -> None:
    assert reason(text) == ""
    assert cleaned(text) == text


def test_a_batch_gives_what_its_texts_give_one_by_one_and_nulls_are_empty() -> None:
    texts = [
        *(text for _, text in SPAM),
        *CLEAN.values(),
        *(f"{ARTICLE}\n{foot}" for foot in FOOTERS.values()),
    ]
    batch, reasons = clean(pa.array([*texts, None]))
    assert batch.to_pylist() == [*map(cleaned, texts), ""]
    assert reasons.to_pylist() == [*map(reason, texts), ""]
    assert [len(answer) for answer in clean(pa.array([], pa.string()))] == [0, 0]


LINES = st.sampled_from(
    [*FOOTERS.values(), *ARTICLE.split("\n"), "", " ", "관련기사", "로그인 | 검색", "ㅋㅋ"]
)


@settings(max_examples=tries(75, 1200))
@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\n\n", "\r\n"]))
def test_cleaning_twice_changes_nothing_and_only_whole_lines_go(lines: list[str], feed: str) -> None:
    text = feed.join(lines)
    once = cleaned(text)
    assert cleaned(once) == once
    kept = iter(line.rstrip() for line in text.split("\n"))
    assert not once or all(any(line.rstrip() == other for other in kept) for line in once.split("\n"))
    for line in ARTICLE.split("\n"):
        assert once.count(line) == text.count(line)


@pytest.mark.parametrize("feed", ["\n", "\r\n", "\r\n\r\n"])
def test_a_notice_is_found_whatever_ends_lines(feed: str) -> None:
    """It must have as much above it as under it; that what ends a line counts once made a difference."""
    notice = "<저작권자 ⓒ 한빛일보, 무단 전재 및 재배포 금지>"
    contact = ["본 기사의 무단 전재 및 재배포를 금지합니다.", "홍길동 기자 hong@hanbit.example.kr"]
    assert cleaned(feed.join([notice, notice, *contact, "관련기사", "무단전재 및 재배포 금지"])) == ""


def test_footers_are_found_behind_blank_lines_and_long_lines() -> None:
    gap = "\n" * 500 + " " * 300 + "\n"
    assert cleaned(f"{ARTICLE}{gap}ⓒ 한빛일보{gap}TEL: 02-123-4567{gap}") == ARTICLE
    long = "가나다라 " * 100 + "ⓒ 한빛일보"
    assert cleaned(f"{ARTICLE}\n{long}") == f"{ARTICLE}\n{long}"


@pytest.mark.parametrize("unit", [*UNITS, "@", "@\n", "-", "가 기자 ", "쿠키 ", "ⓒ\n", "ⓒ\n\n\n"])
def test_time_grows_with_the_text(unit: str) -> None:
    assert growth(clean, unit) < LINEAR
    assert growth(lambda texts: clean(pa.array([f"@{texts[0]}@"])), unit) < LINEAR
