"""A browser on the pages of a hub; a visit that reaches another origin fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hub.hubs import Server


@pytest.fixture
def visit(browser: Any, hub: Server) -> Iterator[Callable[..., Any]]:
    """Opens the sign-in page; afterwards every request was to the hub, and no policy or script failed."""
    contexts, requests, errors = [], [], []

    def opened(**options: Any) -> Any:
        context = browser.new_context(
            **{"locale": "ko-KR", "viewport": {"width": 1100, "height": 800}, **options}
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None
        )
        page.goto(f"{hub.url}/login")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert requests
    assert [each for each in requests if not each.startswith((hub.url, "data:"))] == []
    assert errors == []


def sign_in(page: Any, who: str) -> None:
    page.fill("[name=name]", who)
    page.fill("[name=password]", f"password of {who}")
    page.press("[name=password]", "Enter")
    page.wait_for_selector("form[role=search]")
