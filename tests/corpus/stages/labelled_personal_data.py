"""A labelled set for personal data: sentences with known spans, and hard negatives without any.

Written before the patterns were tuned, from how numbers stand in Korean pages: josa glued to the number,
labels glued before it, tables, CSV, JSON. All values are drawn from a seed; nothing is a collected number.
"""

# ruff: noqa: E501  (tables of examples read better in rows)

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from onnuri.corpus.stages.korean_numbers import (
    business_check_digit,
    ean_check_digit,
    luhn_check_digit,
    resident_check_digit,
)


class Labelled(NamedTuple):
    """One text with the (start, end, kind) of every personal value in it, in characters."""

    text: str
    spans: list[tuple[int, int, str]]
    family: str


class Value(NamedTuple):
    """A value, and whether nothing but a label before it tells what it is."""

    text: str
    needs_label: bool


Maker = Callable[[random.Random], Value]

JOSA = (
    "", "", "", ".", ",", "로", "으로", "입니다", "이고", "은", "는", "을", "를", "이", "가", "에", "에서", "까지",
    "이며", "예요", "번으로", "와", "과", "이라고", "이었는데", "인데요", "로도", "(끝)", "!", "~", " 입니다.", "뿐",
)  # fmt: skip
FILLERS = (
    "오늘은 날씨가 맑아서 한강까지 걸었다.",
    "회의는 3층 대회의실에서 열립니다.",
    "담당자가 자리를 비웠으니 나중에 다시 물어봐 주세요.",
    "The office is closed on Mondays.",
    "2024년 3월 기준으로 작성한 문서입니다.",
    "총 1,250명이 참가했고 만족도는 4.7점이었다.",
    "아래 내용을 확인하시고 회신 바랍니다.",
    "지원 자격은 만 19세 이상이며 경력은 무관합니다.",
)
NAMES = ("홍길동", "김철수", "이영희", "박민수", "최지우", "Kim Minsu", "정다은", "남궁민")
ANYWHERE = (
    "{name} {}{josa}",
    "{name}님 {}{josa} 확인했습니다.",
    "{name}({}) 팀장",
    "| {name} | {} | 서울 |",
    "{name}\t{}\t35",
    "{name},{},부산",
    "메모: {}",
    "- {}",
    "[{}]",
    "그 사람이 준 건 {}{josa} 그게 전부였다.",
    "I got {} from {name}.",
    "<td>{}</td>",
    "“{}”{josa}",
    "{}",
)
LABELS: dict[str, tuple[str, ...]] = {
    "rrn": (
        "주민등록번호: ", "주민번호 ", "주민등록번호는 ", "주민번호", "주민등록번호 (", "생년월일 및 주민등록번호 : ",
        "RRN: ", "생년월일(", "주민등록번호가 ",
    ),
    "frn": ("외국인등록번호: ", "외국인등록번호 ", "외국인등록번호는 ", "외국인 등록번호 : ", "RRN "),
    "phone": (
        "전화 ", "전화", "연락처: ", "연락처 : ", "휴대폰", "핸드폰 번호는 ", "TEL ", "Tel. ", "tel:", "H.P ", "☎ ", "☎",
        "문의 ", "대표번호 ", "Phone: ", "팩스 ", "FAX : ", "고객센터(", "Mobile ", "전화번호는 ", "문의전화:", "Call ",
    ),
    "card": ("카드번호 ", "카드번호: ", "신용카드 ", "법인카드(", "card no. ", "체크카드번호는 ", "결제카드"),
    "account": (
        "계좌번호: ", "계좌 ", "국민은행 ", "신한 ", "우리은행 ", "하나은행", "농협 ", "기업은행 ", "카카오뱅크 ",
        "토스뱅크 ", "새마을금고 ", "우체국 ", "SC제일은행 ", "대구은행 ", "부산은행 ", "수협 ", "신협 ", "케이뱅크 ",
        "입금: ", "입금계좌 농협 ", "예금주 {name} ", "국민 ", "입금 계좌는 ", "후원계좌 : 신한은행 ", "전북은행 ", "제주은행 ",
        "계좌이체(", "경남은행 {name} ", "광주은행)",
    ),
    "passport": ("여권번호 ", "여권번호: ", "여권 ", "passport no. ", "Passport: ", "여권번호는 "),
    "driver_licence": ("운전면허번호 ", "면허번호: ", "운전면허 ", "면허증 번호는 ", "운전면허번호("),
    "email": ("이메일", "이메일 ", "메일: ", "E-mail : ", "email ", "문의는 ", "mailto:", "메일주소는 ", "접수", "제출처 "),
    "ip": ("IP ", "접속 IP: ", "아이피 ", "서버 주소는 ", "from ", "client ", "작성자 IP ", "host=", "접속지"),
    "business_number": ("사업자등록번호 ", "사업자등록번호 : ", "사업자번호: ", "사업자 등록번호는 "),
}  # fmt: skip


def _digits(rng: random.Random, count: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choice("0123456789") for _ in range(count - 1))


