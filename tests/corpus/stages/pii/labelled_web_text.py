"""A second labelled set for personal data, by an author who had not seen the first: whole lines of Korean
and English web text (forms, chats, notices, logs, tables) with fields to fill, and hard negatives.

A field `{phone}` becomes a value that its form alone gives away, `{phone!}` one that may need the words
around it; lower-case fields of NOISE become things that must stay. All values are drawn from a seed.
"""

# ruff: noqa: E501  (tables of examples read better in rows)

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from labelled_personal_data import Labelled, health_insurance, vehicle_plate

from onnuri.corpus.stages.pii.korean_numbers import (
    business_check_digit,
    ean_check_digit,
    luhn_check_digit,
    resident_check_digit,
)

FULL_WIDTH = str.maketrans("0123456789-", "０１２３４５６７８９－")
DASHES = ("-",) * 12 + ("–", "—", "‑", "−", "－", " - ", "- ")
REGIONS = (
    "서울",
    "부산",
    "경기",
    "강원",
    "충북",
    "충남",
    "전북",
    "전남",
    "경북",
    "경남",
    "제주",
    "대구",
    "인천",
    "광주",
    "대전",
    "울산",
)
NAMES = (
    "김민수",
    "이서연",
    "박지훈",
    "최은영",
    "정하늘",
    "강도현",
    "윤미래",
    "조성민",
    "한가람",
    "오세훈",
    "서지우",
    "황보라",
)
AREAS = (31, 32, 33, 41, 42, 43, 44, 51, 52, 53, 54, 55, 61, 62, 63, 64)
SERVICES = (1588, 1577, 1544, 1566, 1600, 1644, 1661, 1670, 1688, 1800, 1833, 1899)
# # is any digit, N one from 1 to 9, AA the area code without its zero; * ahead: with any dash, or full-width.
PHONES = (
    *("*010-N###-####",) * 6, "010.N###.####", "010 N### ####", "010N#######", "010)N###-####", "010-N#######", "010 N###-####",
    "010. N###. ####", "(010) N###-####", "011-N##-####", "016-N###-####", "+82 10-N###-####", "+82-10-N###-####",
    "+8210N#######", "+82 10 N### ####", "+82 (0)10-N###-####", "(+82)10-N###-####", "82-10-N###-####", "0082-10-N###-####",
    "+82-2-N##-####", "+82 2 N### ####", "+82-AA-N##-####", "*02-N##-####", "*02-N###-####", "02)N##-####", "(02)N###-####",
    "(02) N##-####", "02.N##.####", "*0AA-N##-####", "0AA)N###-####", "(0AA) N##-####", "*070-N###-####", "0507-N###-####",
    "0505-N##-####", "080-N##-####", "0502-N###-####", *("SERV-S###",) * 3,
)  # fmt: skip
PHONES_TO_LABEL = (
    "02N######", "02N#######", "0AAN######", "0AA N## ####", "02 N## ####", "02 N##-####", "070N#######", "0507N#######",
    "1588####", "1588 ####", "1666.####", "080N######", "1577-####", "010/N###/####",
)  # fmt: skip


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _fill(rng: random.Random, form: str) -> str:
    """`form` with a digit for each # and a digit from 1 to 9 for each N."""
    return re.sub(
        "[#N]", lambda mark: rng.choice("123456789" if mark.group() == "N" else "0123456789"), form
    )


def _plainly(rng: random.Random, form: str) -> str:
    """A form with hyphens in one of the ways people write it."""
    way = rng.random()
    if way < 0.55:
        return form
    if way < 0.65:
        return form.translate(FULL_WIDTH)
    return form.replace("-", rng.choice(DASHES))


def _birth(rng: random.Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days))


