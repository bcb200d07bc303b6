"""What people do on the pages of a hub, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub.hubs import Server

CARD = """---
license: apache-2.0
language: [ko, en]
library_name: transformers
pipeline_tag: text-generation
tags: [연구]
---
# 한국어 소형 언어 모델

국립 연구기관의 공개 문서로 학습한 **1억 2천만 매개변수** 모델입니다. 오프라인 환경에서 쓸 수 있습니다.

## 학습 데이터

| 출처 | 라이선스 | 비율 |
| --- | --- | --- |
| 연구개발 규정 | KOGL 제1유형 | 62 % |
| 기술 보고서 | CC-BY-4.0 | 38 % |

## 사용할 때

사실 확인이 필요한 업무에는 그대로 쓰지 마세요. 평가 결과는 `evaluation.json`에 있습니다.
"""


@pytest.fixture(scope="module")
def model(hub: Server) -> str:
    from tests.hub.test_pages_use import commit

    hub.api("kim").create_repo("lab/onnuri-120m", exist_ok=True)
    commit(hub, "lab/onnuri-120m", {"README.md": CARD.encode(), "config.json": b'{"model_type": "llama"}'})
    return "lab/onnuri-120m"


def test_search_open_download(visit: Callable[..., Any], model: str) -> None:
    from tests.hub.page.conftest import sign_in

    page = visit()
    sign_in(page, "lee")
    page.fill("[name=search]", "onnuri-120")
    page.press("[name=search]", "Enter")
    page.click(f"a.name:has-text('{model}')")
    assert page.locator("article h1").inner_text() == "한국어 소형 언어 모델"
    page.click("nav.tabs >> text=파일")
    with page.expect_download() as started:
        page.click("[aria-label='config.json 다운로드']")
    path = Path(started.value.path())
    assert (started.value.suggested_filename, path.read_bytes()) == (
        "config.json",
        b'{"model_type": "llama"}',
    )


def test_create_a_token_in_english(visit: Callable[..., Any], hub: Server) -> None:
    from tests.hub.page.conftest import sign_in

    page = visit(locale="en-US")
    sign_in(page, "lee")
    page.goto(f"{hub.url}/tokens")
    page.locator("form.stack [name=name]").fill("laptop")
    page.get_by_role("button", name="Create").click()
    token = page.locator("#fresh").inner_text()
    assert hub.client().get("/api/whoami-v2", headers={"authorization": f"Bearer {token}"}).is_success
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Revoke laptop").click()
    page.locator("td", has_text="laptop").wait_for(state="detached")
    page.click("text=한국어")
    assert page.locator("html").get_attribute("lang") == "ko"


SHOWN = ["/", "/lab", "/new", "/tokens", "/settings", "/admin", "/sources", "/no/such"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_are_accessible_and_fit_narrow_screens(
    visit: Callable[..., Any], hub: Server, model: str, dark: bool
) -> None:
    from tests.hub.page.conftest import sign_in
    from tests.serve.page.browser import serious

    scheme = "dark" if dark else "light"
    page = visit(color_scheme=scheme, viewport={"width": 360, "height": 720}, bypass_csp=True)
    sign_in(page, "kim")
    tabs = [
        f"/{model}{each}"
        for each in ("", "/tree/main", "/commits/main", "/refs", "/provenance", "/settings")
    ]
    for path in [*SHOWN, *tabs]:
        page.goto(hub.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert serious(page) == [], path
