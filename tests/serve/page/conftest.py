"""A browser, a server and a visit to the page; a visit that reaches another origin fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.serve.page.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    started = ScriptedServer()
    yield started
    started.shutdown()
    started.server_close()


@contextmanager
def visiting(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Opens the page; afterwards every request was to its own origin, and no policy or script failed."""
    contexts = []
    requests: list[str] = []
    errors: list[str] = []

    def opened(**options: Any) -> Any:
        context = browser.new_context(
            **{"locale": "ko-KR", "viewport": {"width": 1100, "height": 800}, **options}
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#model-names:not(:empty)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert requests
    assert [each for each in requests if not each.startswith((url, "data:", "blob:" + url))] == []
    assert errors == []


@pytest.fixture
def visit(browser: Any, server: ScriptedServer) -> Iterator[Callable[..., Any]]:
    """Open the page of the scripted server, which also hears of what its policy forbids."""
    with visiting(browser, server.url) as opened:
        yield opened
    assert [body for path, body in server.seen if path == "/policy-report"] == []