def _day(rng: random.Random, start: date, end: date) -> date:
    return start + timedelta(days=rng.randrange((end - start).days))


def _wrong(rng: random.Random, right: int) -> str:
    return str((right + rng.randrange(1, 10)) % 10)


def _registration(rng: random.Random, centuries: tuple[str, str]) -> Value:
    """A resident or foreigner number: `centuries` are the 7th digits for births in the 1900s and the 2000s."""
    old, new = centuries
    shape = rng.choices(("valid", "newborn", "changed"), (6, 2, 2))[0]
    if shape == "newborn":
        born, century = _day(rng, date(2020, 10, 1), date(2026, 1, 1)), rng.choice(new)
    elif rng.random() < 0.75:
        born, century = _day(rng, date(1930, 1, 1), date(2000, 1, 1)), rng.choice(old)
    else:
        born, century = _day(rng, date(2000, 1, 1), date(2020, 9, 30)), rng.choice(new)
    digits = f"{born:%y%m%d}{century}{_digits(rng, 5)}"
    check = resident_check_digit(digits)
    digits += str(check) if shape == "valid" else _wrong(rng, check)
    joint = rng.choices(("-", " - ", "", "- ", "–", " "), (60, 8, 20, 4, 4, 4))[0]
    return Value(f"{digits[:6]}{joint}{digits[6:]}", shape == "changed")


def rrn(rng: random.Random) -> Value:
    return _registration(rng, ("12", "34"))


def frn(rng: random.Random) -> Value:
    return _registration(rng, ("56", "78"))


def phone(rng: random.Random) -> Value:
    last = _digits(rng, 4)
    three, four = _digits(rng, 3, "23456789"), _digits(rng, 4, "23456789")
    middle = rng.choice((three, four))
    area = rng.choice(
        ("02", "031", "032", "033", "041", "042", "043", "044", "051", "053", "055", "062", "064")
    )
    old = rng.choice(("011", "016", "017", "018", "019"))
    service = rng.choice(
        ("1588", "1544", "1577", "1566", "1599", "1600", "1644", "1661", "1670", "1800", "1899")
    )
    free = [
        f"010-{four}-{last}", f"010-{four}-{last}", f"010-{four}-{last}", f"010.{four}.{last}", f"010 {four} {last}",
        f"010{four}{last}", f"010{four}{last}", f"010 - {four} - {last}", f"010-{four}{last}", f"010){four}-{last}",
        f"010–{four}–{last}", f"{old}-{middle}-{last}", f"{old} {middle} {last}", f"{old}{middle}{last}",
        f"{area}-{middle}-{last}", f"{area}-{middle}-{last}", f"{area}){middle}-{last}", f"({area}){middle}-{last}",
        f"({area}) {middle}-{last}", f"{area}.{middle}.{last}", f"070-{four}-{last}", f"080-{three}-{last}",
        f"0505-{middle}-{last}", f"0507-{four}-{last}", f"+82 10 {four} {last}", f"+82-10-{four}-{last}",
        f"+82)10-{four}-{last}", f"82-10-{four}-{last}", f"+8210{four}{last}", f"+82-2-{middle}-{last}",
        f"+82 (0)10-{four}-{last}", f"(+82) 10-{four}-{last}", f"+82 {area[1:]} {middle} {last}",
        f"{service}-{rng.choice('3456789')}{last[1:]}",
    ]  # fmt: skip
    labelled = [
        f"{area}{middle}{last}", f"{area} {middle} {last}", f"{service}-{last}", f"{service} {last}",
        f"{service}{last}", f"070{four}{last}",
    ]  # fmt: skip
    needs_label = rng.random() < 0.1
    return Value(rng.choice(labelled if needs_label else free), needs_label)


def card(rng: random.Random) -> Value:
    prefix, groups = rng.choice(
        (
            ("4", (4, 4, 4, 4)), ("51", (4, 4, 4, 4)), ("55", (4, 4, 4, 4)), ("2221", (4, 4, 4, 4)),
            ("3528", (4, 4, 4, 4)), ("9410", (4, 4, 4, 4)), ("6210", (4, 4, 4, 4)), ("6250", (4, 4, 4, 4, 3)),
            ("37", (4, 6, 5)), ("34", (4, 6, 5)), ("36", (4, 6, 4)), ("6250", (6, 13)),
        )
    )  # fmt: skip
    length = sum(groups)
    body = prefix + _digits(rng, length - 1 - len(prefix))
    return Value(
        _grouped(body + str(luhn_check_digit(body)), groups, rng.choice(("-", "-", " ", ""))), False
    )


def _grouped(digits: str, groups: tuple[int, ...], joint: str) -> str:
    parts, at = [], 0
    for size in groups:
        parts.append(digits[at : at + size])
        at += size
    return joint.join(parts)


def account(rng: random.Random) -> Value:
    groups = rng.choice(
        (
            (6, 2, 6), (3, 3, 6), (4, 3, 6), (3, 6, 5), (3, 4, 4, 2), (3, 6, 2, 3), (4, 2, 7), (4, 4, 4), (4, 4, 4, 1),
            (3, 2, 6), (3, 2, 6, 1), (3, 2, 5), (4, 4, 5),
        )
    )  # fmt: skip
    digits = _digits(rng, sum(groups), "123456789")
    return Value(_grouped(digits, groups, rng.choice(("-", "-", "-", ""))), True)


