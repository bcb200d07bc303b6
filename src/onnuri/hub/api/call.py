"""One request: what it asks, whom it comes from, and how it is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from onnuri.hub import access, repositories
from onnuri.hub.consent import grants
from onnuri.hub.errors import GATED, HubError, bad_request
from onnuri.hub.hub import Hub
from onnuri.hub.names import type_of
from onnuri.hub.records import Caller, Repository


@dataclass
class Call:
    """A request that was routed. `names` are the parts of its address, decoded; `body` is empty for
    handlers that read it themselves."""

    hub: Hub
    request: Request
    caller: Caller | None
    names: dict[str, str]
    id: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    """To be sent with the answer, whatever it is."""

    def json(self) -> dict[str, Any]:
        """The body, an object. Raises HubError if it is none."""
        try:
            found = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise bad_request("the body must be JSON") from None
        if not isinstance(found, dict):
            raise bad_request("the body must be a JSON object")
        return found

    def query(self, name: str, default: str = "") -> str:
        """A word of the query; the last, if there are several."""
        return self.request.query_params.get(name, default)

    @property
    def kind(self) -> str:
        """model or dataset, from the address."""
        return type_of(self.names["type"])

    @property
    def base(self) -> str:
        """Address of the hub as this client knows it, without a slash at the end."""
        url = self.hub.config.url
        return url.rstrip("/") if url else str(self.request.base_url).rstrip("/")

    @property
    def address(self) -> str:
        """Where the request comes from."""
        host = self.request.client.host if self.request.client else ""
        if host and host == self.hub.config.proxy:  # which adds what it sees after what the client sent
            return self.request.headers.get("x-forwarded-for", host).rpartition(",")[2].strip()[:64]
        return host

    def repository(self, connection: Connection) -> Repository:
        """The one in the address. Raises HubError if the caller must not know that it is there."""
        found = repositories.find(connection, self.kind, self.names["namespace"], self.names["name"])
        return access.check_see(connection, self.caller, found, self.hub.config.anonymous)

    def readable(self, connection: Connection) -> Repository:
        """The same, if the caller may have its files."""
        found = self.repository(connection)
        try:
            access.check_files(connection, self.caller, found)
        except HubError as error:
            if error.code != GATED:
                raise
            page = f"{self.base}/{found.path}/access"
            raise HubError(error.status, f"{error.message}: {page}", GATED, page=page) from None
        if found.gated and (text := grants.warning(connection, self.caller, found)):
            self.headers["X-HF-Warning"] = f"access; {text}"
        return found

    def writable(self, connection: Connection, role: str = "write") -> tuple[Repository, Caller]:
        """The same, and the caller, if he has this role there."""
        found = self.repository(connection)
        caller = access.check_role(connection, self.caller, found, role)
        given = f"{self.names['namespace']}/{self.names['name']}"
        if role == "admin" and given.casefold() != found.full_name.casefold():
            raise HubError(409, f"{given} is {found.full_name} now: name it so to change or delete it")
        return found, caller

    def record(self, event: str, durable: bool = True, **facts: Any) -> None:
        """A line in the audit, with who and from where."""
        who = {"user": self.caller.name, "method": self.caller.method} if self.caller else {"user": ""}
        self.hub.record(event, durable, request=self.id, address=self.address, **who, **facts)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON."""
    return Response(dump(value), status, headers, "application/json")


def dump(value: Any) -> bytes:
    """JSON as it is sent; a lone surrogate, which no UTF-8 can hold, becomes an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def next_page(call: Call, **words: str) -> dict[str, str]:
    """The header that leads to the next page: this address with other words."""
    query = [(key, value) for key, value in call.request.query_params.multi_items() if key not in words]
    text = "&".join(
        f"{quote(key, safe='[]')}={quote(value, safe='')}" for key, value in [*query, *words.items()]
    )
    path = call.request.scope["raw_path"].decode("latin-1").partition("?")[0]
    return {"Link": f'<{call.base}{path}?{text}>; rel="next"'}


def flag(value: str) -> bool:
    """A truth value of a query."""
    return value.lower() in ("1", "true", "yes")
