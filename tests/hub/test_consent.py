"""Gated repositories: terms, requests, decisions, withdrawal; with huggingface_hub and without."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

from onnuri.hub import accounts
from onnuri.hub.database import Database
from tests.hub.consents import agreement, ask, read_terms
from tests.hub.hubs import Server

NewName = Callable[[], str]
CONTENT = b"0123456789" * 10_000
CARD = """---
license: cc-by-4.0
extra_gated_prompt: 연구 목적으로만 이용합니다.
extra_gated_fields:
  기관 유형: {type: select, options: [대학, 연구소]}
  비고: {type: text, optional: true}
---
"""


@pytest.fixture(params=["auto", "manual"])
def gated(hub: Server, new_name: NewName, request: pytest.FixtureRequest) -> str:
    """A gated dataset of lab's."""
    return make(hub, new_name(), request.param)


def make(hub: Server, name: str, gate: str, card: str = CARD) -> str:
    name, api = f"lab/{name}", hub.api("kim")
    api.create_repo(name, repo_type="dataset")
    operations = [CommitOperationAdd("README.md", card.encode()), CommitOperationAdd("data.txt", CONTENT)]
    api.create_commit(name, operations, repo_type="dataset", commit_message="first")
    api.update_repo_settings(name, repo_type="dataset", gated=gate)
    return name


def status(hub: Server, who: str, name: str, **headers: str) -> int:
    with hub.client(who) as client:
        answer = client.get(f"/datasets/{name}/resolve/main/data.txt", headers=headers)
    assert answer.status_code != 200 or answer.content == CONTENT
    return answer.status_code


def post(hub: Server, who: str, name: str, action: str, body: Any) -> Any:
    with hub.client(who) as client:
        return client.post(f"/api/datasets/{name}/{action}", json=body)


def gate_of(hub: Server, name: str) -> str:
    return str(hub.api("kim").dataset_info(name).gated)


def test_a_request_from_asking_to_withdrawal(hub: Server, gated: str, tmp_path: Path) -> None:
    """Refused to strangers; accepted by a click or by the owner; cut by the withdrawal."""
    owner, person = hub.api("kim"), hub.api("park")
    for api in (person, hub.api()):
        with pytest.raises((GatedRepoError, HfHubHTTPError)) as refused:
            api.hf_hub_download(gated, "data.txt", repo_type="dataset", cache_dir=tmp_path)
        assert refused.value.response is not None
    assert status(hub, "park", gated) == 403
    assert status(hub, "lee", gated) == 200, "members need not ask"
    asked = ask(hub, "park", gated)
    assert ask(hub, "park", gated) == asked, "asked again after a lost answer"
    if gate_of(hub, gated) == "manual":
        assert asked["status"] == "pending" and status(hub, "park", gated) == 403
        (request,) = owner.list_pending_access_requests(gated, repo_type="dataset")
        assert (request.username, request.email) == ("park", "park@example.go.kr")
        assert request.fields == {"affiliation": "대학", "purpose": "연구", "기관 유형": "대학"}
        with pytest.raises(HfHubHTTPError, match="403"):
            list(hub.api("lee").list_pending_access_requests(gated, repo_type="dataset"))
        owner.accept_access_request(gated, request_id=request.request_id, repo_type="dataset")
        with pytest.raises(HfHubHTTPError, match="404"):
            owner.accept_access_request(gated, "park", repo_type="dataset")
    assert [each.username for each in owner.list_accepted_access_requests(gated, repo_type="dataset")] == [
        "park"
    ]
    found = person.hf_hub_download(gated, "data.txt", repo_type="dataset", cache_dir=tmp_path)
    assert Path(found).read_bytes() == CONTENT
    person.auth_check(gated, repo_type="dataset")

    assert status(hub, "park", gated, range="bytes=0-9") == 206
    assert post(hub, "park", gated, "withdraw-access", {}).json()["status"] == "withdrawn"
    assert status(hub, "park", gated, range="bytes=10-") == 403, "a download that goes on"
    for action, body in (("handle", {"user": "park", "status": "accepted"}), ("grant", {"user": "park"})):
        assert post(hub, "kim", gated, f"user-access-request/{action}", body).status_code == 403
    assert ask(hub, "park", gated)["status"] in ("accepted", "pending")


