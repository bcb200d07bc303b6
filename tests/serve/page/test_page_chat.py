"""The chat page in headless Chromium: asking, branches, faults, history; nothing goes to another origin."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.browser import DONE, MESSAGE, answers, ask, shows
from tests.serve.page.scripted_server import Cut, Refusal, ScriptedServer

pytestmark = pytest.mark.extra("page")


Visit = Callable[..., Any]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_an_answer_streams_by_whole_syllables_and_ends_with_its_figures(
    visit: Visit, server: ScriptedServer
) -> None:
    text = "**훈민정음**은 글자입니다. 세종이 만들었습니다.\n\n- 자음 17\n- 모음 11\n"
    events = [
        f"data: {json.dumps({'choices': [{'delta': {'content': each}}]}, ensure_ascii=False)}\n\n"
        for each in text
    ]
    server.script.answers["글자"] = [*pieces("".join(events).encode(), 7)]
    page = visit()
    page.evaluate(
        """() => { window.states = new Set();
        const note = () => document.querySelectorAll(".body").forEach((it) => states.add(it.textContent));
        const all = { childList: true, characterData: true, subtree: true };
        new MutationObserver(note).observe(document.querySelector("#turns"), all); }"""
    )
    ask(page, "글자")
    states = page.evaluate("[...states]")
    assert len(states) > 5
    assert not [state for state in states if "\ufffd" in state]
    assert page.inner_text(".body") == "훈민정음은 글자입니다. 세종이 만들었습니다.\n\n자음 17\n모음 11"
    assert page.locator(".body strong").inner_text() == "훈민정음"
    assert "초당" in page.inner_text(".stats")
    assert "첫 글자까지" in page.inner_text(".stats")
    spoken = page.locator("#live p").all_inner_texts()
    assert spoken[:2] == ["훈민정음은 글자입니다.", "세종이 만들었습니다."]
    assert spoken[-1] == "답변이 끝났습니다."
    assert page.inner_text("#notice") == "AI가 만든 글입니다. 틀릴 수 있습니다."
    [request] = server.asked()
    assert request["stream_options"] == {"include_usage": True}


def test_editing_and_regenerating_add_branches(visit: Visit, server: ScriptedServer) -> None:
    page = visit()
    ask(page, "하나")
    ask(page, "둘", answers=2)
    page.hover(".question >> nth=0")
    page.click(".question >> nth=0 >> .edit")
    page.fill(".form textarea", "셋")
    page.press(".form textarea", "Enter")
    shows(page, "셋라고 하셨군요.")
    page.wait_for_selector("#stop", state="hidden")
    assert answers(page) == ["셋라고 하셨군요."]
    page.click("[aria-label='다시 생성']")
    page.locator(".reply .branch", has_text="2/2").wait_for()
    page.wait_for_selector("#stop", state="hidden")
    page.hover(".question")
    page.click(".question [aria-label='이전 분기']")
    assert answers(page) == ["하나라고 하셨군요.", "둘라고 하셨군요."]
    assert page.evaluate("document.activeElement.ariaLabel") == "이전 분기"
    page.wait_for_timeout(500)  # the choice goes to disk in a moment; nothing on the page tells when
    page.reload()
    shows(page, "둘라고 하셨군요.")
    assert answers(page) == ["하나라고 하셨군요.", "둘라고 하셨군요."]
    assert [[turn["content"] for turn in each["messages"]] for each in server.asked()] == [
        ["하나"],
        ["하나", "하나라고 하셨군요.", "둘"],
        ["셋"],
        ["셋"],
    ]


def test_escape_stops_and_what_came_stays(visit: Visit, server: ScriptedServer) -> None:
    gate = threading.Event()
    server.script.answers["길게"] = ["여기까지 ", "왔고", gate, *["또"] * 5000]
    page = visit()
    page.fill(MESSAGE, "길게")
    page.press(MESSAGE, "Enter")
    shows(page, "여기까지 왔고")
    assert page.locator("#send").is_hidden()
    assert page.locator("[aria-label='다시 생성']").is_hidden()
    page.keyboard.press("Escape")
    shows(page, "여기서 멈췄습니다.")
    gate.set()
    assert server.left.wait(10)
    assert answers(page) == ["여기까지 왔고"]
    assert page.evaluate("document.activeElement.id") == "field"


def test_what_came_stays_when_the_server_goes_away_midway(visit: Visit, server: ScriptedServer) -> None:
    gate = threading.Event()
    server.script.answers["끊김"] = ["첫 줄\n\n", "둘째", gate, Cut()]
    page = visit()
    page.fill(MESSAGE, "끊김")
    page.press(MESSAGE, "Enter")
    shows(page, "둘째")
    gate.set()
    shows(page, "연결이 끊겨 여기까지만 받았습니다.")
    page.reload()
    shows(page, "연결이 끊겨 여기까지만 받았습니다.")
    assert answers(page) == ["첫 줄\n\n둘째"]
    server.script.answers["끊김"] = ["온전한 답"]
    page.click(".state button:text('다시 시도')")
    shows(page, "온전한 답")
    page.click(".reply [aria-label='이전 분기']")
    assert answers(page) == ["첫 줄\n\n둘째"]


def test_a_page_that_closed_midway_shows_what_it_had(visit: Visit, server: ScriptedServer) -> None:
    gate = threading.Event()
    server.script.answers["길게"] = ["남은 글", gate]
    page = visit()
    page.fill(MESSAGE, "길게")
    page.press(MESSAGE, "Enter")
    shows(page, "남은 글")
    page.wait_for_timeout(1500)  # an answer that is being written is saved every second
    page.reload()
    shows(page, "연결이 끊겨 여기까지만 받았습니다.")
    assert answers(page) == ["남은 글"]
    gate.set()


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(429, "queue is full", 7), "요청이 몰려 있습니다. 7초 뒤에 다시 시도하세요."),
        (Refusal(503, "going down"), "서버가 지금 요청을 받을 수 없습니다. 잠시 뒤에 다시 시도하세요."),
        (Refusal(413, "too long"), "글이 너무 깁니다. 줄이거나 새 대화를 시작하세요."),
        (Refusal(404, "no such model"), "서버에 이 모델이 없습니다. 다른 모델을 고르세요."),
        (Refusal(400, "min_p: at most 1"), "서버가 요청을 받아들이지 않았습니다."),
        (Refusal(500, "failed"), "서버에서 오류가 났습니다."),
    ],
)
def test_errors_in_words_with_another_try(
    visit: Visit, server: ScriptedServer, refusal: Refusal, words: str
) -> None:
    server.script.answers["질문"] = refusal
    page = visit()
    ask(page, "질문")
    assert page.locator(".state.error p").inner_text() == f"{words}\n{refusal.message}"
    server.script.answers["질문"] = ["이제 됩니다."]
    page.click(".state button:text('다시 시도')")
    shows(page, "이제 됩니다.")
    page.wait_for_selector(".state.error", state="detached")


def test_without_a_server_the_question_stays_and_is_asked_again(
    visit: Visit, server: ScriptedServer
) -> None:
    page = visit()
    page.route("**/v1/**", lambda route: route.abort())
    ask(page, "들리나요")
    assert "서버에 연결할 수 없습니다" in page.inner_text(".state.error")
    page.unroute("**/v1/**")
    page.click(".state button:text('다시 시도')")
    shows(page, "들리나요라고 하셨군요.")


def test_a_key_is_asked_for_and_kept_for_the_window_alone(visit: Visit, server: ScriptedServer) -> None:
    server.script.key = "sk-invented"
    page = visit()
    assert "API 키가 필요합니다" in page.inner_text("#banner")
    page.click("#banner-action")
    assert page.evaluate("document.activeElement.id") == "key"
    page.fill("#key", "열쇠")
    page.click("#settings-close")
    ask(page, "잘못 쓴 열쇠")
    assert "API 키가 없거나 올바르지 않습니다." in page.inner_text(".state.error")
    assert server.asked() == []
    page.click("#new")
    page.click("#open-settings")
    page.fill("#key", "wrong")
    page.click("#settings-close")
    ask(page, "열쇠")
    assert "API 키가 없거나 올바르지 않습니다." in page.inner_text(".state.error")
    page.click(".state button:text('키 입력')")
    page.fill("#key", "sk-invented")
    page.click("#settings-close")
    page.click(".state button:text('다시 시도')")
    shows(page, "열쇠라고 하셨군요.")
    stores = "[localStorage, sessionStorage].map((it) => JSON.stringify(it).includes('sk-invented'))"
    assert page.evaluate(stores) == [False, True]
    page.click("#open-settings")
    page.check("#key-keep")
    assert page.evaluate(stores) == [True, False]


def test_system_prompt_and_sampling_reach_the_server(visit: Visit, server: ScriptedServer) -> None:
    page = visit()
    page.click("#open-settings")
    page.fill("#system", "짧게 답하세요.")
    values = {"temperature": 0.2, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_tokens": 64, "seed": 7}
    for name, value in values.items():
        page.fill(f"#{name}", str(value))
    page.fill("#top_k", "-1")
    assert page.get_attribute("#top_k", "aria-invalid") == "true"
    page.fill("#top_k", "40")
    page.keyboard.press("Escape")
    ask(page, "질문")
    page.click("#open-settings")
    page.fill("#seed", "")
    page.keyboard.press("Escape")
    ask(page, "또", answers=2)
    first, second = server.asked()
    assert {name: first[name] for name in values} == values
    assert "seed" not in second
    assert [turn["role"] for turn in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][0]["content"] == "짧게 답하세요."


def test_models_side_by_side_each_with_its_own_answers(visit: Visit, server: ScriptedServer) -> None:
    server.script.models = [
        {"id": name, "chat": name != "base"} for name in ("small", "large", "base", "other")
    ]
    page = visit()
    page.click("#models summary")
    page.check("#compare")
    for name in ("large", "base"):
        page.check(f"input[value={name}]")
    assert page.locator("input[value=other]").is_disabled()
    page.keyboard.press("Escape")
    assert "base: 대화용으로 학습되지 않은 기본 모델입니다." in page.inner_text("#base-notice")
    ask(page, "같은 질문", answers=3)
    assert page.locator(".name").all_inner_texts() == ["small\nAI", "large\nAI", "base\nAI"]
    boxes = [page.locator(".answer").nth(at).bounding_box() for at in range(3)]
    assert [box["x"] for box in boxes] == sorted({box["x"] for box in boxes})
    assert len({(box["y"], round(box["width"])) for box in boxes}) == 1
    assert boxes[2]["x"] + boxes[2]["width"] > 1000
    ask(page, "다음", answers=6)
    asked = {(each["model"], "prompt" in each): each for each in server.asked()}
    assert asked.keys() == {("small", False), ("large", False), ("base", True)}
    assert len(asked["large", False]["messages"]) == 3
    assert asked["base", True]["prompt"] == "다음"


def test_a_base_model_continues_text_under_a_visible_notice(visit: Visit, server: ScriptedServer) -> None:
    server.script.models = [{"id": "onnuri-base", "chat": False}]
    server.script.answers["옛날"] = [" 옛적에 *호랑이*가"]
    page = visit()
    assert page.get_attribute(MESSAGE, "placeholder") == "이어 쓸 글의 앞부분을 입력하세요"
    assert page.locator("#base-notice").is_visible()
    ask(page, "옛날")
    assert answers(page) == ["옛날 옛적에 *호랑이*가"]
    page.click("[aria-label='이어서 쓰기']")
    assert page.input_value(MESSAGE) == "옛날 옛적에 *호랑이*가"


def test_history_is_searched_renamed_deleted_exported_and_imported(
    visit: Visit, server: ScriptedServer, tmp_path: Path
) -> None:
    page = visit()
    ask(page, "사과는 무슨 색인가요?")
    page.click("#new")
    ask(page, "하늘은 무슨 색인가요?")
    page.locator(".chat").nth(1).wait_for()
    page.fill("#search", "사과 하셨군요")
    page.locator(".chat").nth(1).wait_for(state="detached")
    assert page.locator(".chat").all_inner_texts() == ["사과는 무슨 색인가요?"]
    page.click("#chats summary")
    page.click("#chats >> text=이름 바꾸기")
    page.fill("#chats li input", "과일")
    page.press("#chats li input", "Enter")
    page.locator(".chat", has_text="과일").wait_for()
    page.fill("#search", "")
    page.locator(".chat").nth(1).wait_for()
    with page.expect_download() as started:
        page.click("#export-all")
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    exported = json.loads(file.read_text(encoding="utf-8"))
    assert sorted(each["title"] for each in exported["conversations"]) == ["과일", "하늘은 무슨 색인가요?"]
    assert exported["notice"]["ko"] == "AI가 만든 글입니다. 틀릴 수 있습니다."

    page.locator("#chats li", has_text="과일").locator("summary").click()
    page.locator("#chats li", has_text="과일").get_by_text("삭제").click()
    page.click("#confirm-yes")
    page.locator(".chat", has_text="과일").wait_for(state="detached")
    page.reload()
    page.locator(".chat").wait_for()
    assert page.locator(".chat").all_inner_texts() == ["하늘은 무슨 색인가요?"]

    page.click("#open-settings")
    page.click("#delete-all")
    page.click("#confirm-yes")
    page.keyboard.press("Escape")
    shows(page, "아직 대화가 없습니다.", "body")
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**exported, "conversations": [{"id": 1}]}), encoding="utf-8")
    page.set_input_files("#import-file", broken)
    shows(page, "온누리에서 내보낸 파일이 아니거나 내용이 잘못되었습니다(id).", "body")
    page.set_input_files("#import-file", file)
    shows(page, "대화 2개를 가져왔습니다.", "body")
    page.click(".chat >> text=과일")
    shows(page, "사과는 무슨 색인가요?라고 하셨군요.")
    assert page.locator(DONE).count() == 1


def test_nothing_is_kept_when_the_reader_says_so(visit: Visit, server: ScriptedServer) -> None:
    page = visit()
    page.click("#open-settings")
    page.uncheck("#keep")
    page.keyboard.press("Escape")
    ask(page, "비밀")
    page.reload()
    shows(page, "대화를 저장하지 않습니다.", "body")
    assert page.locator(".chat").count() == 0


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_a_copied_answer_says_who_made_it_where_the_server_wants_that(
    visit: Visit, server: ScriptedServer, locale: str
) -> None:
    server.script.answers["글"] = ["본문\n\n```\ncode\n```"]
    permissions = ["clipboard-read", "clipboard-write"]
    line = {
        "ko-KR": r"onnuri-chat의 답변, AI 생성, \d{4}-\d\d-\d\d",
        "en-US": r"Answer of onnuri-chat, made by AI, \d{4}-\d\d-\d\d",
    }
    for mark, wanted in ((False, ""), (True, f"\n\n{line[locale]}")):
        server.script.mark = mark
        page = visit(locale=locale, permissions=permissions)
        ask(page, "글")
        name = {"ko-KR": "복사", "en-US": "Copy"}[locale]
        whole = page.locator(".answer .tools").get_by_role("button", name=name, exact=True)
        text = re.escape("본문\n\n```\ncode\n```")
        for button, expected in ((whole, text + wanted), (page.locator(".code-head button"), "code")):
            page.evaluate("navigator.clipboard.writeText('')")
            button.click()
            page.wait_for_function("navigator.clipboard.readText()")
            assert re.fullmatch(expected, page.evaluate("navigator.clipboard.readText()"))
