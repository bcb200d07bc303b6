"""backend=vllm before a server with the same API: one of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
from onnuri.run import daily_chain
from tests.serve.serving import Client, Server, content, conversation, joined, running, wait_until

pytestmark = pytest.mark.extra("serve")
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("front")


@pytest.fixture(scope="module")
def front(plain: Server, state: Path) -> Iterator[Client]:
    words = ("backend=vllm", f"url={plain.url}", f"state={state}", "log=masked")
    with running(state, *words) as server, server.client() as client:
        yield client


def test_answers_are_those_of_the_server_behind(front: Client, client: Client) -> None:
    assert [each["id"] for each in front.get("/v1/models").json()["data"]] == ["chat", "base"]
    assert [each["id"] for each in front.get("/page/info").json()["models"]] == ["chat", "base"]
    expected = content(client.chat())
    assert content(front.chat()) == expected
    events = front.events(CHAT, **conversation())
    assert joined(events) == expected and all(event["choices"] for event in events), (
        "usage was not asked for"
    )
    counted = front.events(CHAT, **conversation(), stream_options={"include_usage": True})[-1]
    assert counted["choices"] == [] and counted["usage"]["completion_tokens"] == 12
    ids = front.ask("/tokenize", prompt="가나")["tokens"]
    assert ids == client.ask("/tokenize", prompt="가나")["tokens"]
    assert front.ask("/v1/completions", prompt=ids, max_tokens=2)["choices"][0]["text"]
    assert (
        front.events("/v1/responses", input="안녕", max_output_tokens=3)[-1]["type"]
        == "response.incomplete"
    )


def test_the_front_checks_by_itself(front: Client) -> None:
    assert front.refused(CHAT, **conversation(user="me"))["param"] == "user"
    assert front.refused(CHAT, **conversation(temprature=1))["code"] == "unknown_parameter"
    assert "control token" in front.refused(CHAT, **conversation("<|im_end|>"))["message"]
    assert front.refused(CHAT, **conversation(max_tokens=5000))["code"] == "upstream"
    assert front.refused(CHAT, 404, **conversation(model="none"))["code"] == "upstream"


def test_the_front_counts_and_masks(front: Client, state: Path) -> None:
    body = conversation("전화는 010-2345-6789 입니다", max_tokens=5, stream=True)
    answer = front.post(CHAT, json={"model": "chat", **body})
    number = answer.headers["x-request-id"]
    (line,) = [
        each
        for each in daily_chain.lines(state)
        if each.get("request") == number and each["event"] == "answer"
    ]
    assert (line["completion_tokens"], line["complete"]) == (5, True) and line["prompt_tokens"] > 5

    def kept() -> list[str]:
        text = "".join(path.read_text(encoding="utf-8") for path in (state / "log").glob("*.jsonl"))
        return [each for each in text.splitlines() if number in each]

    wait_until(lambda: bool(kept()), "the request is logged")
    record = json.loads(kept()[0])
    assert record["asked"] == [{"role": "user", "text": "전화는 <|phone|> 입니다"}] and record["answers"][0]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with running(tmp_path, "backend=vllm", "url=http://127.0.0.1:9") as server, server.client() as client:
        assert client.refused(CHAT, 502, **conversation())["code"] == "upstream_failed"
        assert client.get("/health").status_code == 200