def test_new_terms_make_a_grant_stale(hub: Server, gated: str) -> None:
    ask(hub, "park", gated)
    manual = gate_of(hub, gated) == "manual"
    if manual:
        hub.api("kim").accept_access_request(gated, "park", repo_type="dataset")
    assert status(hub, "park", gated) == 200
    first = read_terms(hub, "park", gated)
    text = {language: f"{words}\n새 조건 · new" for language, words in first["text"].items()}
    second = post(hub, "kim", gated, "terms", {"text": text}).json()
    assert second["version"] == first["version"] + 1 and second["sha256"] != first["sha256"]
    with hub.client("park") as client:
        answer = client.get(f"/datasets/{gated}/resolve/main/data.txt")
    assert (answer.status_code, answer.headers["x-error-code"]) == (403, "GatedRepo")
    assert f"/datasets/{gated}/access" in answer.headers["x-error-message"]
    old = agreement(first)
    assert post(hub, "park", gated, "ask-access", old).status_code == 409, "the earlier text"
    assert ask(hub, "park", gated)["status"] == ("pending" if manual else "accepted")
    if manual:
        assert status(hub, "park", gated) == 403, "an earlier decision does not cover new terms"
        hub.api("kim").accept_access_request(gated, "park", repo_type="dataset")
    assert status(hub, "park", gated) == 200
    kept = {"retention_days": 100, "keepsDecisions": True}
    assert post(hub, "kim", gated, "terms", kept).status_code == 200
    assert status(hub, "park", gated) == 403
    assert ask(hub, "park", gated)["status"] == "accepted"
    assert status(hub, "park", gated) == 200


def test_a_changed_card_changes_the_terms(hub: Server, new_name: NewName) -> None:
    name = make(hub, new_name(), "auto")
    ask(hub, "park", name)
    assert status(hub, "park", name) == 200
    hub.api("lee").upload_file(
        path_or_fileobj=CARD.replace("license: cc-by-4.0", "license: cc0-1.0").encode(),
        path_in_repo="README.md",
        repo_id=name,
        repo_type="dataset",
    )
    assert status(hub, "park", name) == 200, "the terms are the same"
    hub.api("lee").upload_file(
        path_or_fileobj=CARD.replace("연구 목적으로만", "비영리 연구 목적으로만").encode(),
        path_in_repo="README.md",
        repo_id=name,
        repo_type="dataset",
    )
    assert status(hub, "park", name) == 403


def test_the_five_items_are_in_both_languages(hub: Server, new_name: NewName) -> None:
    found = read_terms(hub, "park", make(hub, new_name(), "auto"))
    for language in ("ko", "en"):
        assert set(found["items"][language]) == {"recipient", "purpose", "items", "retention", "refusal"}
        assert found["items"][language]["recipient"] == "언어 연구실 (lab)"
        assert found["text"][language].startswith("연구 목적으로만 이용합니다.")


@pytest.mark.parametrize(
    "change",
    [
        {"agreed": ["terms"]},
        {"agreed": ["terms", "personal_data", "more"]},
        {"language": "fr"},
        {"purpose": " "},
        {"fields": {}},
        {"fields": {"기관 유형": "회사"}},
        {"fields": {"기관 유형": "대학", "none": "x"}},
        {"affiliation": "x" * 5000},
    ],
)
def test_no_consent_without_all_of_it(hub: Server, new_name: NewName, change: dict[str, Any]) -> None:
    name = make(hub, new_name(), "auto")
    body = agreement(read_terms(hub, "park", name)) | change
    assert post(hub, "park", name, "ask-access", body).status_code == 400
    assert status(hub, "park", name) == 403


