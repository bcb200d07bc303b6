"""Word lists that the items are made of: common words, written for this project.

Like the code they are under the Apache-2.0 licence; whoever prefers may use the lists under CC0-1.0.
A stem is written as text/class (see conjugate.stem). Verbs stand with nouns that they take as an object, so
that every combination is something that people say.
"""

from __future__ import annotations

from onnuri.evaluate.kopairs.conjugate import Stem, stem
from onnuri.evaluate.kopairs.listing import listed

NAMES = listed(
    "민수 지수 영희 철수 수진 지영 현우 민호 준호 서연 지훈 수빈 은지 유진 성민 동현 미나 정우 하은 "
    "태희 승호 예진 도윤 소영 재민 혜진 상우 나영 경수 현아"
)

PERSONS = listed(
    "학생 친구 아이 동생 의사 기자 경찰 가수 군인 농부 배우 직원 손님 이웃 선배 후배 아저씨 아주머니 "
    "형 누나 오빠 언니 삼촌 이모 고모 사촌 감독 선수 시인 작가 화가 간호사 변호사 요리사 소녀 소년 "
    "신부 신랑 부부 주인"
)
"""Who can do things and is neither above nor below the speaker by the noun itself."""

HONORED = listed(
    "선생님 할머니 할아버지 교수님 사장님 어머니 아버지 부장님 회장님 목사님 과장님 원장님 시장님 스님 "
    "신부님 장모님 외할머니 외할아버지 총장님 감독님 시어머니 시아버지 장인어른 이사장님"
)

LOW_PEOPLE = listed(
    "우리_손주 꼬마 막냇동생 내_조카 우리_손자 우리_손녀 내_남동생 내_여동생 우리_아들 우리_딸 도둑 범인 "
    "어린아이 초등학생 내_동생 유치원생 사촌_동생 우리_막내"
)
"""Subjects that -시- never honours; _ stands for a space."""

ANIMALS = listed("강아지 고양이 토끼 송아지 다람쥐 원숭이 곰 사슴 여우 거북이")

PLACES = listed(
    "학교 공원 시장 병원 도서관 은행 우체국 식당 바다 교실 회사 시골 극장 서점 백화점 박물관 미술관 "
    "공항 호텔 카페 체육관 놀이터 운동장 수영장 사무실 가게 정류장 약국 편의점 마을 거실 부엌 마당 "
    "옥상 터미널 강당"
)

BUILDINGS = listed(
    "학교 병원 도서관 은행 우체국 식당 교실 회사 극장 서점 백화점 박물관 미술관 공항 호텔 카페 체육관 "
    "놀이터 운동장 수영장 사무실 가게 정류장 약국 편의점 터미널 강당 공원 시장"
)
"""Places that have a front: 학교 앞."""

CITIES = listed(
    "서울 부산 대전 광주 대구 인천 울산 제주도 강릉 전주 수원 춘천 경주 여수 속초 목포 포항 청주 진주 안동"
)

OBJECTS: dict[str, str] = {
    "먹": "사과 밥 빵 라면 과자 고기 김밥 떡 국수 수박 딸기 케이크 만두 포도",
    "마시": "물 우유 커피 주스 녹차 콜라",
    "읽": "책 신문 편지 소설 잡지 만화책 기사 동화책 시집",
    "입": "옷 치마 바지 코트 한복 정장 교복 잠옷",
    "사": (
        "사과 책 옷 모자 가방 신발 꽃 우산 시계 지갑 의자 책상 자전거 컴퓨터 바지 구두 장갑 냉장고 "
        "텔레비전 연필 공책"
    ),
    "찾": "열쇠 지갑 가방 안경 우산 시계 사진 리모컨 휴대폰 통장",
    "보": "영화 그림 사진 드라마 뉴스 연극 경기",
    "듣/ㄷ": "음악 노래 이야기 라디오 강의 소식",
    "쓰": "편지 일기 글 소설 보고서 답장",
    "만들": "의자 책상 케이크 인형 음식 장난감 김치 영화 빵",
    "닦": "창문 책상 거울 안경 유리창 바닥 신발 접시",
    "팔": "집 자동차 가구 책 땅 옷 과일 기타",
    "고르/르": "선물 옷 책 사진 색 신발 메뉴 반지",
    "버리": "쓰레기 옷 종이 가구 상자 병 신문",
    "정리하": "책상 방 서류 옷장 책장 서랍 창고",
    "배우": "영어 수영 노래 춤 피아노 태권도 요리 기타 한자",
    "잃어버리": "열쇠 지갑 우산 휴대폰 가방 반지 모자 장갑",
    "받": "선물 편지 상 용돈 소포 월급 답장",
    "그리": "그림 꽃 나무 산 바다 고양이 얼굴 지도",
    "빌리": "책 돈 우산 자전거 자동차 연필 텐트",
    "씻": "과일 접시 컵 채소 감자 딸기",
    "고치": "시계 자전거 컴퓨터 의자 지붕 라디오 냉장고",
    "심": "나무 꽃 감자 고추 상추 콩",
    "옮기": "책상 의자 상자 화분 침대 짐 냉장고",
    "숨기": "편지 선물 돈 사진 일기장 반지",
    "모으": "우표 동전 돈 인형 그림 쓰레기",
    "부르/르": "택시 의사 친구 경찰",
    "구하": "집 방 직장 자료 일자리",
    "외우": "시 단어 노래 이름 번호 한자",
}
"""Verb to things that it is done to."""

