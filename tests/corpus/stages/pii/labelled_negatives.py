"""Hard negatives for personal data: dates, prices, order numbers, ISBNs, versions and the like, no span."""

# ruff: noqa: E501  (tables of examples read better in rows)

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date

from labelled_personal_data import FILLERS, Labelled, _day, _digits, _grouped, _wrong

from onnuri.corpus.stages.pii.korean_numbers import ean_check_digit, resident_check_digit


def _dates(rng: random.Random) -> str:
    day = _day(rng, date(1980, 1, 1), date(2026, 1, 1))
    clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
    year = rng.randrange(1400, 1980)
    return rng.choice(
        (
            f"{day:%Y-%m-%d}", f"{day:%Y.%m.%d}.", f"{day:%Y%m%d}", f"{day:%Y-%m-%d} {clock}", f"{day:%Y/%m/%d}",
            f"{day:%Y-%m-%d}T{clock}.123Z", f"{day:%y%m%d}", f"{day:%Y. %m. %d}.", f"{year}-{year + rng.randrange(99)}", f"he was called stellar ({year}-{year + 70})",
            f"({year}~{year + 60})", f"{day:%Y%m%d}{clock.replace(':', '')}", f"{day:%Y.%m.%d} - {day:%Y.%m.%d}",
            f"{day:%Y-%m-%d}~{day:%Y-%m-%d}", f"생년월일 {day:%y%m%d}", f"{day:%d-%m-%Y}", f"{day:%m-%d-%Y}",
        )
    )  # fmt: skip


def _prices(rng: random.Random) -> str:
    amount = rng.randrange(1000, 10**11)
    return rng.choice(
        (f"{amount:,}원", f"₩{amount:,}", f"{amount}원", f"입금액 {amount:,}원", f"입금 {amount}원", f"${amount:,}.00",
         f"계좌 잔액 {amount:,}원", f"{amount // 10000}만 원", f"KRW {amount:,}", f"약 {amount:,}달러")
    )  # fmt: skip


def _orders(rng: random.Random) -> str:
    day = _day(rng, date(2015, 1, 1), date(2026, 1, 1))
    return rng.choice(
        (
            f"주문번호 {day:%Y%m%d}{_digits(rng, 8)}", f"주문번호: {day:%Y%m%d}-{_digits(rng, 7)}",
            f"주문번호 {day:%y%m%d}{_digits(rng, 7)}", f"order #{_digits(rng, 14, '123456789')}", f"접수번호 {day:%y%m%d}-{_digits(rng, 7)}",
            f"ORD-{day:%Y%m%d}-{_digits(rng, 6)}", f'"order_id": "{_digits(rng, 16)}"', f"예약번호 {_digits(rng, 10)}",
            f"{day:%Y%m%d}-{_digits(rng, 6)}", f"문서번호 {day:%Y}-{_digits(rng, 4)}-{_digits(rng, 5)}", f"거래번호={_digits(rng, 15)}",
        )
    )  # fmt: skip


def _books(rng: random.Random) -> str:
    body = rng.choice(("97889", "97911", "97803")) + _digits(rng, 7)
    isbn = body + str(ean_check_digit(body))
    grouped = _grouped(isbn, rng.choice(((3, 2, 4, 3, 1), (3, 2, 6, 1, 1), (3, 2, 3, 4, 1))), "-")
    return rng.choice((f"ISBN {isbn}", f"ISBN: {grouped}", isbn, grouped, f"ISBN13 {isbn}(양장)"))


def _versions(rng: random.Random) -> str:
    a, b, c, d = (rng.randrange(30) for _ in range(4))
    big = rng.randrange(1000, 30000)
    return rng.choice(
        (
            f"v{a}.{b}.{c}.{d}", f"버전 {a}.{b}.{c}.{d + 40}", f"version {a}.{b + 60}.{c}.{d}", f"Chrome/{a + 90}.0.{big}.{d}",
            f"Safari/537.36.{a}.{b}", f"{a}.{b}.{c}-beta.{d}", f"Linux {a}.{b}.{c}-{big}-generic", f"펌웨어 {a + 50}.{b}.{c}.{d}",
            f"{a}.{b}.{c}", f"빌드 10.0.{big}.{d}", f"ver.{a + 33}.{b}.{c}.{d}", f"드라이버 버전: 31.0.{c}.{d + 101}", f"{a}.{b}.{c}.{d} 절",
            f"numpy=={a}.{b}.{c}", f"iOS {a}.{b}", f"App/{a + 40}.{b}.{c}.{d}",
        )
    )  # fmt: skip


