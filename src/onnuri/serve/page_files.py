"""The chat page: files of a folder, and nothing that they could fetch from elsewhere."""

from __future__ import annotations

from pathlib import Path

from onnuri.serve.errors import ApiError
from onnuri.serve.exchange import Exchange

FOLDER = Path(__file__).with_name("page")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-cache",
}
BARE = (
    "<!doctype html><html lang=ko><meta charset=utf-8><title>Onnuri</title>"
    "<p>온누리 서버 · an OpenAI-compatible API at <code>/v1</code>\n"
).encode()
NO_ROUTE = "there is nothing at this address; clients of the API need http://HOST:PORT/v1 as base URL"
NOTICE = {
    "ko": "이 글은 인공지능이 만든 것입니다. 틀릴 수 있으니 확인하고 쓰십시오.",
    "en": "This text is made by AI. It can be wrong: check it before you use it.",
}


def page_files() -> dict[str, tuple[bytes, str]]:
    """Content and type by path below /. They are read once: no request reaches the file system."""
    found = {
        path.name: (path.read_bytes(), KINDS[path.suffix])
        for path in (sorted(FOLDER.iterdir()) if FOLDER.is_dir() else ())
        if path.suffix in KINDS
    }
    found[""] = found.get("index.html", (BARE, KINDS[".html"]))
    return found


async def send_page(exchange: Exchange, files: dict[str, tuple[bytes, str]]) -> None:
    """Send a file. Raises ApiError if there is none of this name."""
    name = exchange.scope["path"].removeprefix("/")
    if name not in files:
        raise ApiError(404, NO_ROUTE, None, "not_found")
    body, kind = files[name]
    await exchange.answer(200, body, {"content-type": kind, **HEADERS})
