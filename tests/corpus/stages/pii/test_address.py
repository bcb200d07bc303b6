"""Postal addresses: found down to the building when asked for, and nothing else changes."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from onnuri.corpus.stages.pii.address import addresses, region_of
from onnuri.corpus.stages.pii.mask import KINDS, find, mask, surrogate

FOUND = (
    "서울특별시 강남구 테헤란로 152",
    "서울 종로구 사직로 161-3",
    "경기도 수원시 영통구 광교로 107, 101동 1203호",
    "부산광역시 해운대구 센텀중앙로 97 (재송동)",
    "강남구 테헤란로14길 25, 3층",
    "서울 노원구 동일로 174길 27 (공릉동, 한빛아파트) 3동 101호",
    "경기 성남시 분당구 판교로 255번길 38",
    "인천 남동구 구월남로 232번안길 12 지하1층",
    "서울특별시 중구 세종대로 지하 2",
    "세종특별자치시 한누리대로 2130",
    "제주시 516로 2870",
    "경북 울릉군 울릉읍 도동길 69-3",
    "서울강남구테헤란로152",
    "하늘시 바람구 노을로 12",
    "서울 강서구 화곡로 123 B동 302호",
    "서울 강동구 천호대로 1005 한빛 하우스 101동 1203호",
    "서울 송파구 올림픽로35길 137 한빛회관 9층",
    "서울 서초구 반포대로 58, 101-1203",
    "서울특별시 강남구\n테헤란로 152",
    "서울 강남구 역삼동 736-24",
    "서울시 강남구 역삼1동 736번지",
    "충남 홍성군 홍북읍 신경리 산 12-3번지",
    "서울 종로구 종로3가 12-3",
    "서울 강남구 대치동 한빛아파트 31동 1203호",
    "서울 구로구 구로동 123번지 45호 2층",
    "서울특별시 강남구 테헤란로 １５２",
)
STAYS = (
    "제3조 제2항에 따라 시ㆍ도지사는 제12조 1항의",
    "5로 나누면 2가 남는다",
    "종로 3가에서 만나 2024년 3월까지",
    "서울시 종로 3가에서 1시에",
    "서울 강남구 역삼동과 경기도 수원시 영통구",
    "서울 강남구 테헤란로를 따라 3 km",
    "강남구 기준으로 3곳, 서초구 순으로 1위",
    "다시 한길로 3번, 연구 과제로 12건, 친구 집으로 3번",
    "마포구 서교동 3번 출구",
    "서울 용산구 이태원로 2024년 행사, 종로구 세종대로 2024-03-01 집회",
    "경기 고양시 일산서구 3호선 대화역",
    "강남구 별로 25, 서초구 별로 31",
    "서울시 대로 3차선, 강남구 대로 15m",
    "서울 서초구 반포동 3-2 승리, 서울 강남구 역삼동 02-345-6789",
    "제주시 활동 2020-2024",
    "성동구 2동 주민센터",
    "수원시 영통구 100-200번 버스",
)


@pytest.mark.parametrize("address", FOUND)
def test_an_address_is_masked_from_its_region_to_its_last_detail(address: str) -> None:
    for before, after in (("주소: ", "에 산다"), ("", ""), ("홍길동, ", "\n전화 02-345-6789")):
        masked, counts = mask(pa.array([before + address + after]), ["address"])
        rest = masked[0].as_py().replace("\n", "") if "\n" in address else masked[0].as_py()
        assert rest == before + "<|address|>" + (after.replace("\n", "") if "\n" in address else after)
        assert counts.field("address").to_pylist() == [1]


@pytest.mark.parametrize("text", STAYS)
def test_places_and_numbers_are_no_address(text: str) -> None:
    assert not list(addresses(text))


def test_off_unless_asked_for() -> None:
    text = "서울 강남구 테헤란로 152, 02-345-6789"
    assert mask(pa.array([text]))[0].to_pylist() == ["서울 강남구 테헤란로 152, <|phone|>"]
    assert mask(pa.array([text]), KINDS)[0].to_pylist() == ["<|address|>, <|phone|>"]


def test_what_overlaps_an_address_goes_with_it() -> None:
    text = "차량 서울 강남구 테헤란로 152 가 3456"
    (plate,) = find(text)
    assert plate.kind == "vehicle_plate" and text[plate.start :] == "152 가 3456"
    assert mask(pa.array([text]), ["address"])[0].to_pylist() == ["차량 <|address|>"]


def test_no_address_reaches_into_the_next_text() -> None:
    texts = [
        "서울 강남구",
        "테헤란로 152",
        "서울 강남구 테헤란로",
        "152",
        "서울 강남구 테헤란로 152",
        "3층",
    ]
    masked = mask(pa.array(texts), KINDS)[0].to_pylist()
    assert masked == [*texts[:4], "<|address|>", "3층"]


def test_masking_again_changes_nothing() -> None:
    once = mask(pa.array(["\n".join(f"{address}, 010-2345-6789" for address in FOUND)]), KINDS)[0]
    assert mask(once, KINDS)[0].equals(once)


def test_a_fake_address_keeps_the_region_and_is_nobodys() -> None:
    for address in FOUND:
        fake = surrogate(address, "address")
        assert fake.startswith(region_of(address) + " ") and region_of(address)
        assert fake.split()[-1].startswith("0") and fake == surrogate(address.replace(", ", " "), "address")
        assert [fake[slice(*span[:2])] for span in addresses(fake)] == [fake]


HOSTILE = (
    *(
        "시",
        "시1",
        "강남구 ",
        "서울강남구",
        "강남구 가로",
        "강남구 로로로로로로1",
        "구 1동 1호",
        "\n강남구\n1",
    ),
    *("서울 서울 서울시 시 구 1", "서울 강남구 테헤란로 1", "강남구 테헤란로 1, 1동 1동 1동 "),
    *("강남구 테헤란로 1 가나다 가나다 ", "강남구 테헤란로 1 (역삼동, ", "강남구 역삼동 가 나 1"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_twice_the_text_takes_less_than_four_times_as_long(unit: str) -> None:
    def seconds(size: int) -> float:
        text, times = unit * (size // len(unit)), []
        for _ in range(3):
            start = time.process_time()
            list(addresses(text))
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(200_000) < 4 * max(seconds(100_000), 0.005)
