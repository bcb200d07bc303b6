"""What huggingface_hub sends when it uploads a file by xet: for benchmarks/hub.py."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def recorded(hub: int, port: int, token: str, content: bytes) -> list[tuple[str, bytes]]:
    """Xorbs and shards, with their addresses below casUrl, that huggingface_hub sends for a file."""
    sent: list[tuple[str, bytes]] = []

    class Recorder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _pass(self) -> None:
            body, found = self._body(), re.fullmatch(r"/cas/\w+/\d+(/v1/(?:xorbs|shards).*)", self.path)
            if self.command == "POST" and found:
                sent.append((found[1], body))
            left = {"transfer-encoding", "content-length", "connection"}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in left}
            upstream = http.client.HTTPConnection("127.0.0.1", hub, timeout=300)
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in left:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        do_GET = do_POST = do_PUT = do_HEAD = _pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "import sys; from huggingface_hub import HfApi; api = HfApi(); api.create_repo('kim/recorded'); "
        "api.upload_file(path_or_fileobj=sys.argv[1], path_in_repo='model.gguf', repo_id='kim/recorded')"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{port}",
            "HF_TOKEN": token,
            "HF_HOME": folder,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        subprocess.run([sys.executable, "-c", code, path], env=environment, check=True)
    server.shutdown()
    return sorted(sent, key=lambda each: each[0].startswith("/v1/shards"))
