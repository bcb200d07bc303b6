"""Servers of tiny random models, started as a user starts them, and what a client does with them."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests import processes
from tests.conftest import SCRIPTS

CONTEXT = 1024


def validate(value: Any, schema: Any) -> None:
    """Raise jsonschema.ValidationError for a value that does not keep to a JSON schema."""
    import jsonschema  # which takes a second: it builds grammars

    jsonschema.validate(value, schema)


class Server:
    """`onnuri serve` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / f"server-{time.monotonic_ns()}.log"
        command = [sys.executable, str(SCRIPTS / "serve.py"), "port=0", *words]
        with self.log.open("wb") as stream:
            self.process = processes.Process(command, stream, stream)
        deadline = time.monotonic() + 120
        while not (found := re.search(r"at (https?)://\S+?:(\d+)\n", self.printed())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed()
            time.sleep(0.02)
        self.port = int(found[2])
        self.url = f"{found[1]}://127.0.0.1:{self.port}"

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def client(self, key: str = "") -> Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return Client(base_url=self.url, headers=headers, timeout=60)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(15)
        return self.process.wait(60)


class Client(httpx.Client):
    """Requests, and what is in their answers."""

    def ask(self, route: str, **body: Any) -> Any:
        """The JSON of an answer with status 200."""
        answer = self.post(route, json={"model": "chat", **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, route: str, status: int = 400, **body: Any) -> dict[str, Any]:
        """The error of an answer with another status."""
        answer = self.post(route, json={"model": "chat", **body})
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert sorted(error) == ["code", "message", "param", "type"] and error["message"], error
        return dict(error)

    def chat(self, text: str = "안녕", **options: Any) -> Any:
        """A chat completion, greedy by default."""
        return self.ask("/v1/chat/completions", **conversation(text, **options))

    def events(self, route: str, **body: Any) -> list[Any]:
        """The events of a stream that ends as it should."""
        found = []
        with self.stream("POST", route, json={"model": "chat", **body, "stream": True}) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    found.append(line.removeprefix("data: "))
        if "responses" not in route:
            assert found.pop() == "[DONE]"
        return [json.loads(each) for each in found]


def conversation(text: str = "안녕", **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 12, **options}


def content(answer: Any) -> Any:
    """Of the first choice of a chat completion."""
    return answer["choices"][0]["message"]["content"]


def joined(events: Sequence[Any], index: int = 0) -> str:
    """The content of a choice of a stream."""
    deltas = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(delta["delta"].get("content") or "" for delta in deltas)


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Raises AssertionError if it is not so within 30 seconds."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Server]:
    server = Server(folder, *words)
    try:
        yield server
    finally:
        server.process.kill()
