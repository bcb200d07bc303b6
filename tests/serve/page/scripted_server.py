"""A server for the chat page that answers from a script: the protocol is real, the model is not there."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import onnuri

PAGE = Path(onnuri.__file__).parent / "serve" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css"}


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    message: str
    retry_after: int | None = None


class Cut:
    """The connection ends here, in the middle of an answer."""


Step = str | bytes | threading.Event | Cut
"""A delta; raw bytes of the stream; wait until a test sets the event; the end of the connection."""


@dataclass
class Script:
    """What the server has, and what it answers to a question."""

    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "onnuri-chat", "chat": True}])
    key: str = ""
    answers: dict[str, list[Step] | Refusal] = field(default_factory=dict)
    finish: str = "stop"
    mark: bool = False


class Handler(BaseHTTPRequestHandler):
    """Serves the page's folder and streams what the script says."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """A file of the page, what the page asks first, or nothing."""
        self.server.seen.append((self.path, {}))
        name = self.path.partition("?")[0].removeprefix("/") or "index.html"
        script = self.server.script
        if name == "page/info":
            notice = {
                "ko": "AI가 만든 글입니다. 틀릴 수 있습니다.",
                "en": "Text is made by AI. It may be wrong.",
            }
            self.give(
                200,
                {
                    "models": script.models,
                    "key_needed": bool(script.key),
                    "notice": notice,
                    "mark": script.mark,
                },
            )
        elif "/" not in name and (PAGE / name).is_file():
            self.give(200, (PAGE / name).read_bytes(), TYPES[Path(name).suffix])
        else:
            self.give(404, {"error": {"message": f"no {name}"}})

    def do_POST(self) -> None:
        """An answer, or a report of the browser about the policy."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body))
        script = self.server.script
        if self.path == "/policy-report":
            self.give(200, {})
            return
        if script.key and self.headers.get("Authorization") != f"Bearer {script.key}":
            self.give(401, {"error": {"message": "no valid API key"}})
            return
        chat = self.path == "/v1/chat/completions"
        asked = body["messages"][-1]["content"] if chat else body["prompt"]
        steps = script.answers.get(asked, [f"{asked}라고 하셨군요."])
        if isinstance(steps, Refusal):
            wait = {"Retry-After": str(steps.retry_after)} if steps.retry_after else {}
            self.give(steps.status, {"error": {"message": steps.message}}, headers=wait)
            return
        self.stream(steps, chat)

    def give(self, status: int, body: Any, kind: str = "application/json", headers: Any = None) -> None:
        """One whole response."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        policy = f"{POLICY}; report-uri /policy-report"
        fixed = {"Content-Type": kind, "Content-Length": len(data), "Content-Security-Policy": policy}
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, steps: list[Step], chat: bool) -> None:
        """Server-sent events, in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if chat:
            self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for step in steps:
            if isinstance(step, threading.Event):
                assert step.wait(30)
            elif isinstance(step, bytes):
                self.chunk(step)
            elif isinstance(step, Cut):
                self.close_connection = True
                return
            else:
                self.event(
                    {
                        "choices": [
                            {"index": 0, **({"delta": {"content": step}} if chat else {"text": step})}
                        ]
                    }
                )
        last = {
            "index": 0,
            "finish_reason": self.server.script.finish,
            **({"delta": {}} if chat else {"text": ""}),
        }
        self.event({"choices": [last]})
        self.event({"choices": [], "usage": {"completion_tokens": len(steps)}})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, data: dict[str, Any]) -> None:
        """One event."""
        self.chunk(f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        """One chunk; a browser that went away is no error."""
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        except (BrokenPipeError, ConnectionResetError):
            self.server.left.set()
            self.close_connection = True


class ScriptedServer(ThreadingHTTPServer):
    """On a free port of this machine. `seen` has path and body of every request."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.script = Script()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.left = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error."""

    def asked(self) -> list[dict[str, Any]]:
        """The requests for answers."""
        return [body for path, body in self.seen if path.startswith("/v1/")]
