"""People with a browser, without one: forms are sent as their pages have them."""

from __future__ import annotations

import re
from typing import Any, Self

import httpx

from tests.hub.hubs import Server


class Visitor:
    """Someone with cookies of his own; no redirect is followed."""

    def __init__(self, server: Server, who: str = "", language: str = "ko") -> None:
        headers = {"accept": "text/html", "accept-language": language}
        self.client = httpx.Client(base_url=server.url, headers=headers, timeout=60)
        if who:
            answer = self.send("/login", name=who, password=f"password of {who}", next="/")
            assert answer.status_code == 303, answer.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        return self.client.get(path, params=query or None, headers=headers)

    def token(self, path: str) -> str:
        """The form token that a page has."""
        found = re.search('name="form_token" value="([0-9a-f]{64})"', self.get(path).text)
        assert found, path
        return found[1]

    def send(self, path: str, at: str = "", **fields: Any) -> httpx.Response:
        """Send a form; its token is from the page `at`, or from where the form goes."""
        return self.client.post(path, data={"form_token": self.token(at or path), **fields})
