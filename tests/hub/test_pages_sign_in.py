"""Signing in with a browser: forms that other sites cannot send, refusals, languages, errors as pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onnuri.hub.api.application import application
from onnuri.hub.config import HubConfig
from onnuri.hub.hub import Hub
from tests.hub.hubs import Server
from tests.hub.visitors import Visitor

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def signed(hub: Server) -> Iterator[Visitor]:
    with Visitor(hub, "kim") as visitor:
        yield visitor


def test_sign_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use(hub: Server) -> None:
    with Visitor(hub) as visitor:
        answer = visitor.send("/login", name="kim", password="password of kim", next="/new")
        assert (answer.status_code, answer.headers["location"]) == (303, "/new")
        cookie = next(each for each in answer.headers.get_list("set-cookie") if "onnuri_session" in each)
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
        assert "kim" in visitor.get("/").text
        assert visitor.send("/logout", at="/").status_code == 303
        assert visitor.get("/").headers["location"].startswith("/login")


def test_cookies_are_secure_where_the_hub_has_https_and_attempts_are_counted(tmp_path: Path) -> None:
    hub = Hub(HubConfig(data=str(tmp_path), url="https://localhost", sign_ins_per_minute=2))
    transport = httpx.ASGITransport(application(hub))

    async def visit() -> tuple[httpx.Response, list[int]]:
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            answer = await client.get("/login", headers=HTML)
            return answer, [(await client.post("/login", data={"name": "x"})).status_code for _ in range(6)]

    try:
        answer, statuses = asyncio.run(visit())
    finally:
        hub.close()
    assert "Secure" in answer.headers["set-cookie"]
    assert statuses.count(403) <= 4 and 429 in statuses  # a minute may begin between them, once


@pytest.mark.parametrize("name", ["kim", "nobody", "lab"])
def test_a_wrong_password_is_answered_alike_whoever_it_is_for(hub: Server, name: str) -> None:
    with Visitor(hub) as visitor:
        answer = visitor.send("/login", name=name, password="wrong password", next="/")
        assert answer.status_code == 401
        assert "이름 또는 비밀번호가 올바르지 않습니다." in answer.text
        assert "onnuri_session" not in str(answer.headers)


@pytest.mark.parametrize("token", ["", "0" * 64, "각" * 10])
def test_a_form_without_its_token_is_refused(hub: Server, signed: Visitor, token: str) -> None:
    for path in ("/logout", "/login"):
        answer = signed.client.post(path, data={"form_token": token})
        assert answer.status_code == 403
    assert signed.get("/").status_code == 200


def test_a_form_token_is_of_one_session(hub: Server, signed: Visitor) -> None:
    with Visitor(hub, "lee") as other:
        found = signed.client.post("/logout", data={"form_token": other.token("/")})
    assert found.status_code == 403


def test_pages_from_elsewhere_cannot_use_a_session(hub: Server, signed: Visitor) -> None:
    data = {"form_token": signed.token("/")}
    answer = signed.client.post("/logout", data=data, headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    answer = signed.client.post(
        "/api/repos/create", json={"name": "stolen"}, headers={"origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere", "x", ""]
)
def test_sign_in_leads_to_no_other_site(hub: Server, path: str) -> None:
    with Visitor(hub) as visitor:
        answer = visitor.send("/login", name="kim", password="password of kim", next=path)
        assert answer.headers["location"] == "/"
        assert visitor.get("/settings/language", to="en", next=path).headers["location"] == "/"


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [("en-US,en;q=0.9", "en"), ("fr,ko;q=0.4,en;q=0.6", "en"), ("ko-KR", "ko"), ("de", "ko"), ("", "ko")],
)
def test_language_follows_the_browser(hub: Server, accepted: str, wanted: str) -> None:
    answer = httpx.get(f"{hub.url}/login", headers={"accept-language": accepted})
    assert re.search('<html lang="(..)">', answer.text)[1] == wanted  # type: ignore[index]


def test_a_chosen_language_stays(hub: Server) -> None:
    with Visitor(hub) as visitor:
        visitor.get("/settings/language", to="en", next="/login")
        assert "Sign in" in visitor.get("/login", headers={"accept-language": "ko"}).text
        visitor.get("/settings/language", to="xx")
        assert "Sign in" in visitor.get("/login").text


def test_errors_are_pages_for_browsers_and_json_for_clients(hub: Server, signed: Visitor) -> None:
    answer = signed.get("/no/such<b>")
    assert answer.status_code == 404 and "찾을 수 없습니다" in answer.text and "<b>" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert signed.client.get("/api/models/no/such").json()["error"]
    assert hub.client("kim").get("/no/such").headers["content-type"] == "application/json"
    assert signed.client.get("/static/..%2Fview.py", headers=HTML).status_code == 404


def test_a_token_of_the_api_opens_no_form(hub: Server) -> None:
    with Visitor(hub, "lee") as visitor:
        headers = {"authorization": f"Bearer {hub.tokens['kim']}"}
        data = {"form_token": visitor.token("/")}
        assert visitor.client.post("/logout", data=data, headers=headers).status_code == 403
