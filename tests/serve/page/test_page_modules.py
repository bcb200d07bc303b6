"""The chat page's modules that need no browser, in Node: input, Markdown, streams, files, words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.serve.page.scripted_server import PAGE

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def node(script: str) -> Any:
    """Run a module with the page's modules at hand; gives what it passes to `give`."""
    setup = f"const page = (name) => import({PAGE.as_uri()!r} + '/' + name);"
    setup += "let given; const give = (it) => (given = it);\n"
    command = [
        str(NODE),
        "--input-type=module",
        "-e",
        f"{setup}{script}\nconsole.log(JSON.stringify(given));",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


KEYBOARD = """
const { EnterSender } = await page("ime.js");
const turn = () => new Promise((done) => setTimeout(done, 1));
async function play(events, newline = false) {
  EnterSender.spent = false;
  const field = Object.assign(new EventTarget(), { value: "", blur() {} });
  const sent = [];
  let prevented = 0;
  const sender = new EnterSender(field, () => {
    if (field.value) sent.push(field.value);
    field.value = "";
  }, { newline: () => newline });
  for (const [name, detail = {}] of events) {
    if (name === "next task") await turn();
    else if (name === "click") sender.submit();
    else {
      if (detail.value !== undefined) field.value = detail.value;
      const event = Object.assign(new Event(name, { cancelable: true }), detail);
      field.dispatchEvent(event);
      if (event.defaultPrevented) prevented += 1;
      if (name === "keydown" && detail.keyCode === 13 && !event.defaultPrevented) field.value += "\\n";
    }
  }
  await turn();
  return { sent, prevented, left: field.value };
}
const plain = { key: "Enter", code: "Enter", keyCode: 13, isComposing: false };
const enter = (detail) => ["keydown", { ...plain, ...detail }];
const composed = (detail) => enter({ keyCode: 229, isComposing: true, ...detail });
const up = ["keyup", { key: "Enter", code: "Enter" }];
const task = ["next task"];
const start = ["compositionstart"];
const update = (data, value) => ["compositionupdate", { data, value }];
const end = (data, value) => ["compositionend", { data, value }];
const hangul = [start, update("ㅇ", "안녕하세ㅇ"), update("요", "안녕하세요")];
const kana = [start, update("とうきょう", "とうきょう"), update("東京", "東京")];
const pinyin = [start, update("ni hao", "ni hao")];
"""
HELLO = ["안녕하세요"]
ORDERS = {
    "chrome": ("[...hangul, composed(), end('요'), task, up]", HELLO),
    "chrome on windows": (
        "[...hangul, composed({key: 'Process'}), end('요'), task, up]",
        HELLO,
    ),
    "chrome on macos": (
        "[...hangul, composed(), end('요'), enter(), task, enter(), up]",
        HELLO,
    ),
    "firefox": (
        "[...hangul, composed(), end('요'), ['input'], up, task]",
        HELLO,
    ),
    "safari": ("[...hangul, end('요'), enter({keyCode: 229}), task, up]", HELLO),
    "safari, both orders at once": (
        "[...hangul, composed(), end('요'), enter({keyCode: 229}), task, up]",
        HELLO,
    ),
    "the field gets the syllable after compositionend": (
        "[...hangul, composed(), end('요', '안녕하세'), ['input', {value: '안녕하세요'}], up]",
        HELLO,
    ),
    "no composition": ("[['input', {value: '안녕하세요'}], enter(), up]", HELLO),
    "two messages": (
        "[...hangul, composed(), end('요'), up, task, ['input', {value: '또'}], enter(), up]",
        ["안녕하세요", "또"],
    ),
    "the key goes up before the task": (
        "[['input', {value: '하나'}], enter(), up, task, ['input', {value: '둘'}], enter(), up, task]",
        ["하나", "둘"],
    ),
    "a held key": (
        "[['input', {value: '하나'}], enter(), task, ['input', {value: '둘'}], enter(), enter(), task]",
        ["하나"],
    ),
    "the button while composing": ("[...hangul, ['click'], end('요'), task]", HELLO),
    "the button, no compositionend": ("[...hangul, ['click'], task, task]", HELLO),
}


def test_enter_sends_once_and_whole_in_the_event_orders_of_every_browser() -> None:
    cases = ", ".join(f"{json.dumps(name)}: {events}" for name, (events, _) in ORDERS.items())
    found = node(
        f"{KEYBOARD}const cases = {{{cases}}}; const all = {{}};"
        "for (const [name, events] of Object.entries(cases)) all[name] = (await play(events)).sent;"
        "give(all);"
    )
    assert found == {name: sent for name, (_, sent) in ORDERS.items()}


KEPT = {
    "japanese, chrome": "[...kana, composed(), end('東京'), task, up]",
    "japanese, safari": "[...kana, end('東京'), enter({keyCode: 229}), task, up]",
    "pinyin, chrome": "[...pinyin, composed(), end('ni hao'), task, up]",
    "hanja chosen in hangul": "[start, update('한', '한'), composed(), end('韓', '韓'), task, up]",
    "shift": "[...hangul, composed({shiftKey: true}), end('요'), task, up]",
    "escape after enter": ("[...hangul, composed(), ['keydown', {key: 'Escape'}], end('요'), task]"),
}


def test_enter_that_chooses_a_candidate_or_makes_a_line_never_sends() -> None:
    cases = ", ".join(f"{json.dumps(name)}: {events}" for name, events in KEPT.items())
    found = node(
        f"{KEYBOARD}const cases = {{{cases}}}; const all = {{}};"
        "for (const [name, events] of Object.entries(cases)) all[name] = (await play(events)).sent;"
        "give(all);"
    )
    assert found == {name: [] for name in KEPT}


def test_shift_and_touch_keyboards_make_new_lines_and_japanese_sends_with_the_next_enter() -> None:
    found = node(
        f"""{KEYBOARD}give([
        await play([['input', {{value: '하나'}}], enter({{shiftKey: true}}), up]),
        await play([['input', {{value: '하나'}}], enter(), up], true),
        await play([...kana, composed(), end('東京'), up, task, enter(), up])]);"""
    )
    assert [each["left"].startswith("하나\n") for each in found[:2]] == [True, True]
    assert [each["sent"] for each in found] == [[], [], ["東京"]]


def parsed(text: str) -> Any:
    """The tree of a Markdown text."""
    return node(f"give((await page('markdown.js')).parse({json.dumps(text)}));")


def test_markdown_blocks() -> None:
    text = "# 제목\n\n- 하나\n  - 안\n- 둘\n\n1. 가\n\n| 가 | 나 |\n|:-:|--:|\n| 1 | `a\\|b` |\n\n"
    text += "> 인용\n\n---\n```py\nx = 1\n```\n```\n열린"
    assert [block["type"] for block in parsed(text)] == [
        *["heading", "list", "list", "table", "quote", "rule", "code", "code"]
    ]
    head, first, second, table, _, _, code, still_open = parsed(text)
    assert (head["level"], head["inline"]) == (1, ["제목"])
    assert (len(first["items"]), first["items"][0][1]["type"], second["ordered"]) == (2, "list", True)
    assert table["align"] == ["center", "end"]
    assert table["rows"] == [[["1"], [{"type": "code", "text": "a|b"}]]]
    assert (code["language"], code["text"], code["open"], still_open["open"]) == (
        "py",
        "x = 1",
        False,
        True,
    )


MARKS: list[tuple[str, list[Any]]] = [
    ("**한국(Korea)**은", [{"type": "strong", "nodes": ["한국(Korea)"]}, "은"]),
    ("*가 **나** 다*", [{"type": "em", "nodes": ["가 ", {"type": "strong", "nodes": ["나"]}, " 다"]}]),
    ("snake_case_name 2 * 3 * 4", ["snake_case_name 2 * 3 * 4"]),
    ("**열린 `a` \\*", ["**열린 ", {"type": "code", "text": "a"}, " *"]),
    ("https://a.kr/b에서", [{"type": "link", "text": "", "href": "https://a.kr/b"}, "에서"]),
    ("[글](https://a.kr)", [{"type": "link", "text": "글", "href": "https://a.kr"}]),
    ("[글](javascript:alert(1))", ["[글](javascript:alert(1))"]),
    ("[글](JaVaScRiPt:x) [글](data:text/html,x)", ["[글](JaVaScRiPt:x) [글](data:text/html,x)"]),
    ("![곰](http://a.kr/x.png)", [{"type": "image", "text": "곰", "href": "http://a.kr/x.png"}]),
    ("<b>굵게</b> &lt;", ["<b>굵게</b> &lt;"]),
]


def test_markdown_marks() -> None:
    texts = json.dumps([text for text, _ in MARKS])
    found = node(
        f"const {{ parse }} = await page('markdown.js');give({texts}.map((text) => parse(text)[0].inline));"
    )
    assert found == [marks for _, marks in MARKS]


def test_hostile_markdown_ends_and_is_bounded_in_depth() -> None:
    """300,000 characters of each take far below a second; in quadratic time they would take the minute."""
    found = node(
        """const { parse } = await page("markdown.js");
        const depth = (it) => it instanceof Object ? 1 + Math.max(0, ...Object.values(it).map(depth)) : 0;
        const pieces = ["*a ", "**a", "[", "[a](", "![", "> ", "_a_", "|-", "- a\\n", "http://", "~~"];
        let deepest = 0;
        for (const piece of pieces) {
          parse(piece.repeat(300000 / piece.length));
          deepest = Math.max(deepest, depth(parse((piece.repeat(300) + "\\n").repeat(20))));
        }
        const wide = " ".repeat(300000);
        for (const text of ["```" + wide + "`", "#" + wide + "#x", wide + "|\\n-"]) parse(text);
        const nested = Array.from({ length: 400 }, (_, at) => " ".repeat(at * 2) + "- x").join("\\n");
        give(Math.max(deepest, depth(parse(nested))));"""
    )
    assert found < 120


def test_a_stream_may_be_cut_at_every_byte() -> None:
    found = node(
        """const { events } = await page("api.js");
        const text = ': beat\\n\\ndata: {"가":"각하"}\\n\\nevent: x\\r\\ndata: 한\\r\\ndata: 글\\r\\n\\r\\n'
          + 'data: [DONE]\\n\\ndata: half';
        const bytes = new TextEncoder().encode(text);
        const all = new Set();
        for (let size = 1; size <= bytes.length; size += 1) {
          let at = 0;
          const body = new ReadableStream({ pull(stream) {
            if (at >= bytes.length) return stream.close();
            stream.enqueue(bytes.slice(at, (at += size)));
          } });
          const found = [];
          for await (const data of events(body)) found.push(data);
          all.add(JSON.stringify(found));
        }
        give([...all].map((each) => JSON.parse(each)));"""
    )
    assert found == [['{"가":"각하"}', "한\n글", "[DONE]"]]


TALK = """
const talk = await page("conversation.js");
const one = talk.newConversation("짧게 답하세요.");
const question = talk.addQuestion(one, talk.ROOT, "첫 질문");
const reply = talk.addReply(one, question.id, [talk.newAnswer("가", true), talk.newAnswer("나", true)]);
const stats = { first: 0.1, seconds: 1, tokens: 3, rate: 2 };
Object.assign(reply.answers[0], { text: "가의 답", state: "done", stats });
Object.assign(reply.answers[1], { text: "나의 답", state: "cut", error: { kind: "cut", detail: "" } });
const second = talk.addQuestion(one, reply.id, "둘째 질문");
const last = talk.addReply(one, second.id, [talk.newAnswer("나", true)]);
const edited = talk.addQuestion(one, reply.id, "고친 질문");
"""


def test_branches_and_what_a_model_gets() -> None:
    found = node(
        TALK
        + """const before = talk.path(one).map(({ id }) => id);
        const shown = talk.choose(one, edited, -1);
        give({ branch: talk.branch(one, edited), shown: shown.text,
          path: talk.path(one).length, before: before.length,
          messages: talk.messages(one, last, "나").map(({ content }) => content), title: one.title });"""
    )
    assert found == {
        "branch": [2, 2],
        "shown": "둘째 질문",
        "path": 4,
        "before": 3,
        "messages": ["짧게 답하세요.", "첫 질문", "나의 답", "둘째 질문"],
        "title": "첫 질문",
    }


def test_a_file_comes_back_as_it_was_and_two_tabs_keep_both_branches() -> None:
    found = node(
        TALK
        + """last.answers[0].state = "done";
        const text = (it) => JSON.stringify(talk.toFile([it], {}).conversations);
        const [back] = talk.fromFile(JSON.stringify(talk.toFile([one], { ko: "AI" })));
        const same = text(back) === text(one);
        const other = structuredClone(one);
        talk.addReply(other, edited.id, [talk.newAnswer("가", true)]);
        talk.addQuestion(one, talk.ROOT, "여기의 가지");
        const merged = talk.merge(structuredClone(one), other);
        const sizes = [one, other, merged].map(({ nodes }) => nodes.size);
        give({ same, nodes: back.nodes.size, answers: back.nodes.get(reply.id).answers, sizes });"""
    )
    assert found["same"]
    assert found["nodes"] == 6
    assert [answer["text"] for answer in found["answers"]] == ["가의 답", "나의 답"]
    assert found["sizes"] == [7, 7, 8]


WRONG = {
    "JSON": "{",
    "format, version": '{"format": "other", "version": 1, "conversations": []}',
    "id": '{"format": "onnuri-chat", "version": 1, "conversations": [{"id": "__proto__"}]}',
    "conversations": '{"format": "onnuri-chat", "version": 1, "conversations": {}}',
}


def test_files_that_are_wrong_are_refused_with_the_field() -> None:
    found = node(
        f"const wrong = {json.dumps(WRONG)};"
        + TALK
        + """last.answers[0].state = "done";
        const spoil = (change) => {
          const file = JSON.parse(JSON.stringify(talk.toFile([one], {})));
          change(file.conversations[0]);
          try { talk.fromFile(JSON.stringify(file)); return null; } catch (error) { return error.message; }
        };
        const refused = Object.fromEntries(Object.entries(wrong).map(([name, text]) => {
          try { talk.fromFile(text); return [name, null]; } catch (error) { return [name, error.message]; }
        }));
        give({ refused, spoiled: [
          spoil((it) => (it.nodes[0].parent = it.nodes[3].id)), spoil((it) => (it.nodes[1].role = "user")),
          spoil((it) => (it.nodes[0].text = "a".repeat(2 ** 20 + 1))),
          spoil((it) => (it.nodes[1].answers = [])), spoil((it) => (it.nodes[1].answers[0].state = "<b>")),
          spoil((it) => (it.nodes[1].answers[0].stats.rate = "x")),
          spoil((it) => (it.nodes[2].id = "constructor ")), spoil((it) => (it.created = -1)),
          spoil((it) => it.nodes.push(it.nodes[0])), spoil((it) => (it.title = 3)), spoil(() => {})] });"""
    )
    assert found["refused"] == {name: name for name in WRONG}
    assert found["spoiled"] == [
        *[
            "nodes.parent",
            "nodes.role",
            "text",
            "answers",
            "state",
            "stats",
            "nodes.id",
            "created",
            "nodes.parent",
            "title",
        ],
        None,
    ]


def test_sentences_end_where_a_reader_pauses() -> None:
    text = '값은 3.14입니다. "맞나요?" 네\n다음'
    found = node(f"give((await page('speech.js')).finished({json.dumps(text)}, 0));")
    assert text[:found] == '값은 3.14입니다. "맞나요?" 네\n'


def test_every_word_of_the_interface_is_there_in_both_languages() -> None:
    words = node("give((await page('text.js')).TEXT);")
    sources = {
        path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir() if path.name != "text.js"
    }
    everything = "\n".join(sources.values())
    marked = set(re.findall(r'data-t(?:-label|-hint)?="(\w+)"', sources["index.html"]))
    used = set(re.findall(r'\bt\("(\w+)"', everything))
    assert marked | used <= words.keys()
    for name, (korean, english) in words.items():
        assert korean and english
        assert re.findall(r"\{\w+\}", korean) == re.findall(r"\{\w+\}", english) or name in (
            "branch",
            "baseNotice",
        )
        assert not re.search("[가-힣]", english)
        assert name in marked or name.startswith("error_") or re.search(rf"[\"`]{name}[\"`]", everything), (
            name
        )


def test_the_page_is_small_and_makes_no_html_of_text() -> None:
    files = list(PAGE.iterdir())
    assert sum(path.stat().st_size for path in files) < 100_000
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text
    )
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son\w+=|<script>|<style|(src|href)=\"(https?:)?//", html)
