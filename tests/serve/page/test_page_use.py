"""The chat page in headless Chromium: input methods, keyboard, hostile answers, phones, accessibility."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.serve.page.browser import DONE, MESSAGE, answers, ask, serious, shows
from tests.serve.page.scripted_server import Refusal, ScriptedServer

pytestmark = pytest.mark.extra("page")

Visit = Callable[..., Any]
LONG = "https://www.example.go.kr/" + "a" * 300
ANSWER = f"""# 제목

**굵은** 글과 `code`, [안내](https://www.example.go.kr/guide), {LONG}

| 갈래 | 수 | 보기 | 아주 긴 열 이름 하나 | 아주 긴 열 이름 둘 |
|---|--:|---|---|---|
| 초성 | 17 | ㄱ, ㄴ, ㄷ | {"긴" * 60} | 끝 |

```python
print("{"길다" * 80}")
```

1. 하나
   - 둘
> 인용
"""


def test_hangul_of_a_real_input_method_is_sent_once_and_whole_with_one_enter(
    visit: Visit, server: ScriptedServer
) -> None:
    page = visit()
    page.evaluate(
        """() => { window.order = [];
        const note = (it) => order.push(it.isComposing ? `${it.type} ${it.keyCode}` : it.type);
        for (const name of ["keydown", "compositionend"]) field.addEventListener(name, note); }"""
    )
    page.focus(MESSAGE)
    browser = page.context.new_cdp_session(page)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    for steps in ("ㅇ아안", "ㄴ녀녕", "ㅎ하", "ㅅ세", "ㅇ요"):
        for step in steps:
            browser.send("Input.imeSetComposition", {"text": step, "selectionStart": 1, "selectionEnd": 1})
        if steps[-1] != "요":
            browser.send("Input.insertText", {"text": steps[-1]})
    browser.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    browser.send("Input.insertText", {"text": "요"})
    browser.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    page.locator(DONE).wait_for()
    page.wait_for_selector("#stop", state="hidden")
    page.keyboard.press("Enter")
    ask(page, "끝", answers=2)
    assert [each["messages"][-1]["content"] for each in server.asked()] == ["안녕하세요", "끝"]
    assert page.input_value(MESSAGE) == ""
    events = page.evaluate("order")
    assert events[events.index("keydown 229") + 1] == "compositionend"


CHROME = [
    ["compositionstart", {}],
    ["compositionupdate", {"data": "요"}],
    ["keydown", {"key": "Enter", "code": "Enter", "keyCode": 229, "isComposing": True}],
    ["compositionend", {"data": "요"}],
    ["keyup", {"key": "Enter", "code": "Enter"}],
]
SAFARI = [CHROME[0], CHROME[1], CHROME[3], ["keydown", {**CHROME[2][1], "isComposing": False}], CHROME[4]]
FIREFOX = [*CHROME[:4], ["input", {"inputType": "insertCompositionText"}], CHROME[4]]
MACOS = [*CHROME[:4], ["keydown", {"key": "Enter", "code": "Enter", "keyCode": 13}], CHROME[4]]


@pytest.mark.parametrize(
    "events", [CHROME, SAFARI, FIREFOX, MACOS], ids=["chrome", "safari", "firefox", "macos"]
)
def test_the_event_orders_of_browsers_send_once_and_whole(
    visit: Visit, server: ScriptedServer, events: list[Any]
) -> None:
    page = visit()
    page.focus(MESSAGE)
    page.evaluate(
        """(events) => { field.value = "안녕하세요";
        for (const [name, detail] of events) {
          const kinds = { input: InputEvent, keydown: KeyboardEvent, keyup: KeyboardEvent };
          const options = { bubbles: true, cancelable: true, ...detail };
          field.dispatchEvent(new (kinds[name] ?? CompositionEvent)(name, options));
        } }""",
        events,
    )
    page.locator(DONE).wait_for()
    page.wait_for_selector("#stop", state="hidden")
    ask(page, "끝", answers=2)
    assert [each["messages"][-1]["content"] for each in server.asked()] == ["안녕하세요", "끝"]


def test_keyboard_alone(visit: Visit, server: ScriptedServer) -> None:
    page = visit()
    assert page.evaluate("document.activeElement.id") == "field"
    page.keyboard.type("첫 줄")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("둘째 줄")
    page.keyboard.press("Enter")
    page.locator(DONE).wait_for()
    page.wait_for_selector("#stop", state="hidden")
    assert server.asked()[0]["messages"][0]["content"] == "첫 줄\n둘째 줄"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.value") == "첫 줄\n둘째 줄"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.ariaLabel") == "고치기"
    page.evaluate(
        """document.dispatchEvent(new KeyboardEvent("keydown",
        { key: "ㅏ", code: "KeyK", ctrlKey: true, bubbles: true, cancelable: true }))"""
    )
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Control+b")
    assert page.locator("#side").is_hidden()
    page.keyboard.press("Control+b")
    page.keyboard.press("Control+/")
    assert page.evaluate("document.activeElement.id") == "field"
    page.keyboard.press("Control+Shift+O")
    assert page.locator("#welcome").is_visible()
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert [each for each in seen if each in ("new", "search", "theme", "open-settings", "field")][:6] in (
        ["new", "search", "theme", "open-settings", "field", "new"],
        ["new", "search", "theme", "open-settings", "field"],
    )


HOSTILE = [
    "<script>document.title='x'</script> <img src=x onerror=\"document.title='x'\">",
    "<svg onload=alert(1)><iframe src=javascript:alert(1)></iframe>",
    "[글](javascript:alert(1)) [글](JAVASCRIPT:alert(1)) [글](data:text/html,x) [글](vbscript:x)",
    "<javascript:alert(1)>",
    "![그림](https://evil.example/?q=1) [![그림](https://evil.example/2)](https://evil.example/3)",
    '[글](https://evil.example/" onmouseover="alert(1)) [<b>글</b>](https://evil.example/4)',
    "| <img src=x> | `<b>` |\n|---|---|\n| <a href=javascript:x>1</a> | 2 |",
    '```html\n<script>alert(1)</script>\n```\n~~~"><script>\n</code></pre><script>\n~~~',
    ">" * 5000 + " 깊이",
    "- " * 5000 + "깊이",
    "\n".join(" " * (2 * depth) + "- 깊이" for depth in range(300)),
    "*_~~**" * 5000,
    "[" * 20000 + "](" * 5000,
    "\u202e뒤집힘 [보통](https://evil.example/\u202egro.og)",
]


def test_hostile_answers_stay_text(visit: Visit, server: ScriptedServer) -> None:
    server.script.answers = {f"{at}": [text[:11], text[11:]] for at, text in enumerate(HOSTILE)}
    page = visit()
    for at in range(len(HOSTILE)):
        ask(page, f"{at}", answers=at + 1)
    allowed = "a blockquote br button code del div em h2 h3 h4 h5 h6 hr li ol p path pre span strong svg "
    allowed += "table tbody td th thead tr ul"
    found = page.evaluate(
        """() => { const all = [...document.querySelectorAll(".body *")];
        return { tags: all.map((it) => it.tagName.toLowerCase()),
        handlers: all.flatMap((it) => [...it.attributes]).map(({ name }) => name)
          .filter((name) => name.startsWith("on") || name === "style" || name === "src"),
        links: [...document.querySelectorAll(".body a")].map(
          (it) => [it.protocol, it.rel, it.target, it.href === it.textContent]),
        depth: Math.max(...all.map((it) => { let depth = 0;
          for (let up = it; !up.classList.contains("body"); up = up.parentElement) depth += 1;
          return depth; })) }; }"""
    )
    assert set(found["tags"]) <= set(allowed.split())
    assert found["handlers"] == []
    assert len(found["links"]) >= 2
    assert {tuple(link) for link in found["links"]} == {("https:", "noreferrer noopener", "_blank", True)}
    assert found["depth"] < 60
    assert "<script>document.title='x'</script>" in answers(page)[0]


def test_no_horizontal_scroll_at_360_pixels(visit: Visit, server: ScriptedServer) -> None:
    server.script.models = [{"id": "a-model-with-a-rather-long-name-" + "x" * 40, "chat": True}]
    server.script.answers = {"긴": [ANSWER], "오류": Refusal(400, "x" * 300)}
    page = visit(viewport={"width": 360, "height": 720}, has_touch=True, is_mobile=True)

    def width() -> list[int]:
        return list(
            page.evaluate(
                "[document.documentElement, document.querySelector('#scroll'), "
                "document.querySelector('dialog[open]') ?? document.body]"
                ".map((it) => it.scrollWidth - it.clientWidth)"
            )
        )

    assert width() == [0, 0, 0]
    page.fill(MESSAGE, "긴")
    page.press(MESSAGE, "Enter")
    assert page.input_value(MESSAGE) == "긴\n"  # a touch keyboard's Enter is a new line
    page.fill(MESSAGE, "긴")
    page.click("#send")
    page.locator(DONE).wait_for()
    page.wait_for_selector("#stop", state="hidden")
    page.fill(MESSAGE, "오류")
    page.click("#send")
    page.locator(".state.error").wait_for()
    assert width() == [0, 0, 0]
    assert page.locator("#notice").is_visible()
    page.click("#side-open")
    assert width() == [0, 0, 0]
    page.click("#side-close")
    page.click("#open-settings")
    assert width() == [0, 0, 0]
    page.keyboard.press("Escape")
    page.click("#models summary")
    assert width() == [0, 0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, server: ScriptedServer, scheme: str) -> None:
    server.script.models = [{"id": "chat", "chat": True}, {"id": "base", "chat": False}]
    server.script.answers = {"긴": [ANSWER], "오류": Refusal(400, "x")}
    page = visit(color_scheme=scheme)
    found = {"empty": serious(page)}
    ask(page, "긴")
    ask(page, "오류", answers=2)
    page.click("[aria-label='다시 생성'] >> nth=1")
    page.locator(".branch:visible").wait_for()
    page.hover(".question >> nth=0")
    found["conversation"] = serious(page)
    page.click(".edit >> nth=0")
    found["editing"] = serious(page)
    page.keyboard.press("Escape")
    page.click("#models summary")
    page.check("#compare")
    page.check("input[value=base]")
    found["models"] = serious(page)
    page.keyboard.press("Escape")
    page.click("#open-settings")
    found["settings"] = serious(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 720})
    found["phone"] = serious(page)
    page.click("#side-open")
    page.locator("#chats summary").first.click()
    found["chats"] = serious(page)
    assert found == {state: [] for state in found}


def test_language_and_theme_follow_the_system_and_the_switches(
    visit: Visit, server: ScriptedServer
) -> None:
    page = visit(locale="en-US", color_scheme="dark")
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.inner_text("#notice") == "Text is made by AI. It may be wrong."
    page.click("#theme")
    page.click("#open-settings")
    page.select_option("#choose-language", "ko")
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector("#model-names:not(:empty)")
    assert page.get_attribute("html", "lang") == "ko"
    assert page.get_attribute("html", "data-theme") == "light"
    shows(page, "무엇을 도와드릴까요?", "main")
    ask(page, "질문")
    page.click("#open-settings")
    page.select_option("#choose-language", "en")
    page.select_option("#choose-theme", "")
    page.keyboard.press("Escape")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.get_attribute(".answer", "aria-label") == "Answer of onnuri-chat, made by AI"


def test_the_end_stays_in_view_until_the_reader_scrolls_up(visit: Visit, server: ScriptedServer) -> None:
    server.script.answers = {"긴": [f"문단 {number}\n\n" for number in range(60)]}
    page = visit()
    ask(page, "긴")
    distance = "scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight"
    page.evaluate("window.scroll = document.getElementById('scroll')")
    assert page.evaluate(distance) < 2
    page.hover("#turns")
    page.mouse.wheel(0, -600)
    page.locator("#to-bottom").wait_for()
    page.click("#to-bottom")
    assert page.evaluate(distance) < 2


def test_the_page_works_where_there_is_no_route() -> None:
    """A network namespace with a loopback alone; the visit itself checks origins and policy."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root, unshare and ip")
    test = "tests/serve/page/test_page_chat.py::test_editing_and_regenerating_add_branches"
    command = f"ip link set lo up && test -z \"$(ip route)\" && exec '{sys.executable}' -m pytest {test}"
    run = subprocess.run(
        ["unshare", "--net", "sh", "-c", command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
