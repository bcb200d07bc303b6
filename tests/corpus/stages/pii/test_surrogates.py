"""Surrogates: shaped like the value, nobody's, the same each time, and no way back."""

from __future__ import annotations

import ipaddress
import re

import pyarrow as pa
from labelled_personal_data import positives
from labelled_web_positives import POSITIVES
from labelled_web_text import lines

from onnuri.corpus.stages.pii.korean_numbers import birth_date, business_check_digit, is_card
from onnuri.corpus.stages.pii.mask import mask, surrogate


def _shape(text: str) -> str:
    """Every digit as 0, full-width ones as full-width 0, and every leading letter as X."""
    letters = re.sub("^[A-Za-z]{1,2}", lambda match: "X" * len(match.group()), text)
    return re.sub("[０-９]", "０", re.sub("[0-9]", "0", letters))


def test_surrogates_have_the_shape_and_belong_to_nobody() -> None:
    labelled = [*positives(3, 150), *lines(7, POSITIVES, 150)]
    for found, kind in {(row.text[start:end], kind) for row in labelled for start, end, kind in row.spans}:
        fake = surrogate(found, kind)
        assert fake == surrogate(found, kind) != found
        digits = "".join(str(int(char)) for char in fake if char.isdecimal())
        if kind in ("email", "ip"):
            assert fake.endswith("@example.com") or fake.startswith(("192.0.2.", "2001:db8::"))
            assert kind == "email" or not ipaddress.ip_address(fake).is_global
            continue
        assert _shape(fake).lower() == _shape(found).lower()
        if kind in ("rrn", "frn"):
            assert birth_date(digits) is None
        if kind == "card":
            assert not is_card(digits)
        if kind == "business_number":
            assert int(digits[9]) != business_check_digit(digits)
        if kind == "phone":
            assert digits.startswith("1500") or digits[-7:-4] == "000"
        if kind in ("account", "passport"):
            assert digits.startswith("000") and (kind == "account" or fake[0] in "Xx")
        if kind == "driver_licence":
            assert digits[-8:-2] == "000000"


def test_a_surrogate_cannot_be_traced_back() -> None:
    """Far fewer fakes than values: whoever tries all numbers finds thousands for each fake."""
    fakes = {surrogate(f"4{number:015}", "card") for number in range(100_000)}
    assert 40_000 < len(fakes) <= 0x10000


def test_one_number_has_one_surrogate_in_every_notation() -> None:
    forms = (
        "010-1234-5678",
        "01012345678",
        "+82 10 1234 5678",
        "０１０－１２３４－５６７８",
        "+82 (0)10-1234-5678",
    )
    fakes = [surrogate(found, "phone") for found in forms]
    assert len({str(int(fake[-4:])) for fake in fakes}) == 1 and fakes[2].startswith("+82 10 0000 ")
    assert surrogate("hong (at) naver (dot) com", "email") == surrogate("hong@naver.com", "email")
    assert surrogate("M 12345678", "passport").replace(" ", "") == surrogate("M12345678", "passport")
    assert surrogate("Hong@Naver.com", "email") == surrogate("hong@naver.com", "email")
    assert surrogate("010-1234-5678", "phone") != surrogate("010-1234-5679", "phone")


def test_surrogate_style_keeps_the_text_around() -> None:
    masked, counts = mask(pa.array(["연락처 010-1234-5678로, 카드 4111-1111-1111-1111"]), style="surrogate")
    before, after = masked[0].as_py().split("로, 카드 ")
    assert before.startswith("연락처 010-0000-") and _shape(after) == "0000-0000-0000-0000"
    assert counts.field("phone").to_pylist() == counts.field("card").to_pylist() == [1]
