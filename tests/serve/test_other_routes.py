"""/v1/completions, as lm-eval asks it, and /v1/responses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

pytest.importorskip("uvicorn")
from tests.conftest import REPOSITORY
from tests.serve.serving import CONTEXT, Client, Server
from tests.serve.test_chat_route import WEATHER

pytestmark = pytest.mark.extra("serve")
COMPLETIONS, RESPONSES = "/v1/completions", "/v1/responses"
TEXT = "대한민국의 수도는 서울이다."


def ids_of(client: Client, text: str) -> list[int]:
    return list(client.ask("/tokenize", prompt=text, add_special_tokens=False)["tokens"])


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_echoed_logprobs_are_those_of_the_model(client: Client, folders: Path, max_tokens: int) -> None:
    """What lm-eval's local-completions sums up."""
    first = client.ask("/tokenize", prompt="")["tokens"][0]
    ids = ids_of(client, TEXT)
    theirs = AutoModelForCausalLM.from_pretrained(folders / "chat", dtype=torch.float32).eval()
    with torch.inference_mode():
        table = theirs(torch.tensor([[first, *ids]])).logits[0].log_softmax(-1)
    expected = [float(table[at, token]) for at, token in enumerate(ids)]
    options: dict[str, Any] = {"echo": True, "logprobs": 2, "max_tokens": max_tokens, "temperature": 0}
    answer = client.ask(COMPLETIONS, prompt=[TEXT, [first, *ids]], **options)
    by_text, by_ids = answer["choices"]
    assert by_text["text"].startswith(TEXT) and by_ids["text"] == "<|endoftext|>" + by_text["text"]
    scores, padded = by_text["logprobs"], by_ids["logprobs"]
    assert padded["token_logprobs"][0] is None and padded["top_logprobs"][0] is None
    for name in ("tokens", "token_logprobs", "top_logprobs"):
        assert len(padded[name]) == len(scores[name]) + 1 == len(ids) + 1 + max_tokens
    assert padded["token_logprobs"][1:] == pytest.approx(scores["token_logprobs"], abs=1e-4)
    assert scores["token_logprobs"][: len(ids)] == pytest.approx(expected, abs=1e-4)
    for row, top in enumerate(scores["top_logprobs"]):
        assert len(top) == 2 and max(top.values()) == pytest.approx(float(table[row].max()), abs=1e-4)
    assert [at + 13 for at in scores["text_offset"]] == padded["text_offset"][1:]
    for at, token in zip(scores["text_offset"], scores["tokens"], strict=True):
        assert token.startswith("bytes:") or by_text["text"][at:].startswith(token)
    assert by_text["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2 * max_tokens


def test_completions_continue(client: Client) -> None:
    one = client.ask(COMPLETIONS, prompt=TEXT, temperature=0, max_tokens=9)["choices"][0]
    assert one["finish_reason"] == "length" and one["text"]
    ids = [client.ask("/tokenize", prompt="")["tokens"][0], *ids_of(client, TEXT)]
    many = client.ask(COMPLETIONS, prompt=[ids, ids], temperature=0, max_tokens=9, n=2)["choices"]
    assert [each["text"] for each in many] == [one["text"]] * 4
    assert [each["index"] for each in many] == [0, 1, 2, 3]
    events = client.events(COMPLETIONS, prompt=TEXT, temperature=0, max_tokens=9, echo=True)
    assert "".join(c["text"] for event in events for c in event["choices"]) == TEXT + one["text"]
    default = client.ask(COMPLETIONS, prompt=TEXT, temperature=0)
    assert default["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suffix", "끝"),
        ("best_of", 2),
        ("user", "me"),
        ("prompt", []),
        ("prompt", [[]]),
        ("prompt", [1.5]),
        ("prompt", [10**6]),
        ("prompt", "긴 말 " * 800),
        ("max_tokens", 0),
        ("logprobs", 21),
        ("logprobs", True),
        ("messages", []),
    ],
)
def test_refused_fields_of_completions(client: Client, name: str, value: Any) -> None:
    error = client.refused(COMPLETIONS, **{"prompt": TEXT, name: value})
    assert str(error["param"]).partition("[")[0] == name