def _law(rng: random.Random) -> str:
    year = rng.randrange(1990, 2026)
    return rng.choice(
        (
            f"대법원 {year}. 3. 15. 선고 {year}다{_digits(rng, 5, '123456789')} 판결", f"{year}헌바{_digits(rng, 3)}", f"{year}고합{_digits(rng, 4)}",
            f"민법 제{rng.randrange(1, 1118)}조 제{rng.randrange(1, 9)}항", f"법률 제{_digits(rng, 5, '123456789')}호", f"고시 제{year}-{_digits(rng, 3)}호",
            f"특허 제10-{_digits(rng, 7)}호", f"출원번호 10-{year}-{_digits(rng, 7)}", f"공고 제{year}-{_digits(rng, 4)}호", f"제{_digits(rng, 2)}-{year}-{_digits(rng, 4)}호",
        )
    )  # fmt: skip


def _statistics(rng: random.Random) -> str:
    cells = [rng.randrange(1, 10 ** rng.randrange(1, 7)) for _ in range(rng.randrange(4, 9))]
    joint = rng.choice((" ", "\t", " | ", ", ", "  ", ";"))
    style = rng.choice(("{}", "{:,}", "{}.5", "{}%"))
    return (
        rng.choice(("서울", "부산", "2023", "합계", "남자"))
        + joint
        + joint.join(style.format(cell) for cell in cells)
    )


def _coordinates(rng: random.Random) -> str:
    lat, lon = rng.uniform(33, 39), rng.uniform(124, 132)
    return rng.choice(
        (f"{lat:.6f}, {lon:.6f}", f"위도 {lat:.10f} 경도 {lon:.10f}", f"({lat:.4f},{lon:.4f})", f"N{lat:.5f} E{lon:.5f}",
         f'{{"lat": {lat:.13f}, "lng": {lon:.13f}}}', f"{int(lat)}°{rng.randrange(60)}′{rng.uniform(0, 60):.2f}″N")
    )  # fmt: skip


def _hashes(rng: random.Random) -> str:
    sha = f"{rng.getrandbits(256):064x}"
    uuid = f"{sha[:8]}-{sha[8:12]}-{sha[12:16]}-{sha[16:20]}-{sha[20:32]}"
    return rng.choice(
        (
            sha,
            sha[:40],
            sha[:32],
            uuid,
            f"commit {sha[:9]}",
            f"sha256:{sha}",
            f"0x{sha[:16]}",
            f'etag "{sha[:20]}"',
        )
    )


def _decimals(rng: random.Random) -> str:
    return rng.choice(
        (f"{rng.random():.16f}", f"3.{_digits(rng, 14)}", f"{rng.uniform(0, 1e5):.11f}", f"0.010{_digits(rng, 8)}", f"-{rng.uniform(0, 9):.13f}",
         f"{rng.random():.12e}", f"1.{_digits(rng, 10)}×10^-7", f"p=0.{_digits(rng, 13)}", f"x0={_digits(rng, 3)}.010{_digits(rng, 8)}")
    )  # fmt: skip


def _timestamps(rng: random.Random) -> str:
    now = rng.randrange(1_400_000_000, 1_770_000_000)
    return rng.choice(
        (str(now), f"{now}{_digits(rng, 3)}", f"{now}{_digits(rng, 6)}", f"ts={now}.{_digits(rng, 6)}", f'"created": {now}{_digits(rng, 3)},',
         f"[{_day(rng, date(2015, 1, 1), date(2026, 1, 1)):%Y-%m-%d} 12:31:{_digits(rng, 2, '012345')},{_digits(rng, 3)}]", f"1:{_digits(rng, 2, '012345')}:{_digits(rng, 2, '012345')}")
    )  # fmt: skip