def _registration(rng: random.Random, labelled: bool, sexes: tuple[str, str]) -> str:
    """sexes: century digits of those born before and from 2000."""
    recent = rng.random() < 0.25
    born = _birth(
        rng, *((date(2020, 10, 1), date(2025, 6, 1)) if recent else (date(1935, 1, 1), date(2020, 9, 1)))
    )
    head = f"{born:%y%m%d}" + rng.choice(sexes[born.year >= 2000])
    tail = _digits(rng, 6)
    if not recent and not (labelled and rng.random() < 0.3):
        tail = tail[:5] + str(resident_check_digit(head + tail[:5]))
    joint = rng.choice(
        ("-",) * 14 + ("", "", "–", " - ", "－", "‑") + ((" ", ".") if labelled or not recent else ())
    )
    number = head[:6] + joint + head[6] + tail
    return number.translate(FULL_WIDTH) if joint == "-" and rng.random() < 0.06 else number


def _rrn(rng: random.Random, labelled: bool) -> str:
    return _registration(rng, labelled, ("12", "34"))


def _frn(rng: random.Random, labelled: bool) -> str:
    return _registration(rng, labelled, ("56", "78"))


def _phone(rng: random.Random, labelled: bool) -> str:
    form = rng.choice(PHONES + PHONES_TO_LABEL if labelled else PHONES)
    # A second half of 3000 or more: 1588-1592 could be years.
    form = form.replace("AA", str(rng.choice(AREAS))).replace("SERV", str(rng.choice(SERVICES)))
    number = _fill(rng, form.removeprefix("*").replace("S", rng.choice("3456789")))
    return _plainly(rng, number) if form.startswith("*") else number


def _card(rng: random.Random, labelled: bool) -> str:
    prefix = rng.choice(
        [
            "4",
            "4",
            "51",
            "52",
            "53",
            "54",
            "55",
            "2221",
            "2720",
            "3528",
            "3560",
            "37",
            "34",
            "36",
            "6011",
            "6210",
            "6250",
            "9410",
            "9490",
            "9530",
        ]
    )
    length = {"3": 15, "2": 16}.get(prefix[0], 16)
    length = 16 if prefix[:2] == "35" else 14 if prefix == "36" else length
    body = prefix + _digits(rng, length - 1 - len(prefix))
    number = body + str(luhn_check_digit(body))
    joint = rng.choice(["-", "-", "-", " ", " ", "", "", ".", "–", "－", " - "])
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    pieces, done = [], 0
    for size in groups:
        pieces.append(number[done : done + size])
        done += size
    written = joint.join(pieces)
    return written.translate(FULL_WIDTH) if joint == "－" else written


ACCOUNT_FORMS = {
    "국민": ("N#####-##-######", "N##-##-####-###", "N#############"), "신한": ("110-###-######", "N##-##-######", "110#########"),
    "우리": ("1002-###-######", "1005-N##-######", "N##-######-##-###", "1002#########"), "하나": ("N##-######-#####", "N##-N#####-###-##", "N#############"),
    "농협": ("301-####-####-91", "302-####-####-91", "N##-##-######", "N#####-##-######", "302#########1"), "기업": ("N##-######-##-###", "N##-######-#####", "N#############"),
    "카카오뱅크": ("3333-##-#######", "3333#########", "3333-####-#####"), "토스뱅크": ("1000-####-####", "1908-####-####", "1000########"), "케이뱅크": ("100-###-######", "110-###-######"),
    "새마을금고": ("9002-N###-####-9", "9003-####-####-9", "90021########"), "우체국": ("N#####-##-######", "N#############"), "수협": ("N##-##-######-9", "101-##-######-9"),
    "신협": ("131-###-######", "N####-##-######"), "대구": ("508-##-######-9",), "부산": ("101-N###-####-##", "112-N###-####-##"), "SC제일": ("N##-##-######",), "씨티": ("N##-#####-###-##",),
}  # fmt: skip
ENGLISH_BANKS = {
    "Shinhan Bank": "신한",
    "Woori Bank": "우리",
    "KakaoBank": "카카오뱅크",
    "Toss Bank": "토스뱅크",
    "Hana Bank": "하나",
    "Kookmin Bank": "국민",
    "NH Bank": "농협",
}
ALIASES = {
    "국민": ("국민은행", "KB국민은행", "국민", "KB국민", "국민(KB)"), "신한": ("신한은행", "신한", "신한 은행"), "우리": ("우리은행", "우리"), "하나": ("하나은행", "KEB하나은행", "하나"),
    "농협": ("농협", "농협은행", "NH농협", "NH농협은행", "지역농협"), "기업": ("기업은행", "IBK기업은행", "IBK", "IBK기업"), "카카오뱅크": ("카카오뱅크", "카뱅", "카카오 뱅크", "카카오"), "토스뱅크": ("토스뱅크", "토스", "토뱅"),
    "케이뱅크": ("케이뱅크", "K뱅크"), "새마을금고": ("새마을금고", "새마을", "MG새마을금고"), "우체국": ("우체국", "우체국은행"), "수협": ("수협", "수협은행"), "신협": ("신협",),
    "대구": ("대구은행", "DGB대구은행"), "부산": ("부산은행", "BNK부산은행"), "SC제일": ("SC제일은행", "제일은행"), "씨티": ("씨티은행", "한국씨티은행"),
}  # fmt: skip


