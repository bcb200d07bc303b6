"""Korean postal addresses, down to the building.

An address is a region, a street or a lot, and what follows it: 서울 강남구 테헤란로 152, 101동 1203호.
A region ends in 시, 군 or 구, and has an official name, stands after a province, or is a city with its
district. So 다시, 연구 and 친구 begin none, and names of places alone are none. A road has a number; a lot
has 번지, a second number, or a flat (N동, N호) behind it.

Cost: the search begins where 시, 군 or 구 stands with a digit close behind, and every repeat is bounded.
Addresses in Latin letters are not found. Source: Road Name Address Act; names of cities, counties and
districts as of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from onnuri.corpus.stages.pii.rules import Span
from onnuri.corpus.stages.pii.shapes import plain, plain_units

_REACH = 40
"""Most characters between a region and the first digit behind it."""
_LONGEST_REGION = 32

_DISTRICTS = (
    "종로 중 용산 성동 광진 동대문 중랑 성북 강북 도봉 노원 은평 서대문 마포 양천 강서 구로 금천 "
    "영등포 동작 관악 서초 강남 송파 강동 서 동 영도 부산진 동래 남 북 해운대 사하 금정 연제 수영 "
    "사상 수성 달서 미추홀 연수 남동 부평 계양 제물포 영종 서해 검단 광산 유성 대덕 장안 권선 팔달 "
    "영통 수정 중원 분당 만안 동안 단원 상록 덕양 일산동 일산서 처인 기흥 수지 원미 소사 오정 만세 "
    "효행 병점 동탄 상당 서원 흥덕 청원 동남 서북 완산 덕진 의창 성산 마산합포 마산회원 진해"
)
_CITIES = (
    "수원 성남 의정부 안양 부천 광명 평택 동두천 안산 고양 과천 구리 남양주 오산 시흥 군포 의왕 하남 "
    "용인 파주 이천 안성 김포 화성 광주 양주 포천 여주 춘천 원주 강릉 동해 태백 속초 삼척 청주 충주 "
    "제천 천안 공주 보령 아산 서산 논산 계룡 당진 전주 군산 익산 정읍 남원 김제 목포 여수 순천 나주 "
    "광양 포항 경주 김천 안동 구미 영주 영천 상주 문경 경산 창원 진주 통영 사천 김해 밀양 거제 양산 "
    "제주 서귀포"
)
_COUNTIES = (
    "기장 달성 군위 강화 옹진 울주 연천 가평 양평 홍천 횡성 영월 평창 정선 철원 화천 양구 인제 고성 "
    "양양 보은 옥천 영동 증평 진천 괴산 음성 단양 금산 부여 서천 청양 홍성 예산 태안 완주 진안 무주 "
    "장수 임실 순창 고창 부안 담양 곡성 구례 고흥 보성 화순 장흥 강진 해남 영암 무안 함평 영광 장성 "
    "완도 진도 신안 의성 청송 영양 영덕 청도 고령 성주 칠곡 예천 봉화 울진 울릉 의령 함안 창녕 남해 "
    "하동 산청 함양 거창 합천"
)
_METROPOLISES = "서울 부산 대구 인천 광주 대전 울산 세종"


def _any(words: str) -> str:
    return "(?:" + "|".join(words.split()) + ")"


_GAP = r"(?:[ \t]{1,3}(?:\n[ \t]{0,3})?|\n[ \t]{0,3})"
_CITY = rf"{_any(_METROPOLISES)}(?:특별자치|특별|광역)?시"
_PROVINCE = (
    rf"(?:{_CITY}|{_any(_METROPOLISES)}|(?:경기|강원|제주)(?:특별자치도|도)?|전북특별자치도|[충전경][남북]"
    r"|(?:충청|전라|경상)[남북]도)"
)
_NAMED = rf"(?:{_any(_DISTRICTS)}구|{_any(_CITIES)}시|{_any(_COUNTIES)}군)"
_COMMON = (
    "다시 역시 즉시 잠시 당시 동시 임시 표시 반드시 연구 친구 지구 요구 입구 출구 기구 인구 야구 축구 "
    "농구 배구"
)
_UNNAMED = rf"(?!{_any(_COMMON)})[가-힣]{{1,4}}"
_REGION = (
    r"(?:(?<![가-힣])|(?<=주소|거주|위치|소재))"
    rf"(?:{_PROVINCE}{_GAP}?(?:{_UNNAMED}[시군]{_GAP}?)?{_UNNAMED}[시군구]"
    rf"|{_UNNAMED}시{_GAP}{_UNNAMED}구|(?:{_NAMED}{_GAP}?)?{_NAMED}|{_CITY})"
)
_REGION_ENDS = re.compile(rf"{_REGION}\Z")
_REGION_STARTS = re.compile(_REGION)

# What may stand right behind the number of a building or lot: a particle, never a unit.
_NUMBER_ENDS = (
    r"(?![0-9A-Za-z%‰℃°㎞㎡㎜㎝㎏/~:]|[.-][0-9]|,[0-9]{3}(?![0-9동층호])"
    r"|[ \t](?:시간|년|월|개|명|원|만|억|위|회|배|평|번|차|대|점|승|패|달러|퍼센트|미터|킬로"
    r"|km|m(?![a-z])|%))"
    r"(?![가-힣])"
)
_PARTICLE = (
    r"(?:에(?:서|게)?|으?로|의|이(?!닝|하|상)|입니다|[을를은는과와]|및|앞|소재|일대|일원|인근|부근|번지)"
)
_ENDS = rf"(?:(?={_PARTICLE})|{_NUMBER_ENDS})"
_YEARS = r"(?!(?:19|20)[0-9]{2}-(?:19|20)[0-9]{2})"
_NUMBER = rf"{_YEARS}[0-9]{{1,5}}+(?:-[0-9]{{1,4}}+)?+"
_LOT = rf"(?:산 ?)?{_YEARS}[0-9]{{1,4}}+"

_AN_ADVERB = rf"(?!{_any('별 새 서 따 바 주 위주 기준 그대 대 차례 실제 스스 홀 제대 함부 때때')}로)"
_ROAD = (
    rf"{_AN_ADVERB}(?:[가-힣][가-힣0-9.·]{{0,13}}?|[0-9]{{3,4}})(?:(?<!으)로|길)"
    r"(?: ?[0-9]{1,4}(?:번|[가나다라마바사아자차카타파하])?안?길)?"
    rf"{_GAP}?(?:지하 ?)?{_NUMBER}{_ENDS}(?:번지)?"
)
_FLAT = (
    r"(?:제? ?(?:[0-9]{1,4}|[A-Za-z][0-9]{0,3}|[가나다라마바사])동,? ?)?"
    r"제? ?[A-Za-z]?[0-9]{1,4}(?:-[0-9]{1,3})?호(?![텔선점])"
)
_BLOCK = r"제? ?[0-9]{1,4}동(?![가-힣])"
_FLOOR = r"(?:(?:지하|지상) ?)?제?[0-9]{1,3}층|지하 ?[0-9](?![0-9])|반지하|옥탑방?"
_UNIT = rf"(?:{_FLAT}|{_BLOCK}|{_FLOOR}|[0-9]{{1,2}}단지|[1-9][0-9]{{2}}-[1-9][0-9]{{2,3}}(?![0-9-]))"
_NO_NAME = r"(?!(?:근처|인근|부근|앞|옆|맞은편|에서|에|의|은|는|이|가|을|를|및|또는)(?![가-힣]))"
_NAME = rf"{_NO_NAME}[가-힣A-Za-z][가-힣A-Za-z0-9·]{{1,19}}+"
_BUILDING = r"[가-힣A-Za-z0-9·]{1,15}?(?:아파트|빌라|빌딩|오피스텔|맨션|연립|주택|타워)(?![가-힣])"
_DONG = r"\([가-힣][가-힣0-9]{0,7}[동리가로읍면](?:[,·] ?[가-힣A-Za-z0-9 ,·-]{1,30}+)?\)"
_SEPARATOR = rf"(?:,? ?|{_GAP})"
_DETAIL = (
    rf"(?:{_SEPARATOR}(?:{_DONG}|{_UNIT}|{_BUILDING}|{_NAME} {_UNIT}|{_NAME} {_NAME} (?:{_FLAT}|{_BLOCK})))"
    r"{0,6}"
)
_TOWN = rf"(?:[가-힣]{{1,5}}[읍면]{_GAP})?"
_LOT_OR_FLAT = (
    rf"[가-힣][가-힣0-9]{{0,7}}[동리가](?:[0-9]가)?{_GAP}?"
    rf"(?:{_LOT}(?:-[0-9]{{1,4}}+)? ?번지(?: ?[0-9]{{1,4}}호)?|{_LOT}-[0-9]{{1,4}}+{_ENDS}"
    rf"|(?:{_LOT}(?:-[0-9]{{1,4}}+)?,? )?(?:{_NAME} ){{0,2}}{_FLAT})"
)
_STREET = re.compile(
    rf"{_GAP}?{_TOWN}(?:(?:[가-힣][가-힣0-9]{{0,6}}[동리]{_GAP})?{_ROAD}|{_LOT_OR_FLAT}){_DETAIL}"
)


def addresses(text: str) -> Iterator[Span]:
    """The postal addresses of `text`, in order. It may be a batch joined by `joined.join`."""
    text, units = plain_units(text)
    if len(units) != len(text):
        units = units[(units & 0xFC00) != 0xDC00]
    digits = np.flatnonzero((units - np.uint16(ord("0"))) < 10)
    ends = np.flatnonzero((units == ord("시")) | (units == ord("군")) | (units == ord("구")))
    following = np.searchsorted(digits, ends)
    ends, following = ends[following < len(digits)], following[following < len(digits)]
    done = 0
    for position in ends[digits[following] - ends <= _REACH].tolist():
        if position < done:
            continue
        street = _STREET.match(text, position + 1)
        region = street and _REGION_ENDS.search(text, max(done, position - _LONGEST_REGION), position + 1)
        if street and region:
            done = street.end()
            yield Span(region.start(), done, "address")


def region_of(address: str) -> str:
    """The part of an address that names a region."""
    match = _REGION_STARTS.match(plain(address))
    return address[: match.end()] if match else ""
