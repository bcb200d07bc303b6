"""Pages of consent: asking, withdrawing, deciding, new terms; in Korean and English."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.hub.hubs import Server
from tests.hub.test_consent import make, status
from tests.hub.visitors import Visitor

NewName = Callable[[], str]
FORM = {"affiliation": "대학", "purpose": "<b>연구</b>", "field-0": "연구소"}
BOXES = {"agree-terms": "1", "agree-personal_data": "1"}


@pytest.fixture(scope="module")
def person(hub: Server) -> Iterator[Visitor]:
    with Visitor(hub, "park") as visitor:
        yield visitor


@pytest.fixture(scope="module")
def owner(hub: Server) -> Iterator[Visitor]:
    with Visitor(hub, "kim", "en") as visitor:
        yield visitor


def sha256(page: str) -> str:
    return page.partition('name="terms" value="')[2][:64]


def test_asking_deciding_and_withdrawing(
    hub: Server, new_name: NewName, person: Visitor, owner: Visitor
) -> None:
    name = make(hub, new_name(), "manual")
    path, requests = f"/datasets/{name}/access", f"/datasets/{name}/requests"
    page = person.get(path).text
    for text in (
        "개인정보를 제공받는 자",
        "제공받는 자의 이용 목적",
        "제공하는 개인정보의 항목",
        "보유 및 이용 기간",
        "동의를 거부할 권리",
        "언어 연구실 (lab)",
        "연구 목적으로만 이용합니다.",
    ):
        assert text in page
    assert page.count('type="checkbox"') == 2, "one box a consent"
    for missing in BOXES:
        boxes = {box: value for box, value in BOXES.items() if box != missing}
        refused = person.send(path, terms=sha256(page), **FORM, **boxes)
        assert refused.status_code == 400 and "신청하지 못했습니다" in refused.text
        assert 'value="대학"' in refused.text, "what was entered stays"
    assert person.send(path, terms=sha256(page), **FORM, **BOXES).status_code == 303
    assert "소유자가 심사하고 있습니다" in person.get(path).text

    listed = owner.get(requests).text
    assert "park@example.go.kr" in listed and "&lt;b&gt;연구&lt;/b&gt;" in listed and "<b>" not in listed
    request = listed.partition('name="request" value="')[2].partition('"')[0]
    decision = {"request": request, "status": "accepted", "reason": "approved", "expires": "2999-12-31"}
    assert owner.send(requests, **decision).status_code == 303
    assert "approved" in owner.get(requests).text and "2999-12-31" in owner.get(requests).text
    assert status(hub, "park", name) == 200
    assert name in person.get("/settings/consents").text
    assert person.send(path, action="withdraw").status_code == 303
    assert status(hub, "park", name) == 403
    assert "동의를 철회하였습니다" in person.get(path).text


def test_new_terms_in_the_editor(hub: Server, new_name: NewName, person: Visitor, owner: Visitor) -> None:
    name = make(hub, new_name(), "auto")
    path, editor = f"/datasets/{name}/access", f"/datasets/{name}/terms"
    assert person.send(path, terms=sha256(person.get(path).text), **FORM, **BOXES).status_code == 303
    assert status(hub, "park", name) == 200
    with hub.client("kim") as client:
        content = client.get(f"/api/datasets/{name}/terms").json()
    fields = {"retention_days": 90, "access_days": 0}
    for language in ("ko", "en"):
        fields |= {f"text-{language}": "새 조건\n둘째 줄", f"heading-{language}": ""}
        fields |= {f"{item}-{language}": text for item, text in content["items"][language].items()}
    fields |= {"name-0": "직위", "type-0": "select", "options-0": "교수, 학생", "required-0": "1"}
    wrong = owner.send(editor, **fields | {"recipient-ko": "연구소 등"})
    assert wrong.status_code == 400 and "연구소 등" in wrong.text
    assert owner.send(editor, **fields).status_code == 303
    assert status(hub, "park", name) == 403
    page = person.get(path).text
    assert "이용 조건이 바뀌었습니다" in page and "둘째 줄" in page and "<option>교수" in page
    assert person.send(path, terms=sha256(page), **FORM | {"field-0": "교수"}, **BOXES).status_code == 303
    assert status(hub, "park", name) == 200
    versions = owner.get(editor, version="1").text
    assert "연구 목적으로만" in versions and 'href="?version=2#version"' in versions


def test_a_consent_is_withdrawn_from_the_list(hub: Server, new_name: NewName, person: Visitor) -> None:
    name = make(hub, new_name(), "auto")
    path = f"/datasets/{name}/access"
    person.send(path, terms=sha256(person.get(path).text), **FORM, **BOXES)
    assert status(hub, "park", name) == 200
    row = person.get("/settings/consents").text.partition(f">{name}</a>")[2]
    uid = row.partition('name="repository" value="')[2].partition('"')[0]
    assert person.send("/settings/consents", repository=uid).status_code == 303
    assert status(hub, "park", name) == 403


def test_pages_are_for_those_whom_they_concern(hub: Server, new_name: NewName, person: Visitor) -> None:
    name = make(hub, new_name(), "auto")
    with Visitor(hub) as stranger:
        for page in ("access", "requests", "terms"):
            assert stranger.get(f"/datasets/{name}/{page}").status_code in (303, 401)
    for page in ("requests", "terms"):
        assert person.get(f"/datasets/{name}/{page}").status_code == 403
    page = person.get(f"/datasets/{name}/access").text
    answer = person.client.post(f"/datasets/{name}/access", data={"terms": sha256(page), **FORM, **BOXES})
    assert answer.status_code == 403, "a form without its token"
    assert status(hub, "park", name) == 403


def test_english(hub: Server, new_name: NewName) -> None:
    name = make(hub, new_name(), "auto", "---\nlicense: mit\n---\n")
    with Visitor(hub, "park", "en") as visitor:
        page = visitor.get(f"/datasets/{name}/access").text
        for text in ("Who receives the personal data", "Your right to refuse", "Agree and send"):
            assert text in page
        fields = FORM | {"purpose": "research"}
        fields.pop("field-0")
        visitor.send(f"/datasets/{name}/access", terms=sha256(page), **fields, **BOXES)
        (mine,) = [
            each for each in visitor.client.get("/api/consents").json() if each["repository"] == name
        ]
    assert mine["language"] == "en" and mine["status"] == "accepted"
