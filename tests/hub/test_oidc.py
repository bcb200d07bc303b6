"""Signing in with an OpenID Connect provider: who gets in, who does not, and what happens without it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from onnuri.base.errors import UserError
from onnuri.hub.config import HubConfig, origin
from onnuri.hub.provider import Provider
from tests.hub.hubs import Server, running
from tests.hub.identity_provider import CLIENT, SECRET, IdentityProvider, identity_provider
from tests.hub.visitors import Visitor


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


def _words(provider: IdentityProvider, folder: Path, create: bool) -> list[str]:
    secret = folder / "secret"
    secret.write_text(SECRET + "\n", encoding="utf-8")
    return [
        "sign_ins_per_minute=0",
        f"oidc_issuer={provider.issuer}",
        f"oidc_client={CLIENT}",
        f"oidc_secret={secret}",
        f"oidc_create={str(create).lower()}",
    ]


@pytest.fixture(scope="module")
def linking(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("linking")
    with running(folder, *_words(provider, folder, create=False)) as server:
        yield server


@pytest.fixture(scope="module")
def creating(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("creating")
    with running(folder, *_words(provider, folder, create=True)) as server:
        yield server


def _back(visitor: Visitor, following: str = "/") -> str:
    """The address with which the provider sends a browser back."""
    begun = visitor.get("/login/oidc", next=following)
    assert begun.status_code == 303, begun.text
    answer = httpx.get(begun.headers["location"], trust_env=False)
    assert answer.status_code == 302
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"


def _sign_in(server: Server, provider: IdentityProvider, **claims: Any) -> httpx.Response:
    provider.be(**claims)
    with Visitor(server, language="en") as visitor:
        answer = visitor.get(_back(visitor))
        signed = visitor.get("/settings").status_code == 200
        assert signed == (answer.status_code == 303)
        return answer


def _person(name: str, /, verified: bool = True, **claims: Any) -> dict[str, Any]:
    email = f"{name}@example.go.kr"
    return {
        "sub": f"subject of {name}",
        "preferred_username": name,
        "email": email,
        "email_verified": verified,
        **claims,
    }


def _audit(server: Server) -> list[dict[str, Any]]:
    lines = [
        line
        for path in sorted(server.data.glob("**/*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line) for line in lines]


def test_the_first_sign_in_links_the_verified_address_and_later_ones_go_by_subject(
    linking: Server, provider: IdentityProvider
) -> None:
    provider.be(**_person("lee"))
    with Visitor(linking) as visitor:
        assert "기관 계정으로 로그인" in visitor.get("/login").text
        answer = visitor.get(_back(visitor, "/new"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/new")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "lee" in visitor.get("/").text
    assert _sign_in(linking, provider, **_person("lee", email="elsewhere@example.com")).status_code == 303
    other = _sign_in(linking, provider, **_person("lee", sub="someone else"))
    assert other.status_code == 409 and "uses the same e-mail" in other.text
    log = "\n".join(map(str, _audit(linking)))
    assert log.count("oidc: account linked") == 1 and log.count("subject of lee") >= 3
    assert set(provider.asked) <= {"/.well-known/openid-configuration", "/authorize", "/token", "/keys"}


def test_only_the_browser_that_began_may_end_and_a_code_is_good_once(
    linking: Server, provider: IdentityProvider
) -> None:
    provider.be(**_person("kim"))
    with Visitor(linking, language="en") as visitor, Visitor(linking, language="en") as other:
        back = _back(visitor)
        cookie = visitor.client.cookies["onnuri_oidc"]
        assert other.get(back).status_code == 400  # no cookie
        _back(other)
        assert other.get(back).status_code == 400  # that of another sign-in
        wrong = re.sub("state=[^&]*", "state=x", back)
        tampered = ("A" if cookie[0] != "A" else "B") + cookie[1:]
        for address, value in ((wrong, cookie), (back, tampered), (back, cookie + "é"), (back, "")):
            headers = {b"cookie": b"onnuri_oidc=" + value.encode(), b"accept": b"text/html"}
            answer = httpx.get(linking.url + address, headers=headers)
            assert answer.status_code == 400 and "onnuri_session" not in str(answer.headers)
        assert visitor.get(back).status_code == 303
        visitor.client.cookies.clear()
        visitor.client.cookies.set("onnuri_oidc", cookie)
        again = visitor.get(back)
        assert again.status_code == 403 and "refused the sign-in" in again.text
        assert visitor.get("/settings").status_code == 303


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"foreign": True},
        {"unsigned": True},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iss": "https://elsewhere.example.com"},
        {"aud": "another client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"sub": ""},
        {"sub": 7},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_good_lets_nobody_in(
    linking: Server, provider: IdentityProvider, wrong: dict[str, Any]
) -> None:
    answer = _sign_in(linking, provider, **{**_person("kim"), **wrong})
    assert answer.status_code == 502 and "could not be verified" in answer.text


def test_without_a_verified_address_that_an_administrator_gave_nobody_is_linked(
    linking: Server, provider: IdentityProvider
) -> None:
    for verified in (False, None, "true"):
        answer = _sign_in(linking, provider, **_person("park", verified=verified))  # type: ignore[arg-type]
        assert answer.status_code == 403 and "has not verified your e-mail" in answer.text
    answer = _sign_in(linking, provider, **_person("nobody"))
    assert answer.status_code == 403 and "No account has your e-mail" in answer.text
    with Visitor(linking, "kim") as boss:
        invited = {"action": "invite", "name": "choi", "email": "CHOI@example.go.kr"}
        assert boss.send("/admin", **invited).status_code == 200
    assert _sign_in(linking, provider, **_person("choi")).status_code == 303


def test_new_accounts_have_the_name_of_the_provider_unless_it_is_taken_or_none(
    creating: Server, provider: IdentityProvider
) -> None:
    person = _person("jung", preferred_username="jung@example.go.kr", name="정 연구원")
    assert _sign_in(creating, provider, **person).status_code == 303
    assert _sign_in(creating, provider, **person).status_code == 303
    stranger = _person("stranger", verified=False, email="lee@example.go.kr")
    for name in ("lee", "LAB", "jung"):
        answer = _sign_in(creating, provider, **{**stranger, "preferred_username": name})
        assert answer.status_code == 409 and "already exists" in answer.text
    for none in ("", "정", "admin", "../x", None):
        answer = _sign_in(creating, provider, **{**stranger, "preferred_username": none})
        assert answer.status_code == 400 and "cannot be a name here" in answer.text
    log = str(_audit(creating))
    assert log.count("oidc: account created") == 1 and "'reason': 'taken'" in log


def test_a_disabled_account_stays_out_linked_or_not(creating: Server, provider: IdentityProvider) -> None:
    assert _sign_in(creating, provider, **_person("lee")).status_code == 303
    with Visitor(creating, "kim") as boss:
        for name in ("lee", "park"):
            assert boss.send("/admin", action="disable", name=name).status_code == 303
    for name in ("lee", "park"):
        answer = _sign_in(creating, provider, **_person(name))
        assert answer.status_code == 403 and "This account is disabled" in answer.text


def test_passwords_work_while_the_provider_is_down(
    linking: Server, provider: IdentityProvider, tmp_path: Path
) -> None:
    answer = _sign_in(linking, provider, down=True, **_person("kim"))
    assert answer.status_code == 503 and "cannot be reached" in answer.text
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        issuer = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with running(tmp_path, f"oidc_issuer={issuer}", f"oidc_client={CLIENT}") as server:
            with Visitor(server) as visitor:
                answer = visitor.get("/login/oidc")
                assert answer.status_code == 503 and "인증 서버에 연결할 수 없습니다" in answer.text
            with Visitor(server, "kim") as visitor:
                assert visitor.get("/settings").status_code == 200
            assert "only passwords work" in server.printed()


def test_a_hub_without_a_provider_has_no_button(hub: Server) -> None:
    with Visitor(hub) as visitor:
        assert "/login/oidc" not in visitor.get("/login").text
        assert visitor.get("/login/oidc").status_code == 404


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"oidc_client": "x"}, "oidc_client= needs oidc_issuer="),
        ({"oidc_create": True}, "oidc_create= needs oidc_issuer="),
        ({"oidc_issuer": "https://id.example.com"}, "needs oidc_client=ID"),
        ({"oidc_issuer": "http://id.example.com", "oidc_client": "x"}, "must be https://HOST"),
        ({"oidc_issuer": "https://a@id.example.com", "oidc_client": "x"}, "must be https://HOST"),
        ({"oidc_issuer": "file:///etc", "oidc_client": "x"}, "must be https://HOST"),
        (
            {"oidc_issuer": "https://id", "oidc_client": "x", "oidc_origins": ["https://id/x"]},
            "oidc_origins=https://id/x must be",
        ),
    ],
    ids=str,
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        HubConfig(data=str(tmp_path), **options)


def test_a_provider_that_does_not_fit_ends_the_start(provider: IdentityProvider, tmp_path: Path) -> None:
    options: dict[str, Any] = {"data": str(tmp_path), "oidc_client": CLIENT, "oidc_issuer": provider.issuer}
    with pytest.raises(UserError, match="oidc_secret=/nowhere cannot be read"):
        Provider(HubConfig(**options, oidc_secret="/nowhere"))
    with pytest.raises(UserError, match="names issuer"):
        Provider(HubConfig(**{**options, "oidc_issuer": f"{provider.issuer}/"}))
    before = provider.document["token_endpoint"]
    try:
        provider.document["token_endpoint"] = "https://elsewhere.example.com/token"
        with pytest.raises(UserError, match=r"its token_endpoint is .*oidc_origins="):
            Provider(HubConfig(**options))
        Provider(HubConfig(**options, oidc_origins=["https://elsewhere.example.com"])).close()
    finally:
        provider.document["token_endpoint"] = before


def test_origins_are_compared_as_browsers_do() -> None:
    assert origin("https://ID.example.com:443/a?b") == origin("https://id.example.com") != ""
    assert origin("https://id.example.com:444") != origin("https://id.example.com")
    assert origin("http://[::1]:80/x") == "http://[::1]"
    for none in (
        None,
        7,
        "https://",
        "http://10.0.0.1",
        "https://a:b@c",
        "https://a:99999",
        "//a",
        "https://[x",
    ):
        assert origin(none) == ""