def passport(rng: random.Random) -> Value:
    if rng.random() < 0.4:
        return Value(rng.choice("MSRODG") + _digits(rng, 8), True)
    return Value(rng.choice("MMMSROD") + _digits(rng, 3) + rng.choice("ABCDEFGH") + _digits(rng, 4), False)


def driver_licence(rng: random.Random) -> Value:
    digits = str(rng.choice((*range(11, 27), 28))) + _digits(rng, 10)
    if rng.random() < 0.15:
        return Value(_grouped(digits, (2, 2, 6, 2), rng.choice((" ", ""))), True)
    return Value(_grouped(digits, (2, 2, 6, 2), "-"), False)


def email(rng: random.Random) -> Value:
    local = rng.choice(("hong", "gildong", "kim", "minsu", "park", "j", "user", "sales", "H", "lee_jh"))
    local += rng.choice(
        ("", "", str(rng.randrange(1000, 2025)), ".kim", "_" + _digits(rng, 2), "+news", "-dev", ".a.b")
    )
    if rng.random() < 0.05:
        local = "010" + _digits(rng, 8, "23456789")
    domain = rng.choice(
        (
            "naver.com", "gmail.com", "daum.net", "hanmail.net", "kakao.com", "korea.kr", "snu.ac.kr", "cs.kaist.ac.kr",
            "mail.company.co.kr", "nate.com", "my-shop.kr", "sub.domain.example.org", "posco.io", "Samsung.Com",
        )
    )  # fmt: skip
    joint = rng.choices(("@", " (at) ", "골뱅이", "[at]"), (95, 2, 2, 1))[0]
    return Value(f"{local}{joint}{domain}", joint != "@")


def ip(rng: random.Random) -> Value:
    if rng.random() < 0.15:
        parts = [f"{rng.randrange(0x10000):x}" for _ in range(8)]
        parts[0] = rng.choice(("2001:2d8", "2406:5900", "2a03:b0c0", "2001:e60")).split(":")[0]
        parts[1] = f"{rng.randrange(0x200, 0xD00):x}"
        return Value(
            "::".join([":".join(parts[:4]), parts[7]]) if rng.random() < 0.5 else ":".join(parts), False
        )
    first = rng.choice(
        (14, 27, 58, 59, 61, 106, 110, 112, 118, 121, 125, 175, 180, 182, 210, 211, 218, 220, 222)
    )
    return Value(f"{first}.{rng.randrange(32, 256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}", False)


def business_number(rng: random.Random) -> Value:
    digits = (
        _digits(rng, 3, "123456") + rng.choice(("81", "82", "86", "87", "01", "22", "90")) + _digits(rng, 4)
    )
    return Value(_grouped(digits + str(business_check_digit(digits)), (3, 2, 5), "-"), False)


MAKERS: dict[str, Maker] = {
    "rrn": rrn,
    "frn": frn,
    "phone": phone,
    "card": card,
    "account": account,
    "passport": passport,
    "driver_licence": driver_licence,
    "email": email,
    "ip": ip,
    "business_number": business_number,
}


def _sentence(rng: random.Random, kind: str, value: Value) -> tuple[str, int]:
    """A text with the value in it, and where the value starts."""
    if value.needs_label or rng.random() < 0.5:
        labels = LABELS[kind]
        if ")" in value.text:  # "고객센터(02)123-4567)" could be read both ways
            labels = tuple(label for label in labels if not label.endswith("("))
        label = rng.choice(labels).replace("{name}", rng.choice(NAMES[:4]))
        close = ")" if label.endswith("(") else rng.choice(JOSA)
        before, after = rng.choice(("", "", "■ ", "안내: ", "1. ")) + label, close
    elif rng.random() < 0.12:
        encoded = json.dumps({"id": rng.randrange(999), kind: "\x00", "memo": "없음\n"}, ensure_ascii=False)
        before, after = encoded.split("\\u0000")
    else:
        template = (
            rng.choice(ANYWHERE).replace("{name}", rng.choice(NAMES)).replace("{josa}", rng.choice(JOSA))
        )
        before, after = template.split("{}")
    if after[:1] in "." and kind == "email":
        after = ""
    if rng.random() < 0.4:
        before = rng.choice(FILLERS) + rng.choice((" ", "\n")) + before
    if rng.random() < 0.4:
        after += rng.choice((" ", "\n")) + rng.choice(FILLERS)
    return before + value.text + after, len(before)


def positives(seed: int, per_kind: int) -> Iterator[Labelled]:
    """`per_kind` texts of every kind, each with one span."""
    rng = random.Random(seed)
    for kind, make in MAKERS.items():
        for _ in range(per_kind):
            value = make(rng)
            text, start = _sentence(rng, kind, value)
            yield Labelled(text, [(start, start + len(value.text), kind)], kind)


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
