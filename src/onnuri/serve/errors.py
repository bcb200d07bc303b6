"""What a client is answered when its request cannot be served."""

from __future__ import annotations

import json
from typing import Any

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""`type` of an error by its status; others below 500 are invalid requests."""


class ApiError(Exception):
    """An error with a status, in the form that OpenAI's clients read."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`param` names the field at fault; `retry_after` is in seconds."""
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after = retry_after

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """Those that belong to it."""
        found = {}
        if self.retry_after is not None:
            found["retry-after"] = str(max(1, round(self.retry_after)))
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found


def invalid(param: str | None, message: str, code: str | None = None) -> ApiError:
    """The error of a field that has no such value here."""
    return ApiError(400, f"{param}: {message}" if param else message, param, code)


def dump(value: Any) -> bytes:
    """JSON of an answer; a lone surrogate, which no UTF-8 can hold, becomes an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
