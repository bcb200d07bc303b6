"""Contents of files as answers: ranges, and nginx where it sends them."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from onnuri.hub.api.call import Call
from onnuri.hub.errors import HubError

RANGE = re.compile(r"bytes=(\d{0,40})-(\d{0,40})")
AT_ONCE = 1 << 16
"""Bytes of a content that is read before the answer begins."""


def send_content(call: Call, sha256: str, size: int, headers: dict[str, str]) -> Response:
    """A content, or the range of it that was asked for. Never compressed: ranges are of the file itself."""
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        **headers,
    }
    etag = headers.get("ETag", "")
    if etag and call.request.headers.get("if-none-match", "") in (etag, "*"):
        return Response(b"", 304, headers)
    start, stop, status = 0, size, 200
    asked = call.request.headers.get("range", "")
    if asked and call.request.headers.get("if-range", etag) == etag:
        start, stop = _range(asked, size)
        if (start, stop) != (0, size) or RANGE.fullmatch(asked):
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            status = 206
    if call.request.method == "HEAD":
        headers["Content-Length"] = str(stop - start)
        return _Bodiless(b"", status, headers)
    accel, local = call.hub.config.accel, call.hub.blobs.local(sha256)
    if accel and local and size > AT_ONCE:
        for name in ("Content-Range", "Accept-Ranges"):  # nginx reads the range itself
            headers.pop(name, None)
        headers["X-Accel-Redirect"] = f"{accel}{sha256[:2]}/{sha256}"
        return Response(b"", 200, headers)
    headers["Content-Length"] = str(stop - start)
    pieces = call.hub.blobs.read(sha256, start, stop)
    if stop - start <= AT_ONCE:
        return Response(b"".join(pieces), status, headers)
    return StreamingResponse(iterate_in_threadpool(pieces), status, headers)


def disposition(path: str) -> str:
    """The header by which a browser saves a file under its name, whatever it holds."""
    name = path.rpartition("/")[2]
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _range(asked: str, size: int) -> tuple[int, int]:
    """Start and stop. Raises HubError for a range that the file does not have; several at once are not
    served, which RFC 9110 leaves to the server: then the file is sent whole."""
    found = RANGE.fullmatch(asked.replace(" ", ""))
    if not found or not any(found.groups()):
        return 0, size
    first, last = found.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, stop = max(0, size - int(last)), size
    if start >= stop:
        raise HubError(416, f"the file has {size:,} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, stop


class _Bodiless(StreamingResponse):
    """An answer to HEAD: with the length that GET would have."""

    def __init__(self, _: bytes, status: int, headers: dict[str, str]) -> None:
        super().__init__(iter(()), status, headers)
