"""Hostile and impatient clients: whatever they send or do, the server answers them and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

pytest.importorskip("uvicorn")
from tests.serve.serving import Client, Server, content, conversation, running, wait_until

pytestmark = pytest.mark.extra("serve")
CHAT = "/v1/chat/completions"
ROUTES = (CHAT, "/v1/completions", "/v1/responses", "/tokenize", "/detokenize")
SOAK = bool(os.environ.get("ONNURI_SOAK"))


@pytest.fixture(scope="module")
def narrow(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One text at a time, 31 that wait, small bodies."""
    words = ["slots=1", "queue=31", "max_body_bytes=20000", "body_seconds=0.5", "heartbeat_seconds=0.05"]
    folder = tmp_path_factory.mktemp("narrow")
    with running(folder, f"model={folders / 'chat'}", *words) as server:
        yield server


def gauge(server: Server, name: str) -> float:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "messages prompt input tools tool_choice stop logit_bias response_format structured_outputs "
    "stream_options text tokens n seed temperature top_p logprobs top_logprobs echo stream instructions"
)
VALID = {
    CHAT: {"model": "chat", **conversation(max_tokens=1)},
    "/v1/completions": {"model": "chat", "prompt": "가", "max_tokens": 1},
    "/v1/responses": {"model": "chat", "input": "가", "max_output_tokens": 1},
    "/tokenize": {"model": "chat", "prompt": "가"},
    "/detokenize": {"model": "chat", "tokens": [1]},
}


@settings(
    max_examples=1000 if SOAK else 120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(FIELDS.split()), JSON, min_size=1, max_size=2)
)
def test_malformed_fields(client: Client, route: str, wrong: dict[str, Any]) -> None:
    answer = client.post(route, json={**VALID[route], **wrong})
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error["message"] and len(error["message"]) < 1000


@settings(max_examples=100 if not SOAK else 1000, deadline=None)
@given(st.sampled_from(ROUTES), st.binary(max_size=40))
def test_malformed_bodies(client: Client, route: str, body: bytes) -> None:
    answer = client.post(route, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500 and answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"model": "chat", "seed": ' + b"9" * 5000 + b"}",
        b'{"model": "chat", "temperature": NaN}',
        b'{"model": "chat", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "chat\\udfff"}',
        b"\xff\xfe",
        b"null",
    ],
    ids=["objects", "lists", "digits", "nan", "surrogate", "name", "utf-16", "null"],
)
def test_bodies_that_are_no_request(client: Client, body: bytes) -> None:
    for route in (CHAT, "/v1/completions"):
        answer = client.post(route, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_other_types_are_refused(client: Client) -> None:
    """A form of a web page elsewhere can send text/plain without asking."""
    assert client.post(CHAT, content=b"{}").status_code == 415
    assert client.post(CHAT, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post(CHAT, content=b"x", headers=headers).status_code == 415


def test_pages_of_other_names_are_refused(client: Client) -> None:
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"host": "localhost:9"}).status_code == 200
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert client.get("/v1/models", headers={"origin": own}).status_code == 200


