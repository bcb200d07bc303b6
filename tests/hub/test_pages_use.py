"""Repositories, tokens, accounts and administration with a browser."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub.hubs import Server
from tests.hub.visitors import Visitor

BAD = "<script>alert(1)</script>"
CARD = f"""---
license: apache-2.0
language: ko
tags: ["{BAD}"]
---
# 카드

{BAD} <img src="https://elsewhere.example/x.png" onerror="alert(1)"> <a href="javascript:alert(1)">여기</a>

| 가 | 나 |
| - | - |
| 1 | 2 |
"""
TRAINING = {
    "step": 7,
    "tokens_seen": 1234,
    "tokens": {"sources": [{"name": f"위키 {BAD}", "license": "CC-BY-SA-4.0", "legal_basis": "license"}]},
}


@pytest.fixture(scope="module")
def model(hub: Server) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    rows = io.BytesIO()
    table = pyarrow.table({f"열 {BAD}": [f"값 {number} {BAD}" for number in range(50)]})
    pyarrow.parquet.write_table(table, rows)
    files = {
        "README.md": CARD.encode(),
        "training.json": json.dumps(TRAINING).encode(),
        f"data/<b>{'가' * 3}&.txt": b"text",
        "data/rows.parquet": rows.getvalue(),
        "data/broken.parquet": b"PAR1" + rows.getvalue()[4:-60] + b"\0" * 52 + rows.getvalue()[-8:],
        "model.sig": b"no signature",
    }
    api = hub.api("kim")
    name = "kim/pages"
    api.create_repo(name, private=True)
    commit(hub, name, files)
    yield name


def commit(hub: Server, name: str, files: dict[str, bytes]) -> None:
    import base64

    lines = [{"key": "header", "value": {"summary": f"first {BAD}"}}]
    for path, content in files.items():
        value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        lines.append({"key": "file", "value": value})
    body = "\n".join(json.dumps(line) for line in lines)
    with hub.client("kim") as client:
        answer = client.post(f"/api/models/{name}/commit/main", content=body)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def kim(hub: Server) -> Iterator[Visitor]:
    with Visitor(hub, "kim") as visitor:
        yield visitor


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", ["<h1>카드</h1>", "apache-2.0", "<td>2</td>"]),
        ("/tree/main", ["README.md", "/kim/pages/tree/main/data"]),
        ("/tree/main/data", ["&lt;b&gt;가가가&amp;.txt", "/resolve/main/data/%3Cb%3E"]),
        ("/commits/main", ["first &lt;script"]),
        ("/refs", ["main"]),
        ("/provenance", ["위키 &lt;script", "CC-BY-SA-4.0", "1,234", "등록된 공개 키로 확인되지"]),
        ("/preview/main/data/rows.parquet", ["값 19 &lt;script", "전체 50행"]),
        ("/preview/main/data/broken.parquet", ["미리 볼 수 없습니다"]),
        ("/settings", ["kim/pages 입력"]),
    ],
)
def test_pages_of_a_repository_escape_what_it_holds(
    kim: Visitor, model: str, path: str, wanted: list[str]
) -> None:
    answer = kim.get(f"/{model}{path}")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text and "onerror" not in answer.text
    assert "javascript:alert" not in answer.text and "elsewhere.example" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for each in wanted:
        assert each in answer.text, each


def test_hidden_repositories_are_in_no_page(hub: Server, model: str) -> None:
    with Visitor(hub, "park") as park, Visitor(hub) as stranger:
        missing = park.get("/kim/none").text
        for below in ("", "/tree/main", "/commits/main", "/refs", "/provenance", "/settings"):
            answer = park.get(f"/{model}{below}")
            assert answer.status_code == 404
            if not below:
                assert answer.text.replace("pages", "none") == missing
            assert stranger.get(f"/{model}{below}").headers["location"].startswith("/login")
        for path in ("/", "/?search=pages", "/kim", "/sources?source=%EC%9C%84%ED%82%A4"):
            assert "kim/pages" not in park.get(path).text
        assert (
            park.client.post(f"/{model}/settings", data={"form_token": park.token("/")}).status_code == 404
        )


def test_gated_files_are_named_to_those_with_access_alone(hub: Server, kim: Visitor, model: str) -> None:
    at = f"/{model}/settings"
    assert kim.send(at, action="save", gated="manual").status_code == 303
    with Visitor(hub, "park") as park:
        assert "카드" in park.get(f"/{model}").text
        for below in ("/tree/main", "/tree/main/data", "/commits/main", "/provenance"):
            shown = park.get(f"/{model}{below}").text
            assert "training.json" not in shown and "위키" not in shown and "first" not in shown
        assert park.get(f"/{model}/preview/main/data/rows.parquet").status_code == 403
        assert "kim/pages" not in park.get("/sources", source="위키").text
    assert kim.send(at, action="save", gated="", private="1").status_code == 303


def test_search_and_sources(kim: Visitor, model: str) -> None:
    assert model in kim.get("/", search="PAGES").text
    assert model not in kim.get("/", search="no such").text
    assert model in kim.get("/", filter="license:apache-2.0", type="models").text
    assert model not in kim.get("/", type="datasets").text
    assert model in kim.get("/sources", source="위키").text


def test_create_rename_delete(kim: Visitor, new_name: Callable[[], str]) -> None:
    name = new_name()
    answer = kim.send("/new", type="dataset", owner="lab", name=name, visibility="private")
    assert answer.headers["location"] == f"/datasets/lab/{name}"
    at = f"/datasets/lab/{name}/settings"
    assert kim.send(at, action="delete", typed="lab/other").status_code == 400
    assert (
        kim.send(at, action="move", to=f"kim/{name}-2").headers["location"].endswith(f"{name}-2/settings")
    )
    at = f"/datasets/kim/{name}-2/settings"
    assert kim.send(at, action="delete", typed=f"kim/{name}-2").headers["location"] == "/"
    assert kim.get(at).status_code == 404


def test_a_token_is_shown_once_and_revoked(hub: Server, kim: Visitor) -> None:
    answer = kim.send("/tokens", name=f"CI {BAD}", role="read", repositories="kim/pages", days="30")
    token = re.search("onnuri_[^<]+", answer.text)[0]  # type: ignore[index]
    assert "<script>alert" not in answer.text and token not in kim.get("/tokens").text
    api = hub.client()
    api.headers["authorization"] = f"Bearer {token}"
    assert api.get("/api/whoami-v2").status_code == 200
    number = re.findall('name="id" value="([0-9]+)"', kim.get("/tokens").text)[-1]
    with Visitor(hub, "park") as park:
        assert park.send("/tokens/revoke", at="/tokens", id=number).status_code == 404
    assert kim.send("/tokens/revoke", at="/tokens", id=number).status_code == 303
    assert api.get("/api/whoami-v2").status_code == 401


def test_invited_users_set_a_password_once(hub: Server, kim: Visitor) -> None:
    answer = kim.send("/admin", action="invite", name="choi", fullname=BAD)
    assert "<script>alert" not in answer.text
    path = html.unescape(re.search(r"/join/[\w-]+", answer.text)[0])  # type: ignore[index]
    with Visitor(hub) as choi:
        assert choi.send(path, password="long enough 1", again="different 22").status_code == 400
        assert choi.send(path, password="long enough 1", again="long enough 1").headers["location"] == "/"
        assert choi.get("/settings").status_code == 200
        assert choi.get(path).status_code == 404
        assert choi.get("/admin").status_code == 403
        with Visitor(hub) as again:
            again.send("/login", name="choi", password="long enough 1", next="/")
            changed = {"password": "another one 2", "again": "another one 2"}
            at = "/settings"
            assert choi.send("/settings/password", at=at, current="wrong", **changed).status_code == 403
            answer = choi.send("/settings/password", at=at, current="long enough 1", **changed)
            assert answer.status_code == 303 and choi.get("/settings").status_code == 200
            assert again.get("/settings").status_code == 303  # the other session has ended
        assert kim.send("/admin", action="disable", name="choi").status_code == 303
        assert choi.get("/settings").status_code == 303


def test_members_are_managed_by_administrators_of_an_organisation(hub: Server, kim: Visitor) -> None:
    assert kim.send("/admin", action="organisation", name="team", owner="kim").status_code == 303
    assert kim.send("/team", user="lee", role="read").status_code == 303
    with Visitor(hub, "lee") as lee:
        assert "kim" in lee.get("/team").text
        answer = lee.send("/team", at="/", user="park", role="admin")
        assert answer.status_code == 403
    assert kim.send("/team", user="kim", role="").status_code == 409
    assert kim.send("/admin", action="quota", name="team", gib="5").status_code == 303


def test_a_signature_is_checked_against_registered_keys(hub: Server, kim: Visitor, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing import hashing, signing

    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    config.set_hashing_config(hashing.Config()).sign(folder, tmp_path / "model.sig")
    hub.api("kim").create_repo("kim/signed")
    signature = (tmp_path / "model.sig").read_bytes()
    commit(hub, "kim/signed", {"config.json": b"{}", "model.sig": signature})
    at = "/kim/signed/provenance"
    assert "등록된 공개 키로 확인되지 않습니다" in kim.get(at).text
    kim.send("/admin", action="key", name="kim", label="연구실 키", pem=public.decode())
    assert "서명 확인됨: <strong>연구실 키</strong>" in kim.get(at).text
    commit(hub, "kim/signed", {"config.json": b"{ }"})
    assert "서명 후 바뀐 파일이 있습니다: config.json" in kim.get(at).text


def test_administrators_correct_names_and_addresses(hub: Server, kim: Visitor) -> None:
    kim.send("/admin", action="invite", name="jung", fullname="정", email="old@example.go.kr")
    changed = {"fullname": f"정 {BAD}", "email": "new@example.go.kr"}
    assert kim.send("/admin", action="details", name="jung", **changed).status_code == 303
    page = kim.get("/admin").text
    assert "new@example.go.kr" in page and "old@" not in page and "<script>alert" not in page
    assert kim.send("/admin", action="details", name="lab", fullname="언어 연구실").status_code == 303
    assert kim.send("/admin", action="details", name="nobody", **changed).status_code == 404
    with Visitor(hub, "lee") as lee:
        token = lee.token("/settings")
        fields = {"form_token": token, "action": "details", "name": "lee", "email": "x@example.go.kr"}
        assert lee.client.post("/admin", data=fields).status_code == 403


def test_public_keys_are_listed_and_removed(kim: Visitor, tmp_path: Path) -> None:
    from tests.hub.carriers import make_key

    pem = Path(make_key(tmp_path, "signer")[1]).read_text()
    assert (
        kim.send("/admin", action="key", label="언어 연구실 서명", name="lab", pem=pem).status_code == 303
    )
    assert kim.send("/admin", action="key", label="x", pem="PRIVATE KEY PUBLIC KEY").status_code == 400
    page = kim.get("/admin").text
    assert "언어 연구실 서명 (lab)" in page
    number = page.rpartition('name="key" value="')[2].partition('"')[0]
    assert kim.send("/admin", action="remove key", key=number).status_code == 303
    assert "언어 연구실 서명" not in kim.get("/admin").text
    for missing in (number, "", "²", "9" * 30):
        assert kim.send("/admin", action="remove key", key=missing).status_code == 404
    assert kim.send("/admin", action="no such").status_code == 400