def _products(rng: random.Random) -> str:
    middle, last, letter = _digits(rng, 4, "23456789"), _digits(rng, 4), rng.choice("ABCDEFGKLMS")
    barcode = "880" + _digits(rng, 9)
    return rng.choice(
        (
            f"{letter}{letter}-010-{middle}-{last}", f"010-{middle}-{last}-{letter}12", f"품번 010-{middle}-{last}", f"모델명 SM-G{middle}N",
            f"부품번호 S{middle[:3]}A{last}", f"LOT M{middle}{last}", f"바코드 {barcode}{ean_check_digit(barcode)}", f"{barcode}{ean_check_digit(barcode)}",
            f"part no. 02-{middle}-{last}", f"SN{middle}{last}{middle}", f"시리얼 번호 {middle}-{last}-{middle}-{last}", f"{middle}-{last}", f"RTX{last}",
            f"제품코드: 031-{middle[:3]}-{last}", f"S/N 010{middle}{last}", f"D{middle}{last}", f"M{middle[:3]}{letter}{last}-02", f"X{middle[:3]}{letter}{last}",
        )
    )  # fmt: skip


def _parcels(rng: random.Random) -> str:
    return rng.choice(
        (
            f"운송장 {_digits(rng, 4)}-{_digits(rng, 4)}-{_digits(rng, 4)}", f"송장번호 {_digits(rng, 12)}", f"우체국 등기번호 {_digits(rng, 13)}",
            f"CJ대한통운 {_digits(rng, 12, '56')}", f"우체국택배 송장번호: {_digits(rng, 5)}-{_digits(rng, 4)}-{_digits(rng, 4)}", f"tracking number {_digits(rng, 12)}",
            f"EE{_digits(rng, 9)}KR", f"배송조회 {_digits(rng, 10)}", f"{_digits(rng, 12, '6')}",
        )
    )  # fmt: skip


def _phone_like(rng: random.Random) -> str:
    middle, last = _digits(rng, 4, "23456789"), _digits(rng, 4)
    return rng.choice(
        (f"010-{middle[:3]}-{last[:3]}", f"2010-{middle}-{last}", f"100-200-{last}", f"02-{last[:2]}", f"1:010{middle}{last}9", f"0{middle}-{last}",
         "112, 119, 1339", f"{middle}-{last}", f"010{middle}{last}{middle}", f"010-****-{last}", f"{middle[:2]}-010-{middle}-{last}", f"3.010.{middle}.{last}",
         f"1234-010-{middle}-{last}", f"999-{middle}-{last}", f"09-{middle}-{last}", f"{middle}~{last}", "1588년-1592년")
    )  # fmt: skip


def _urls(rng: random.Random) -> str:
    return rng.choice(
        (
            f"https://n.news.naver.com/mnews/article/001/{_digits(rng, 10)}", f"https://shop.kr/p/010{_digits(rng, 8, '23456789')}",
            f"http://example.com/a/{_digits(rng, 16, '4')}/b", f"https://blog.naver.com/abc/2{_digits(rng, 11)}", f"www.site.kr/item/010-{_digits(rng, 4, '2345')}-{_digits(rng, 4)}",
            f"https://medium.com/@user.name/post-{_digits(rng, 12)}", f"https://m.blog.kr/?no={_digits(rng, 13)}", f"https://x.com/i/status/{_digits(rng, 19, '1')}",
        )
    )  # fmt: skip


def _at_signs(rng: random.Random) -> str:
    return rng.choice(
        ("@hong.gildong", "logo@2x.png", f"lodash@4.{_digits(rng, 2)}.21", "a@b", "@RequestMapping(value = 1)", "인스타@kim.minsu", "3개 @ 500원", "icon@3x.webp",
         "@app.route('/a')", "foo@localhost", "이메일@", f"pkg@{_digits(rng, 1)}.0.0-rc.1", "git@github.com:org/repo.git", "골뱅이 무침", "골뱅이소면.com")
    )  # fmt: skip


