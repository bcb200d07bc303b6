"""A labelled set for personal data: sentences with known spans (hard negatives: labelled_negatives).

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

from onnuri.corpus.stages.pii.korean_numbers import (
    business_check_digit,
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
    "vehicle_plate": ("차량번호 ", "차량번호: ", "차 번호는 ", "번호판 ", "자동차등록번호 : ", "차량번호("),
    "health_insurance": ("건강보험증 번호 ", "건강보험증번호: ", "보험증 번호는 ", "의료보험증 번호("),
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


def vehicle_plate(rng: random.Random) -> Value:
    syllable = rng.choice(
        "가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주바사아자허하호배"
    )
    joint = rng.choice(("", "", " "))
    return Value(
        f"{_digits(rng, rng.choice((2, 3)), '123456789')}{syllable}{joint}{_digits(rng, 4, '123456789')}",
        True,
    )


def health_insurance(rng: random.Random) -> Value:
    return Value(_digits(rng, 1, "12345678") + rng.choice(("-", "-", " - ", "")) + _digits(rng, 10), True)


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
    "vehicle_plate": vehicle_plate,
    "health_insurance": health_insurance,
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