def test_an_upload_ends_with_the_role(hub: Server, new_name: NewName) -> None:
    """Who loses the right between two requests of an upload does not finish it."""
    name, tables = make(hub, new_name(), "auto"), Database(hub.data, hub.database)

    def set_role(role: str) -> None:
        with tables.writing() as connection:
            lab, park = (accounts.account_of(connection, each).id for each in ("lab", "park"))
            accounts.set_member(connection, lab, park, role)

    file = {"path": "more.txt", "size": 1, "sample": "eA=="}
    line = {"key": "file", "value": {"path": "more.txt", "content": "eA==", "encoding": "base64"}}
    try:
        set_role("write")
        assert status(hub, "park", name) == 200
        assert post(hub, "park", name, "preupload/main", {"files": [file]}).status_code == 200
        set_role("")
        assert post(hub, "park", name, "commit/main", line).status_code == 403
        assert status(hub, "park", name) == 403
    finally:
        tables.close()


def test_terms_must_have_been_shown_to_this_person(hub: Server, new_name: NewName) -> None:
    name = make(hub, new_name(), "auto")
    body = agreement(read_terms(hub, "kim", name))
    assert post(hub, "park", name, "ask-access", body).status_code == 409


def test_a_click_does_not_undo_a_decision(hub: Server, new_name: NewName) -> None:
    name, owner = make(hub, new_name(), "auto"), hub.api("kim")
    ask(hub, "park", name)
    owner.reject_access_request(name, "park", repo_type="dataset", rejection_reason="no project")
    assert status(hub, "park", name) == 403
    body = agreement(read_terms(hub, "park", name))
    assert "no project" in post(hub, "park", name, "ask-access", body).json()["error"]
    owner.cancel_access_request(name, "park", repo_type="dataset")
    assert [each.status for each in owner.list_pending_access_requests(name, repo_type="dataset")] == [
        "pending"
    ]
    post(hub, "park", name, "withdraw-access", {})
    assert ask(hub, "park", name)["status"] == "pending"
    owner.accept_access_request(name, "park", repo_type="dataset")
    assert status(hub, "park", name) == 200


def test_what_was_clicked_is_decided_once_the_gate_is_manual(hub: Server, new_name: NewName) -> None:
    name, owner = make(hub, new_name(), "auto"), hub.api("kim")
    ask(hub, "park", name)
    owner.update_repo_settings(name, repo_type="dataset", gated="manual")
    assert status(hub, "park", name) == 403
    owner.accept_access_request(name, "park", repo_type="dataset")
    assert status(hub, "park", name) == 200


def test_access_without_a_request(hub: Server, new_name: NewName) -> None:
    name, owner = make(hub, new_name(), "manual"), hub.api("kim")
    owner.grant_access(name, "park", repo_type="dataset")
    assert status(hub, "park", name) == 200
    (granted,) = owner.list_accepted_access_requests(name, repo_type="dataset")
    assert (granted.username, granted.email) == ("park", None)
    for user, code in (("park", "has access already"), ("nobody", "404")):
        with pytest.raises(HfHubHTTPError, match=code):
            owner.grant_access(name, user, repo_type="dataset")
    post(hub, "kim", name, "terms", {"retention_days": 10})
    assert status(hub, "park", name) == 403, "it does not cover other terms"


def test_an_end_is_announced(hub: Server, new_name: NewName) -> None:
    name = make(hub, new_name(), "manual")
    ask(hub, "park", name)
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    body = {"user": "park", "status": "accepted", "expires": soon.isoformat(), "reason": "과제 기간"}
    assert post(hub, "kim", name, "user-access-request/handle", body).status_code == 200
    with hub.client("park") as client:
        answer = client.head(f"/datasets/{name}/resolve/main/data.txt")
        assert f"{soon:%Y-%m-%d}" in answer.headers["x-hf-warning"]
        (mine,) = [each for each in client.get("/api/consents").json() if each["repository"] == name]
    assert (mine["reason"], mine["recipient"]) == ("과제 기간", "언어 연구실 (lab)")
    body["expires"] = "2020-01-01"
    assert post(hub, "kim", name, "user-access-request/handle", body).status_code == 400