def _account(rng: random.Random, bank: str) -> str:
    number = _fill(rng, rng.choice(ACCOUNT_FORMS[bank]))
    return number.replace("-", rng.choice(("-",) * 15 + ("–", " ", "－", " - ")))


def _passport(rng: random.Random, labelled: bool) -> str:
    new = rng.choice("MMMMSRD") + _digits(rng, 3) + rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") + _digits(rng, 4)
    old = rng.choice("MMMSR") + _digits(rng, 8)
    foreign = rng.choice(("JR", "GB", "EK", "PP", "L", "X", "C")) + _digits(rng, 7)
    return rng.choice((new, old, old, old[0] + " " + old[1:], foreign, new.lower())) if labelled else new


def _driver_licence(rng: random.Random, labelled: bool) -> str:
    code = rng.choice([*range(11, 27), 28])
    tail = f"{rng.randrange(100):02}-{_digits(rng, 6)}-{_digits(rng, 2)}"
    sure = [
        *[f"{code}-{tail}"] * 6,
        f"{rng.choice(REGIONS)} {tail}",
        f"{rng.choice(REGIONS)}-{tail}",
        f"{code}-{tail}".replace("-", rng.choice(DASHES)),
        f"{code}-{tail}".translate(FULL_WIDTH),
    ]
    return rng.choice(
        [
            *sure,
            f"{code}{tail}".replace("-", ""),
            f"{code} {tail}".replace("-", " "),
            f"{rng.choice(REGIONS)}{tail}",
        ]
        if labelled
        else sure
    )


def _email(rng: random.Random, labelled: bool) -> str:
    local = rng.choice(
        (
            "hong",
            "minsu.kim",
            "jihoon_park",
            "sy-lee",
            "k",
            "dev+list",
            "2024hr",
            "cs",
            "no.1.seller",
            "Gil-Dong.Hong",
            "a1b2c3",
            "lee%sales",
            "0101234",
        )
    )
    domain = rng.choice(
        (
            "naver.com",
            "gmail.com",
            "daum.net",
            "hanmail.net",
            "kakao.com",
            "nate.com",
            "korea.ac.kr",
            "snu.ac.kr",
            "mail.go.kr",
            "samsung.com",
            "sub.dept.kaist.ac.kr",
            "shop-mall.co.kr",
            "Outlook.com",
            "proton.me",
            "startup.io",
            "e-mart.store",
            "한글도메인.kr",
            "NAVER.COM",
        )
    )
    sign = rng.choice(
        ("@",) * 16 + ("＠", "(at)", "[at]", " (at) ", " [at] ", "골뱅이", " 골뱅이 ", "{at}", "(a)", " @ ")
    )
    return local + sign + domain


