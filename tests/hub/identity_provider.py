"""An OpenID Connect provider over HTTP on this machine: it checks what a client sends as a real one must,
and misbehaves where a test asks."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import RSAKey

CLIENT, SECRET = "onnuri-hub", "secret of the hub"


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class IdentityProvider:
    """`claims` of the person who signs in next; `header`, `key`: how the ID token is signed."""

    def __init__(self) -> None:
        parameters: Any = {"kid": "one", "use": "sig"}
        self.own_key = RSAKey.generate_key(2048, parameters)
        self.foreign_key = RSAKey.generate_key(2048, parameters)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                provider.post(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.be()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def be(
        self, *, foreign: bool = False, unsigned: bool = False, down: bool = False, **claims: Any
    ) -> None:
        """Who signs in next, and what is wrong with it."""
        self.claims, self.foreign, self.unsigned, self.down = claims, foreign, unsigned, down

    def send(self, request: BaseHTTPRequestHandler, status: int, value: Any, **headers: str) -> None:
        content = json.dumps(value).encode()
        request.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, text)
        request.end_headers()
        request.wfile.write(content)

    def get(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        self.asked.append(url.path)
        if url.path == "/.well-known/openid-configuration":
            self.send(request, 200, self.document)
        elif url.path == "/keys":
            self.send(request, 200, {"keys": [self.own_key.as_dict(private=False)]})
        elif url.path == "/authorize":
            words = {name: values[0] for name, values in parse_qs(url.query).items()}
            good = (
                words["client_id"] == CLIENT
                and words["response_type"] == "code"
                and "openid" in words["scope"].split()
                and words["code_challenge_method"] == "S256"
            )
            code = secrets.token_hex(8)
            self.codes[code] = words
            query = urlencode({"code": code, "state": words["state"], "iss": self.issuer})
            self.send(request, 302 if good else 400, {}, Location=f"{words['redirect_uri']}?{query}")
        else:
            self.send(request, 404, {})

    def post(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        body = request.rfile.read(int(request.headers["content-length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        words = self.codes.pop(fields.get("code", ""), None)
        if self.down:
            self.send(request, 503, {})
            return
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        if (
            words is None
            or request.headers["authorization"] != f"Basic {basic}"
            or fields["redirect_uri"] != words["redirect_uri"]
            or fields["grant_type"] != "authorization_code"
            or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != words["code_challenge"]
        ):
            self.send(request, 400, {"error": "invalid_grant"})
            return
        self.send(
            request, 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(words)}
        )

    def token(self, words: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": words["nonce"],
            **self.claims,
        }
        if self.unsigned:
            return f"{_encode({'alg': 'none'})}.{_encode(claims)}."
        key = self.foreign_key if self.foreign else self.own_key
        return jws.serialize_compact({"alg": "RS256", "kid": "one"}, json.dumps(claims), key)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    try:
        yield provider
    finally:
        provider.close()