def test_data_for_named_recipients(hub: Server, new_name: NewName) -> None:
    """A grant outside of what the people in the data agreed to is refused, whoever gives it."""
    name = make(hub, new_name(), "manual")
    ask(hub, "park", name)
    hub.api("kim").accept_access_request(name, "park", repo_type="dataset")
    source: dict[str, Any] = {"name": "면담", "license": "LicenseRef-Interview", "legal_basis": "consent"}
    assert post(hub, "kim", name, "basis", {"sources": [source]}).status_code == 400, "no reference"
    source |= {"reference": "동의서 2026-01", "recipients": ["institute"]}
    answer = post(hub, "kim", name, "basis", {"sources": [source]}).json()
    assert not answer["madePrivate"] and "named recipients" in answer["mayLeave"]
    assert status(hub, "park", name) == 403
    refused = post(hub, "kim", name, "user-access-request/grant", {"user": "park"})
    assert refused.status_code == 403 and "recipients" in refused.json()["error"]
    with pytest.raises(HfHubHTTPError, match="must be gated"):
        hub.api("kim").update_repo_settings(name, repo_type="dataset", gated=False)
    source["recipients"] = ["Park"]
    post(hub, "kim", name, "basis", {"sources": [source]})
    assert status(hub, "park", name) == 200


def test_unverified_data_stays_private(hub: Server, new_name: NewName) -> None:
    """By what `onnuri corpus` writes, and by what an owner states."""
    name, api = f"lab/{new_name()}", hub.api("kim")
    entry = {"license": "CC-BY-4.0", "legal_basis": "open-licence", "unverified": False, "url": ""}
    manifest = {"kind": "corpus", "producer": "onnuri 1.0", "counts": {"sources": {"news": entry}}}

    def upload() -> None:
        content = json.dumps(manifest).encode()
        api.upload_file(
            path_or_fileobj=content, path_in_repo="manifest.json", repo_id=name, repo_type="dataset"
        )

    api.create_repo(name, repo_type="dataset")
    upload()
    entry["unverified"] = True
    with pytest.raises(HfHubHTTPError, match="unverified: news"):
        upload()
    api.update_repo_settings(name, repo_type="dataset", private=True)
    upload()
    with pytest.raises(HfHubHTTPError, match="unverified: news"):
        api.update_repo_settings(name, repo_type="dataset", private=False)
    stated = {"name": "news", "license": "CC-BY-NC-4.0", "legal_basis": "contract"}
    answer = post(hub, "kim", name, "basis", {"sources": [stated]}).json()
    assert answer["sources"][0]["license"] == "CC-BY-NC-4.0 AND CC-BY-4.0" and answer["warnings"]
    api.update_repo_settings(name, repo_type="dataset", private=False)
    stated["legal_basis"] = "unverified"
    assert post(hub, "kim", name, "basis", {"sources": [stated]}).json()["madePrivate"]
    assert api.dataset_info(name).private


@pytest.mark.parametrize("licence", ["LicenseRef-AIHub", "AI 허브 이용정책", "모두의 말뭉치"])
def test_data_that_may_not_be_passed_on(hub: Server, new_name: NewName, licence: str) -> None:
    name, api = f"lab/{new_name()}", hub.api("kim")
    api.create_repo(name, repo_type="dataset")
    source = {"name": "talks", "license": licence, "legal_basis": "contract"}
    answer = post(hub, "kim", name, "basis", {"sources": [source]}).json()
    assert "forbids passing the data on: talks" in answer["madePrivate"] == answer["mayLeave"]
    with pytest.raises(HfHubHTTPError, match="forbids"):
        api.update_repo_settings(name, repo_type="dataset", private=False, gated="manual")
