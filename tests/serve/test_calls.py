"""Calls and stop strings in a text that comes in pieces: how it is cut changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.chat.format import turns
from onnuri.serve.api.tools import BEGIN, END, Call, CallReader
from onnuri.serve.held import Held


def call(name: str, arguments: str) -> str:
    return f'{BEGIN}\n{{"name": "{name}", "arguments": {arguments}}}\n{END}'


def read(pieces: list[str]) -> tuple[str, list[Call]]:
    reader = CallReader(["날씨", "now"])
    found: list[Any] = [each for piece in pieces for each in reader.push(piece)]
    found.append(reader.finish())
    calls = [each for each in found if isinstance(each, Call)]
    return "".join(each for each in found if isinstance(each, str)), calls


def cut(text: str, ends_at: list[int]) -> list[str]:
    ends = sorted({min(end_at, len(text)) for end_at in ends_at} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


INSIDE = '{"글": "끝 </tool_call> 아님", "수": [1, 2]}'
TEXTS: list[tuple[str, str, list[Call]]] = [
    (f"말 하고\n{call('날씨', INSIDE)}", "말 하고", [Call("날씨", INSIDE)]),
    (f"{call('now', '{}')}\n{call('날씨', '{}')}\n", "", [Call("now", "{}"), Call("날씨", "{}")]),
    (f"앞{call('now', '{}')}\n뒤", "앞\n뒤", [Call("now", "{}")]),
    (f"말 {call('모르는', '{}')}", f"말 {call('모르는', '{}')}", []),
    (f"말 {call('now', '[]')} 끝", f"말 {call('now', '[]')} 끝", []),
    (f"말 {BEGIN}\n{{'now'", f"말 {BEGIN}\n{{'now'", []),
    ("꺾쇠 <tool_cal> 과 <\n", "꺾쇠 <tool_cal> 과 <\n", []),
]


@pytest.mark.parametrize(("text", "shown", "calls"), TEXTS)
def test_calls_in_texts(text: str, shown: str, calls: list[Call]) -> None:
    assert read([text]) == (shown, calls)
    assert read([*text]) == (shown, calls)


@given(st.sampled_from(TEXTS), st.lists(st.integers(0, 90), max_size=12))
def test_calls_however_cut(case: tuple[str, str, list[Call]], ends_at: list[int]) -> None:
    text, shown, calls = case
    assert read(cut(text, ends_at)) == (shown, calls)


def test_what_the_template_writes_is_read_back() -> None:
    asked = [Call("날씨", '{"도시": "서울"}'), Call("now", "{}")]
    made = [{"function": {"name": each.name, "arguments": each.arguments}} for each in asked]
    ((_, text),) = turns([{"role": "assistant", "content": "잠시만요", "tool_calls": made}])
    assert read([text]) == ("잠시만요", asked)


@given(
    st.text("ab가", max_size=30),
    st.lists(st.text("ab가", min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.integers(0, 30), max_size=8),
)
def test_the_first_stop_however_cut(text: str, marks: list[str], ends_at: list[int]) -> None:
    """Of a text by the character: all before the first mark that is complete."""
    held, shown = Held(marks), ""
    for piece in cut(text, [*range(len(text))]):
        before, mark, _ = held.push(piece)
        shown += before
        if mark:
            break
    else:
        shown += held.finish()
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(mark) for mark in marks)]
    if ends:
        longest = max(len(mark) for mark in marks if text[: ends[0]].endswith(mark))
        assert shown == text[: ends[0] - longest]
    else:
        assert shown == text
    assert not any(mark in shown for mark in marks)
    other, pieces = Held(marks), []
    for piece in cut(text, ends_at):
        before, mark, _ = other.push(piece)
        pieces.append(before)
        if mark:
            break
    assert not any(mark in "".join(pieces) for mark in marks), "nothing of a stop is shown, however cut"
