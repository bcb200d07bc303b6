"""The chat page in headless Chromium as `onnuri serve` has it, before a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
from tests.serve.page.browser import DONE, MESSAGE, answers, ask
from tests.serve.page.conftest import visiting
from tests.serve.serving import Server, content, wait_until

pytestmark = pytest.mark.extra("page")
WATCH = """() => {
    window.forbidden = [];
    window.states = new Set();
    addEventListener("securitypolicyviolation", (it) => forbidden.push(it.violatedDirective));
    const all = { childList: true, characterData: true, subtree: true };
    new MutationObserver(() => {
        const bodies = document.querySelectorAll(".answer.streaming .body");
        bodies.forEach((it) => it.textContent && states.add(it.textContent));
        if (window.impatient && states.size) document.querySelector("#stop").click();
    }).observe(document.querySelector("#turns"), all);
}"""


def set_knobs(page: Any, **values: float) -> None:
    page.click("#open-settings")
    for name, value in values.items():
        page.fill(f"#{name}", str(value))
    page.click("#settings-close")


def without_an_early_end(route: Any) -> None:
    """The page's request, to which a random model would else find an end at once."""
    body = {**json.loads(route.request.post_data), "structured_outputs": {"regex": "[가-힣]{900}"}}
    route.continue_(post_data=json.dumps(body))


def exported_answers(page: Any) -> list[str]:
    with page.expect_download() as started:
        page.click("#export-all")
    [conversation] = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))["conversations"]
    return [answer["text"] for node in conversation["nodes"] for answer in node.get("answers", [])]


def test_an_answer_of_a_model_streams_appears_and_stops(browser: Any, plain: Server) -> None:
    with visiting(browser, plain.url) as visit, plain.client() as api:
        page = visit()
        assert page.inner_text("#model-names") == "chat"
        assert page.inner_text("#notice") == api.get("/page/info").json()["notice"]["ko"]
        page.evaluate(WATCH)
        set_knobs(page, max_tokens=40, seed=3)
        with page.expect_response("**/v1/chat/completions") as found:
            ask(page, "안녕하세요")
        assert found.value.headers["x-ai-generated"] == "true"
        asked = json.loads(found.value.request.post_data)
        assert [each["content"] for each in asked["messages"]] == ["안녕하세요"] and asked["seed"] == 3
        whole = api.ask("/v1/chat/completions", **{**asked, "stream": False, "stream_options": None})
        assert exported_answers(page) == [content(whole)]
        assert answers(page)[0].strip() and len(page.evaluate("[...states]")) > 3
        assert "40" in page.inner_text(".stats")

        before = api.get("/metrics").text
        left = 'onnuri_requests_total{route="/v1/chat/completions",status="499",key=""} 1'
        assert left not in before
        set_knobs(page, max_tokens=900, seed=4)
        page.route("**/v1/chat/completions", without_an_early_end)
        page.evaluate("() => { states.clear(); impatient = true; }")
        ask(page, "길게", answers=2)
        wait_until(lambda: left in api.get("/metrics").text, "the server sees that the page left")
        wait_until(lambda: 'onnuri_texts{model="chat"} 0' in api.get("/metrics").text, "its slot is free")
        assert "여기서 멈췄습니다." in page.locator(DONE).nth(1).inner_text()
        assert answers(page)[1].strip()
        assert page.locator(MESSAGE).is_enabled() and page.evaluate("forbidden") == []