def _ipv4(rng: random.Random, labelled: bool) -> str:
    while True:
        address = ipaddress.ip_address(rng.getrandbits(32))
        large = sum(part >= 32 for part in address.packed)
        if address.is_global and not address.is_multicast and (labelled or large >= 2):
            return str(address)


def _ip(rng: random.Random, labelled: bool) -> str:
    if rng.random() < 0.75:
        return _ipv4(rng, labelled)
    groups = ["2001"]
    while not ipaddress.ip_address(":".join([*groups, *"1234567"][:8])).is_global or len(groups) < 8:
        prefix = rng.choice(("2001", "2406", "2a02", "2404", "2600", "240b"))
        groups = [prefix, *(f"{rng.randrange(1, 65536):x}" for _ in range(7))]
    written = ":".join(groups)
    if rng.random() < 0.4:
        written = ":".join(groups[:3]) + "::" + ":".join(groups[6 - rng.randrange(2) :])
    return written.upper() if rng.random() < 0.2 else written


def _business(rng: random.Random, labelled: bool) -> str:
    body = (
        rng.choice("123456")
        + _digits(rng, 2)
        + rng.choice(("81", "86", "88", "01", "12", "82", "85"))
        + _digits(rng, 4)
    )
    # Not everybody who writes a labelled number has one that is right.
    last = rng.randrange(10) if labelled and rng.random() < 0.3 else business_check_digit(body)
    return f"{body[:3]}-{body[3:5]}-{body[5:]}{last}"


PERSONAL: dict[str, Callable[[random.Random, bool], str]] = {
    "rrn": _rrn, "frn": _frn, "phone": _phone, "card": _card, "passport": _passport,
    "driver_licence": _driver_licence, "email": _email, "ip": _ip, "ipv4": _ipv4, "business_number": _business,
    "vehicle_plate": lambda rng, _: vehicle_plate(rng).text, "health_insurance": lambda rng, _: health_insurance(rng).text,
}  # fmt: skip


def _day(rng: random.Random) -> date:
    return _birth(rng, date(1950, 1, 1), date(2025, 12, 31))


def _isbn(rng: random.Random) -> str:
    body = rng.choice(("97889", "97911")) + _digits(rng, 7)
    number = body + str(ean_check_digit(body))
    return rng.choice(
        (
            number,
            f"{number[:3]}-{number[3:5]}-{number[5:9]}-{number[9:12]}-{number[12]}",
            f"{number[:3]} {number[3:5]} {number[5:9]} {number[9:12]} {number[12]}",
        )
    )


def _ean(rng: random.Random) -> str:
    body = rng.choice(("880", "880", "490", "693", "400")) + _digits(rng, 9)
    return body + str(ean_check_digit(body))