def test_a_response_and_its_events(client: Client) -> None:
    options = {"input": "안녕", "instructions": "짧게.", "temperature": 0, "max_output_tokens": 12}
    whole = client.ask(RESPONSES, **options)
    (message,) = whole["output"]
    assert (whole["status"], message["status"]) == ("incomplete", "incomplete")
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}
    assert whole["usage"]["output_tokens"] == 12 and whole["store"] is False
    events = client.events(RESPONSES, **options)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    kinds = [event["type"] for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert (
        text == message["content"][0]["text"] == events[-1]["response"]["output"][0]["content"][0]["text"]
    )
    parts = [{"role": "user", "content": [{"type": "input_text", "text": "안녕"}]}]
    again = client.ask(RESPONSES, **{**options, "input": parts})
    assert again["output"][0]["content"] == message["content"]


def test_responses_with_tools(client: Client) -> None:
    tool = {"type": "function", "strict": True, **WEATHER["function"]}
    options = {
        "input": "서울 날씨",
        "tools": [tool],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    whole = client.ask(RESPONSES, **options, seed=1)
    (call,) = whole["output"]
    assert (whole["status"], call["type"], call["name"]) == ("completed", "function_call", "날씨")
    assert json.loads(call["arguments"])["도시"] in ("서울", "부산")
    events = client.events(RESPONSES, **options, seed=1)
    (done,) = [e for e in events if e["type"] == "response.function_call_arguments.done"]
    assert done["arguments"] == call["arguments"] and events[-1]["type"] == "response.completed"
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "맑음"}
    history = [{"role": "user", "content": "서울 날씨"}, call, result]
    assert client.ask(RESPONSES, input=history, max_output_tokens=3)["output"]
    assert "input" in client.refused(RESPONSES, input=[history[0], result])["param"]


def test_responses_follow_a_schema(client: Client) -> None:
    schema = {"type": "object", "properties": {"답": {"enum": ["예", "아니요"]}}, "required": ["답"]}
    form = {"type": "json_schema", "name": "답", "schema": {**schema, "additionalProperties": False}}
    whole = client.ask(RESPONSES, input="?", text={"format": form}, max_output_tokens=40)
    assert json.loads(whole["output"][0]["content"][0]["text"])["답"] in ("예", "아니요")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", True),
        ("previous_response_id", "resp_1"),
        ("background", True),
        ("reasoning", {"effort": "high"}),
        ("include", ["message.output_text.logprobs"]),
        ("tools", [{"type": "web_search"}]),
        ("truncation", "auto"),
        ("input", [{"type": "item_reference", "id": "x"}]),
        ("input", []),
        ("max_output_tokens", CONTEXT),
        ("stop", "x"),
    ],
)
def test_refused_fields_of_responses(client: Client, name: str, value: Any) -> None:
    error = client.refused(RESPONSES, **{"input": "안녕", name: value})
    assert str(error["param"]).partition("[")[0].partition(".")[0].replace("max_tokens", name) == name


def test_the_load_script_reports_times_and_errors(plain: Server) -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "serving.py"), "--url", plain.url]
    command += ["--clients", "3", "--requests", "6", "--words", "5", "--tokens", "8"]
    options: Any = {"capture_output": True, "text": True, "timeout": 120}
    good = subprocess.run([*command, "--model", "chat"], check=False, **options)
    assert good.returncode == 0 and re.match(r"6 requests in [\d.]+ s, 0 failed\n", good.stdout), good
    assert re.search(r"^tokens written [1-9]", good.stdout, re.M) and "nan" not in good.stdout
    bad = subprocess.run([*command, "--model", "base"], check=False, **options)
    assert bad.returncode == 1 and "6 failed\n  6 x status 400\n" in bad.stdout, bad