def _addresses(rng: random.Random) -> str:
    a, b, c, d = (rng.randrange(256) for _ in range(4))
    small = [rng.randrange(1, 13) for _ in range(4)]
    return rng.choice(
        (
            f"192.168.{a}.{b}", f"10.{a}.{b}.{c}", f"172.{16 + a % 16}.{c}.{d}", f"127.0.0.{a}", "0.0.0.0", "255.255.255.0", f"{a + 256}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d + 256}",
            ".".join(map(str, small)), f"{'.'.join(map(str, small))} 개요", f"\n{a % 60}.{small[0]}.{small[1]}.{small[2]}. Types of sections", f"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{a:02x}:{b:02x}", "std::vector<int>", "::1", "fe80::1", f"{a}.{b}.{c}.{d}.{a}",
            f"192.0.2.{a}", "2001:db8::1", "2024::count", f"12:{a % 60:02}:{b % 60:02}",
        )
    )  # fmt: skip


def _registration_like(rng: random.Random) -> str:
    born = _day(rng, date(1940, 1, 1), date(1999, 12, 31))
    digits = f"{born:%y%m%d}{rng.choice('1256')}{_digits(rng, 5)}"
    wrong = digits + _wrong(rng, resident_check_digit(digits))
    return rng.choice(
        (
            f"{digits[:7].replace(digits[6], '-' + digits[6], 1) if digits[6] not in digits[:6] else digits[:6] + '-' + digits[6]}******", f"{wrong[:6]}-{wrong[6:]}", wrong,
            f"{born:%y}13{born:%d}-1{_digits(rng, 6)}", f"{born:%y}0230-2{_digits(rng, 6)}", f"{wrong[:6]}-{wrong[6:]}-1", f"5{wrong[:6]}-{wrong[6:]}", f"{wrong[:6]}-9{_digits(rng, 6)}",
            f"법인등록번호 110111-{_digits(rng, 7)}",
        )
    )  # fmt: skip


def _account_like(rng: random.Random) -> str:
    a, b, c = _digits(rng, 3, "23456789"), _digits(rng, 3), _digits(rng, 6)
    return rng.choice(
        (
            f"규격 {a}-{b}-{c}", f"{a}-{b}-{c}", f"우리 제품 번호는 {a}-{b}-{c}", f"하나의 값 {a}{b}{c}", "입금일 2024-01-15", f"입금일시 20240115{rng.randrange(24):02}{rng.randrange(60):02}{rng.randrange(60):02}", f"국민 여러분께 {a}{b}{c}",
            f"기업 분류코드 {a}-{b}-{c}", f"부산 {a}-{b}", f"제주 2024-01-15-{a}", f"농협 상품번호 {a}{b}{c}", f"{a}{b}{c}{a}", f"신한 {a},{b}", f"계좌 {a}건 입금",
        )
    )  # fmt: skip


NEGATIVES: dict[str, Callable[[random.Random], str]] = {
    "date": _dates,
    "price": _prices,
    "order": _orders,
    "isbn": _books,
    "version": _versions,
    "law": _law,
    "statistics": _statistics,
    "coordinates": _coordinates,
    "hash": _hashes,
    "decimal": _decimals,
    "timestamp": _timestamps,
    "product": _products,
    "parcel": _parcels,
    "phone_like": _phone_like,
    "url": _urls,
    "at_sign": _at_signs,
    "address": _addresses,
    "registration_like": _registration_like,
    "account_like": _account_like,
}


def negatives(seed: int, per_family: int) -> Iterator[Labelled]:
    """`per_family` texts of every family of look-alikes, none with a span."""
    rng = random.Random(seed)
    for family, make in NEGATIVES.items():
        for _ in range(per_family):
            text = make(rng)
            if rng.random() < 0.6:
                text = rng.choice(FILLERS) + rng.choice((" ", "\n")) + text
            if rng.random() < 0.6:
                text += rng.choice((" ", "\n", "입니다. ", "은 ", ", ")) + rng.choice(FILLERS)
            yield Labelled(text, [], family)