NOISE: dict[str, Callable[[random.Random], str]] = {
    "name": lambda r: r.choice(NAMES),
    "day": lambda r: _day(r).strftime(r.choice(("%Y-%m-%d", "%Y.%m.%d", "%Y. %m. %d.", "%Y/%m/%d", "%Y%m%d", "%y.%m.%d", "%Y년 %m월 %d일", "%y%m%d"))),
    "time": lambda r: f"{r.randrange(24):02}:{r.randrange(60):02}" + r.choice(("", f":{r.randrange(60):02}", f":{r.randrange(60):02}.{r.randrange(1000):03}")),
    "stamp": lambda r: f"{_day(r):%Y%m%d}{r.randrange(24):02}{r.randrange(60):02}{r.randrange(60):02}" + r.choice(("", _digits(r, 3))),
    "won": lambda r: r.choice((f"{r.randrange(10**r.randrange(3, 12)):,}", str(r.randrange(10**r.randrange(4, 11))))) + "원",
    "isbn": _isbn,
    "ean": _ean,
    "d4": lambda r: _digits(r, 4), "d6": lambda r: _digits(r, 6), "d7": lambda r: _digits(r, 7), "d8": lambda r: _digits(r, 8), "d10": lambda r: _fill(r, "N#########"),
    "d12": lambda r: _fill(r, "N###########"), "d13": lambda r: _fill(r, "N############"), "d16": lambda r: _fill(r, "N###############"),
    "n": lambda r: str(r.randrange(1, 100)), "nn": lambda r: str(r.randrange(10, 999)), "year": lambda r: str(r.randrange(1500, 2026)),
    "version": lambda r: r.choice((f"{r.randrange(30)}.{r.randrange(30)}.{r.randrange(100)}", f"{r.randrange(30)}.{r.randrange(30)}.{r.randrange(30)}.{r.randrange(300)}", f"{r.randrange(130)}.0.{r.randrange(9999)}.{r.randrange(255)}")),
    "private": lambda r: r.choice(("192.168.0.1", "10.0.0.12", "172.16.31.5", "127.0.0.1", "0.0.0.0", "255.255.255.0", f"192.168.{r.randrange(255)}.{r.randrange(255)}", "fe80::1", "::1", "224.0.0.1")),
    "lat": lambda r: f"{r.uniform(33, 39):.{r.randrange(4, 9)}f}", "lon": lambda r: f"{r.uniform(124, 132):.{r.randrange(4, 9)}f}",
    "hex": lambda r: f"{r.getrandbits(128):032x}", "uuid": lambda r: "-".join(f"{r.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12)),
    "score": lambda r: f"{r.randrange(60, 120)}-{r.randrange(60, 120)}", "set": lambda r: f"25-{r.randrange(10, 24)}",
    "range": lambda r: "-".join(map(str, sorted(r.sample(range(1510, 1930), 2)))),
    "code": lambda r: r.choice("ABCDEFGHJKLMNPRSTUVWXYZ") + r.choice("ABCDEFGHJKLMNPRSTUVWXYZ") + "-" + _digits(r, r.randrange(3, 8)) + r.choice(("", "-" + _digits(r, 2), r.choice("ABK"))),
    "m8": lambda r: r.choice("MSRODG") + _digits(r, 8),
    "ems": lambda r: r.choice(("EE", "RR", "CP", "EM")) + _digits(r, 9) + "KR",
    "court": lambda r: f"{r.randrange(1990, 2025)}{r.choice(('다', '나', '가합', '고단', '도', '두', '헌바', '노', '카합'))}{r.randrange(1, 300000)}",
    "decimal": lambda r: f"{r.random() * r.choice((1, 100, 10000)):.{r.randrange(5, 17)}f}",
    "epoch": lambda r: str(r.randrange(1_400_000_000, 1_800_000_000)) + r.choice(("", _digits(r, 3))),
}  # fmt: skip
FIELD = re.compile(r"\{([a-z0-9_]+)(!?)\}")


def fill(rng: random.Random, template: str, family: str) -> Labelled:
    """The template with its fields filled, and a span for each personal value."""
    text, spans, done = "", [], 0
    bank = rng.choice(list(ACCOUNT_FORMS))
    for field in FIELD.finditer(template):
        text += template[done : field.start()]
        done = field.end()
        name, labelled = field[1], bool(field[2])
        if name == "bank":
            text += rng.choice(ALIASES[bank])
        elif name == "bank_en":
            bank_en = rng.choice(list(ENGLISH_BANKS))
            bank = ENGLISH_BANKS[bank_en]
            text += bank_en
        elif name in NOISE:
            text += NOISE[name](rng)
        else:
            value = _account(rng, bank) if name == "account" else PERSONAL[name](rng, labelled)
            spans.append((len(text), len(text) + len(value), "ip" if name == "ipv4" else name))
            text += value
    return Labelled(text + template[done:], spans, family)


def lines(seed: int, templates: dict[str, str], per_family: int) -> Iterator[Labelled]:
    """`per_family` fillings of each family's templates (one a line), in a fixed order."""
    rng = random.Random(seed)
    for family, block in templates.items():
        choices = [line.replace("\\n", "\n") for line in block.strip().splitlines()]
        for index in range(per_family):
            yield fill(rng, choices[index % len(choices)], family)
