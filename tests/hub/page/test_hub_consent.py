"""A person asks, accepts the terms, is approved, downloads and withdraws, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub.hubs import Server

NewName = Callable[[], str]
WORDS = {
    "ko-KR": {
        "send": "동의하고 신청하기",
        "waits": "소유자가 심사하고 있습니다",
        "accept": "승인",
        "granted": "이용할 수 있습니다",
        "files": "파일",
        "download": "다운로드",
        "withdraw": "동의 철회",
        "withdrawn": "동의를 철회하였습니다",
    },
    "en-US": {
        "send": "Agree and send",
        "waits": "has not decided yet",
        "accept": "Accept",
        "granted": "You have access",
        "files": "Files",
        "download": "Download",
        "withdraw": "Withdraw consent",
        "withdrawn": "withdrawn your consent",
    },
}


@pytest.mark.parametrize("language", sorted(WORDS))
def test_ask_approve_download_withdraw(
    visit: Callable[..., Any], hub: Server, new_name: NewName, language: str
) -> None:
    from tests.hub.page.conftest import sign_in
    from tests.hub.test_consent import CONTENT, make, status
    from tests.serve.page.browser import serious

    words = WORDS[language]
    path = f"/datasets/{make(hub, new_name(), 'manual')}"
    person, owner = (visit(locale=language, bypass_csp=True) for _ in range(2))
    sign_in(person, "park")
    sign_in(owner, "kim")

    person.goto(hub.url + path)
    person.click(f"a[href='{path}/access'] >> nth=0")
    send = person.get_by_role("button", name=words["send"])
    send.click()
    assert person.locator("[name=affiliation]:invalid").count() == 1, "nothing is sent without an answer"
    person.fill("[name=affiliation]", "한국대학교")
    person.fill("[name=purpose]", "<script>alert(1)</script> 언어 연구")
    for field in person.locator("select[name^=field-]").all():
        field.select_option(index=1)
    for field in person.locator("input[name^=field-]").all():
        field.fill("연구소")
    person.check("[name=agree-terms]")
    send.click()
    assert person.locator("[name=agree-personal_data]:invalid").count() == 1, "each consent has its box"
    assert status(hub, "park", path.removeprefix("/datasets/")) == 403
    person.check("[name=agree-personal_data]")
    assert serious(person) == []
    send.click()
    person.wait_for_selector(f"[role=status]:has-text('{words['waits']}')")
    assert status(hub, "park", path.removeprefix("/datasets/")) == 403

    owner.goto(f"{hub.url}{path}/requests")
    assert "한국대학교" in owner.locator("section.panel").inner_text()
    assert "<script>alert(1)</script>" in owner.locator("section.panel").inner_text()
    assert serious(owner) == []
    owner.get_by_role("button", name=words["accept"], exact=True).click()
    owner.wait_for_load_state()

    person.reload()
    person.wait_for_selector(f"[role=status]:has-text('{words['granted']}')")
    person.goto(hub.url + path)
    person.click(f"nav.tabs >> text={words['files']}")
    with person.expect_download() as started:
        person.click(
            f"[aria-label='data.txt {words['download']}'], [aria-label='{words['download']} data.txt']"
        )
    assert Path(started.value.path()).read_bytes() == CONTENT

    person.goto(f"{hub.url}{path}/access")
    person.check("form input[type=checkbox]")
    person.get_by_role("button", name=words["withdraw"]).click()
    person.wait_for_selector(f"[role=status]:has-text('{words['withdrawn']}')")
    assert status(hub, "park", path.removeprefix("/datasets/")) == 403