def raw(server: Server, head: str, body: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    lines = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{head}\r\n"
    connection.sendall(lines.encode() + body)
    return connection


def test_a_large_body_is_refused_early(narrow: Server) -> None:
    """Before it comes if it says how large it is, else as soon as it is too large; a slow one in time."""
    with raw(narrow, "content-length: 104857600\r\n") as connection:
        assert b" 413 " in connection.recv(100)
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    with raw(narrow, "transfer-encoding: chunked\r\n", chunk * 3) as connection:
        assert b" 413 " in connection.recv(100)
    with raw(narrow, "content-length: 100\r\n", b"{") as connection:
        assert b" 408 " in connection.recv(100)
    with raw(narrow, "x: " + "y" * 200_000 + "\r\n") as connection:
        assert b" 4" in connection.recv(100)


def long_text(**options: Any) -> dict[str, Any]:
    """Of 900 tokens that end at no stop."""
    body = conversation(max_tokens=900, stream=True, structured_outputs={"regex": "[가-힣]{900}"})
    return {"model": "chat", **body, **options}


def test_a_client_that_leaves_frees_its_slot(narrow: Server) -> None:
    with narrow.client() as client:
        for _ in range(5):
            with client.stream("POST", CHAT, json=long_text()) as answer:
                assert next(answer.iter_lines()).startswith("data: ")
        wait_until(lambda: gauge(narrow, "onnuri_texts") == 0, "the slots are free")
        assert content(client.chat(max_tokens=2)), "the next one gets it"
        body = json.dumps(long_text(stream=False)).encode()
        raw(narrow, f"content-length: {len(body)}\r\n", body).close()
        wait_until(lambda: gauge(narrow, "onnuri_texts") == 0, "of an answer that is no stream too")
    assert gauge(narrow, 'onnuri_requests_total{route="/v1/chat/completions",status="499"') == 6


def test_a_full_queue_says_when_to_come_again(narrow: Server) -> None:
    with narrow.client() as client, narrow.client() as other, narrow.client() as third:
        with client.stream("POST", CHAT, json=long_text(n=16)) as first:
            begun = first.iter_lines()
            assert next(begun).startswith("data: ")
            with other.stream("POST", CHAT, json=long_text()) as second:
                lines = second.iter_lines()
                assert any(line == ": waiting" for line in lines), "a heartbeat while it waits for its slot"
                answer = third.post(CHAT, json={"model": "chat", **conversation(n=16)})
                assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
                assert answer.json()["error"]["code"] == "overloaded"
        wait_until(lambda: gauge(narrow, "onnuri_texts") == 0, "the slots are free")
        assert content(third.chat())


@pytest.fixture(scope="module")
def failing(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Answers have 0.3 seconds; one of two models is broken."""
    folder = tmp_path_factory.mktemp("failing")
    broken = shutil.copytree(folders / "chat", folder / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    words = (f"model={folders / 'chat'}", f"models=[{broken}]", "request_seconds=0.3", "slots=1")
    with running(folder, *words) as server:
        yield server


def test_an_answer_that_takes_too_long_is_cut_off(failing: Server) -> None:
    with failing.client() as client:
        assert client.refused(CHAT, 504, **long_text(n=16, stream=False))["code"] == "timeout"
        with client.stream("POST", CHAT, json=long_text(n=16)) as answer:
            events = [line for line in answer.iter_lines() if line]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "timeout"
        wait_until(lambda: gauge(failing, "onnuri_texts") == 0, "its slots are free")


def test_a_model_that_fails_ends_its_texts_only(failing: Server) -> None:
    with failing.client() as client:
        for _ in range(2):
            assert client.refused(CHAT, 500, **conversation(model="broken"))["code"] == "model_failed"
        with client.stream("POST", CHAT, json={**long_text(), "model": "broken"}) as answer:
            events = [line for line in answer.iter_lines() if line]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "model_failed"
        assert content(client.chat(max_tokens=2))
    assert gauge(failing, 'onnuri_model_failures_total{model="broken"}') == 3


def test_many_clients_vanish(plain: Server) -> None:
    """While others get the answers that they get alone."""
    with plain.client() as client:
        alone = content(client.chat("안녕", max_tokens=30))
        found: list[str] = []

        def leave() -> None:
            with plain.client() as leaver, leaver.stream("POST", CHAT, json=long_text()) as answer:
                next(answer.iter_lines())

        threads = [threading.Thread(target=leave) for _ in range(200 if SOAK else 12)]
        for thread in threads:
            thread.start()
            found.append(content(client.chat("안녕", max_tokens=30)))
        for thread in threads:
            thread.join()
        assert found == [alone] * len(threads)
    wait_until(lambda: gauge(plain, "onnuri_texts") == 0, "every slot is free")
    memory = psutil.Process(plain.process.pid).memory_info().rss
    assert memory < 4 << 30


def test_signals(folders: Path, tmp_path: Path) -> None:
    """SIGHUP reads the model anew without a break in a stream, SIGTERM lets it end."""
    model = shutil.copytree(folders / "chat", tmp_path / "model")
    with running(tmp_path, f"model={model}", "name=chat") as server, server.client() as client:
        body = long_text(max_tokens=400, structured_outputs={"regex": "[가-힣]{100}"})
        expected = [c["delta"].get("content") for e in client.events(CHAT, **body) for c in e["choices"]]
        with client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "was read anew" in server.printed(), "the model is read anew")
            server.process.send_signal(signal.SIGTERM)
            events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        found = [c["delta"].get("content") for e in events for c in e["choices"]]
        assert found == expected[1:] and len("".join(filter(None, found))) == 100
        assert server.process.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_broken_model_is_not_taken(folders: Path, tmp_path: Path) -> None:
    model = shutil.copytree(folders / "chat", tmp_path / "model")
    with running(tmp_path, f"model={model}", "name=chat") as server, server.client() as client:
        before = content(client.chat())
        (model / "config.json").write_text("{")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "model chat stays as it is" in server.printed(), "the folder is refused")
        assert content(client.chat()) == before
        assert server.stop() == 0