ACTIONS = listed(
    "공부하 놀 일하 쉬 노래하 춤추 싸우 운동하 울 웃 떠들 연습하 달리 이야기하 책을_읽 밥을_먹 "
    "점심을_먹 영화를_보 커피를_마시 그림을_그리 사진을_찍 편지를_쓰 음악을_듣/ㄷ 기타를_치 "
    "친구를_만나 노래를_부르/르"
)
"""What happens at a place (with 에서, never 에)."""

STAYING = listed(
    "앉아_있었다 서_있었다 누워_있었다 숨어_있었다 머물렀다 남아_있었다 쓰러져_있었다 "
    "쪼그려_앉아_있었다 기대어_있었다 엎드려_있었다 무릎을_꿇고_앉아_있었다 줄을_서_있었다 "
    "가만히_서_있었다 가만히_앉아_있었다"
)
"""Verbs that take 에 and 에서 alike."""

PAST_TIMES = listed(
    "어제 그저께 지난주에 지난달에 아까 오늘_아침에 어제저녁에 지난_주말에 며칠_전에 얼마_전에"
)

COUNTED: dict[str, str] = {
    "마리": "고양이 강아지 새 소 물고기 토끼 돼지 오리 양 나비",
    "권": "책 소설책 공책 잡지 사전 만화책 교과서 일기장 동화책",
    "그루": "나무 소나무 은행나무 벚나무 사과나무 감나무 배나무",
    "켤레": "신발 구두 운동화 양말 장갑 슬리퍼 부츠",
    "벌": "양복 한복 정장 교복 드레스 잠옷 운동복",
    "대": "자동차 버스 트럭 택시 오토바이 비행기 피아노 컴퓨터",
    "명": "학생 의사 기자 군인 아이 가수 간호사 경찰관 요리사",
    "자루": "연필 볼펜 칼 호미 부채 도끼",
    "송이": "장미 국화 튤립 백합 해바라기 무궁화",
}
"""Counter to nouns that take it. A noun of one row never takes the counter of another."""

JOBS_CONSONANT = listed(
    "학생 선생님 군인 경찰 회사원 공무원 소방관 감독 시인 외국인 어른 사장 왕 범인 주인 연예인 모범생 "
    "대학생 신입생 통역관 경찰관 심판 상인 팀장 반장 회장 국회의원 우주인 연구원 사냥꾼 이장 총장 교장"
)
JOBS_VOWEL = listed(
    "의사 가수 배우 기자 요리사 간호사 교사 화가 판사 검사 목수 농부 어부 선수 작가 변호사 과학자 부자 "
    "친구 운전사 약사 번역가 사업가 무용수 건축가 조종사 미용사 왕비 공주 마녀 통역사 사진사 연주자 "
    "축구_선수 수의사"
)

DESCRIBED: dict[str, str] = {
    "크기가_작 천장이_낮 안쪽이_어둡/ㅂ 바닥이_차갑/ㅂ 창문이_작 시설이_낡 공간이_좁 가구가_낡": (
        "방 집 교실 사무실 가게 식당 창고 강당 거실 부엌 카페 도서관 극장 서점"
    ),
    "가격이_비싸 장식이_단순하 색깔이_어둡/ㅂ 모양이_단순하 크기가_작 디자인이_낡": (
        "가방 책상 의자 컴퓨터 시계 우산 침대 자전거 옷장 카메라 텔레비전 상자 기타 냉장고"
    ),
    "길이가_짧 무늬가_단순하 색깔이_어둡/ㅂ 두께가_얇 가격이_비싸": (
        "치마 바지 코트 양말 목도리 이불 커튼 수건 장갑 외투"
    ),
    "내용이_어렵/ㅂ 문장이_길 글씨가_작 두께가_얇 가격이_비싸 줄거리가_단순하": (
        "책 소설 잡지 동화책 시집 만화책"
    ),
}
"""Faults of things, in spite of which one may like them."""

ADJECTIVES: dict[str, str] = {
    "친절하 착하 성실하 똑똑하 부지런하 건강하 행복하 피곤하 용감하 유명하 솔직하 정직하 얌전하 "
    "활발하 겸손하 순진하 다정하 바쁘 게으르/르 엄격하 상냥하 냉정하 꼼꼼하 소심하 대담하": (
        "동생 친구 이웃 삼촌 이모 의사 누나 언니 형 오빠 직원 감독 가수 배우 기자 선배 후배 사촌 화가 "
        "간호사 변호사 고모 선수 작가"
    ),
    "편하 불편하 튼튼하 비싸 싸 평범하 특별하 화려하 유용하 단순하": (
        "옷 의자 가방 신발 모자 침대 책상 구두 시계 우산 안경 바지 코트 자전거 상자 장갑"
    ),
    "깨끗하 조용하 시원하 따뜻하 안전하 위험하 아늑하 편안하 한산하 썰렁하": (
        "방 교실 집 공원 식당 가게 카페 도서관 호텔 마당 거실 극장 시장 강당 사무실 골목"
    ),
    "복잡하 간단하 중요하 필요하 정확하 유익하 심각하 분명하 당연하 확실하": (
        "문제 설명 규칙 방법 계획 연구 조사 기록 질문 정보 대답 결과 이유 자료 계산 내용"
    ),
}
"""Adjectives in a vowel to their subjects."""


def object_verbs() -> list[tuple[str, Stem]]:
    """Every (object, verb) of OBJECTS, in order."""
    return [(noun, stem(verb)) for verb, nouns in OBJECTS.items() for noun in nouns.split()]


DAILY_VERBS = listed("먹 마시 읽 보 듣 쓰 닦 배우 씻 그리 외우 정리하")


def daily_verbs() -> list[tuple[str, Stem]]:
    """Those of object_verbs() that say what people do day by day."""
    return [(noun, verb) for noun, verb in object_verbs() if verb.text in DAILY_VERBS]
